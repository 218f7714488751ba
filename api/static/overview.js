// All model versions, the worst first.

import { node } from "./dom.js";
import { button, code, empty, head, statePill, when } from "./parts.js";
import { modelAt } from "./route.js";
import { rowsHost } from "./rows.js";
import { spark } from "./spark.js";
import { STATES, count, metricName, moment, none, number, percent, plural } from "./words.js";

const RANK = Object.fromEntries(Object.keys(STATES).map((state, i) => [state, i]));

export const title = () => "Models";

export async function load() {
  return {}; // what is shown is what /events tells
}

export function draw(_, route, { models }) {
  if (!models) return [head("head", "Models"), node("p", { class: "quiet", "data-key": "loading" }, "Loading…")];
  if (!models.length) return [head("head", "Models"), nothing()];
  const { q = "", state = "" } = route.asked;
  const named = models.filter((m) => `${m.model} ${m.model_version}`.toLowerCase().includes(q.toLowerCase()));
  const shown = named.filter((m) => (state ? m.state === state : m.state !== "retired")).sort(worstFirst);
  return [head("head", "Models", { about: inWords(models) }), filters(models, named, q, state), list(shown)];
}

function worstFirst(a, b) {
  return RANK[a.state] - RANK[b.state] || b.firing - a.firing || (b.drift_share || 0) - (a.drift_share || 0)
    || (a.model < b.model ? -1 : a.model > b.model ? 1 : a.model_version < b.model_version ? -1 : 1);
}

function inWords(all) {
  const models = all.filter((m) => m.state !== "retired");
  const bad = models.filter((m) => ["alerting", "degraded", "drifting"].includes(m.state)).length;
  const blind = models.filter((m) => m.not_judged_since || m.state === "learning").length;
  const unjudged = blind ? `, ${count(blind)} not judged` : "";
  return bad ? `${count(bad)} of ${plural(models.length, "model version")} ${bad === 1 ? "needs" : "need"} attention${unjudged}`
    : `${plural(models.length, "model version")}, ${blind ? `${count(blind)} not judged` : "none needs attention"}`;
}

function filters(models, named, q, chosen) {
  if (models.length < 2) return null;
  const states = Object.keys(STATES).filter((state) => models.some((m) => m.state === state));
  const chip = (state, words, n) => button("state", [words, node("small", {}, count(n))], { class: "chip", "data-state": state, "aria-pressed": String(state === chosen) });
  return node("div", { class: "filters", "data-key": "filters" },
    node("input", { type: "search", id: "search", placeholder: "Find a model", "aria-label": "Find a model", value: q, autocomplete: "off" }),
    node("div", { class: "chips", role: "group", "aria-label": "Only in state" }, chip("", "All", named.filter((m) => m.state !== "retired").length),
      states.map((state) => chip(state, STATES[state], named.filter((m) => m.state === state).length))));
}

function list(models) {
  if (!models.length) return node("p", { class: "quiet", "data-key": "no-match" }, "No model version is like that. Choose “All”, or search for another name.");
  return node("section", { class: "card models", "data-key": "models", "aria-label": "Model versions" },
    node("div", { class: "row names", "aria-hidden": "true" }, ["Model", "State", "Features drifted", "Performance", "Predictions", "Last window"].map((name) => node("span", {}, name))),
    rowsHost(models.map((m) => ({ key: keyOf(m), source: m, draw: () => row(m) }))));
}

const keyOf = (m) => `${m.model}\n${m.model_version}`;

function row(m) {
  const waiting = none(m.window_end);
  const old = !none(m.truth_end) && m.truth_end !== m.window_end; // truth comes late: what is told is of an earlier window
  const truth = waiting ? "" : none(m.truth_end) ? "no truth yet" : `${percent(m.coverage)} with truth${old ? ` until ${moment(m.truth_end)}` : ""}`;
  return node("li", { "data-key": keyOf(m) },
    node("a", { class: "row", href: modelAt(m.model, m.model_version) },
      node("span", { class: "who" }, node("b", {}, m.model), node("small", {}, `version ${m.model_version}`), none(m.dead_letter_share) ? null : node("small", { class: "bad" }, `${percent(m.dead_letter_share)} of its newest predictions are dead letters`)),
      node("span", { class: "what" }, statePill(m.state), m.firing ? node("small", {}, plural(m.firing, "alert"), " firing") : null),
      node("span", { class: "drifted" }, spark(m.recent, { high: 0.2, limit: m.drift_threshold }),
        node("span", {}, node("b", {}, waiting || !m.sufficient ? "–" : percent(m.drift_share)), node("small", {}, waiting ? "" : judged(m)))),
      node("span", { class: "metric" }, performance(m)),
      node("span", { class: "n" }, node("b", {}, count(m.n)), node("small", {}, truth), leftOut(m.left_out)),
      node("span", { class: "when" }, waiting ? node("small", {}, "no window yet") : when(m.window_end))));
}

function judged(m) {
  if (m.not_judged_since) return `not judged since ${moment(m.not_judged_since)}`;
  if (m.not_judged) return m.sufficient ? m.not_judged : "too few to judge";
  return m.thin ? "no large change" : drifted(m);
}

function drifted(m) {
  if (!m.drifted_count) return none(m.drift_share) ? "" : "none drifted";
  const more = m.drifted_count - Math.min(2, m.drifted.length);
  return `${m.drifted.slice(0, 2).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

export const measure = (metric, value) => (["mae", "rmse", "log_loss", "r2"].includes(metric) ? number(value) : percent(value, 1));

function performance(m) {
  if (none(m.metric)) return [node("b", {}, "–"), node("small", {}, "")];
  if (none(m.value)) return [node("b", {}, measure(m.metric, m.estimated)), node("small", {}, `${metricName(m.metric)}, estimated`)];
  const words = none(m.baseline) ? metricName(m.metric) : `${metricName(m.metric)}, ${measure(m.metric, m.baseline)} before`;
  return [node("b", { class: m.degraded ? "bad" : null }, measure(m.metric, m.value)),
    node("small", {}, m.judged ? words : `${words}; not judged`), m.accounting.length ? node("small", { class: "warn" }, m.accounting[0]) : null];
}

function leftOut(counts) {
  const total = Object.values(counts).reduce((sum, n) => sum + n, 0);
  return total ? node("small", { class: "warn" }, `${count(total)} left out`) : null;
}

function nothing() {
  return empty("none", "No model is registered yet",
    "Give Driftline a table of what the model saw when it was good: its features, its predictions and, where you have it, the truth. From then on every prediction is compared with it.",
    node("ol", { class: "steps" },
      node("li", {}, node("b", {}, "Say what is normal."), code("driftline register --model churn --version 1 --reference reference.csv")),
      node("li", {}, node("b", {}, "Send predictions,"), " from a file or from your service.", code("driftline replay --model churn --version 1 --predictions predictions.csv")),
      node("li", {}, node("b", {}, "Watch."), " This page shows the model as soon as it is registered; nothing needs to be reloaded.")),
    node("p", {}, "Only want to see it work? ", node("code", {}, "driftline demo")));
}

