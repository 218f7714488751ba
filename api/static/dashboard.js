// The page: polls the API and draws what is new.

import { chart, drawChart } from "./chart.js";
import { LEVELS, METRICS, count, measure, moment, node, number, pValue, percent } from "./words.js";

const POLL_MS = 2000;
const LISTED = 6; // alerts that are listed at once
const STATES = {
  waiting: "waiting", insufficient: "too few", healthy: "healthy", drifting: "drifting", degraded: "degraded", alerting: "alert",
};

let models = [];
let shown = null; // {key, timeline, drift, performance, alerts}: what the page shows now
let drawn = ""; // the text of it, so that nothing is drawn twice
let scrolledTo = null; // the model version whose link was last brought into view
const open = new Set(); // alerts that the reader has unfolded

const $ = (id) => document.getElementById(id);
const keyOf = (model) => `${encodeURIComponent(model.model)}/${encodeURIComponent(model.model_version)}`;
const pill = (name, words) => node("span", { class: `state ${name}` }, words);

// ---- what is chosen ------------------------------------------------------

function chosen() {
  const asked = new URLSearchParams(location.search);
  const rank = { alerting: 0, degraded: 1, drifting: 2, healthy: 3, insufficient: 4, waiting: 5 };
  const worst = [...models].sort((a, b) => rank[a.state] - rank[b.state])[0];
  return models.find((m) => m.model === asked.get("model") && m.model_version === asked.get("version")) || worst || null;
}

function addressOf(model) {
  return `/dashboard?model=${encodeURIComponent(model.model)}&version=${encodeURIComponent(model.model_version)}`;
}

// ---- reading -------------------------------------------------------------

async function read(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" }, cache: "no-store" });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.detail || answer.statusText);
  return found;
}

let revision = null;

async function refresh(force = false) {
  const listed = await read("/models");
  models = listed.models;
  const model = chosen();
  const key = model && keyOf(model);
  if (!force && listed.revision === revision && shown && shown.key === key) return;
  const found = { key, model };
  if (model) {
    const [timeline, drift, performance, alerts] = await Promise.all(
      ["timeline", "drift?limit=1", "performance?limit=1", "alerts"].map((what) => read(`/models/${key}/${what}`)),
    );
    Object.assign(found, {
      timeline, drift: drift.reports[0] || null, performance: performance.reports[0] || null, alerts: alerts.alerts,
    });
  }
  revision = listed.revision;
  shown = found;
  draw();
}

async function poll() {
  try {
    if (!document.hidden) await refresh();
    told("live", "Live");
  } catch (error) {
    const words = error instanceof TypeError ? "The API does not answer. Trying again" : error.message;
    told("lost", words);
  }
  setTimeout(poll, POLL_MS);
}

function told(state, words) {
  $("link").className = `link ${state}`;
  if ($("link-words").textContent !== words) $("link-words").textContent = words;
}

// ---- drawing -------------------------------------------------------------

function draw() {
  const text = JSON.stringify([models, shown]);
  if (text === drawn) return;
  drawn = text;
  drawModels();
  const { model, timeline, drift, performance, alerts } = shown;
  if (!model) return place([kept("none", null, nothingRegistered)]);
  const parts = [kept("head", model, () => head(model))];
  if (!timeline.points.length) parts.push(kept("waiting", model, () => nothingYet(model)));
  else {
    parts.push(kept("facts", [timeline.metric, drift, performance], facts), kept("chart", [timeline.metric, timeline.points.length], chartCard));
  }
  if (timeline.points.length || alerts.length) parts.push(kept("alerts", alerts, () => alertsCard(alerts)));
  if (drift) parts.push(kept("features", drift, () => featuresCard(drift)));
  place(parts);
  if (timeline.points.length) drawChart(timeline);
}

// A card is made anew only when what it shows is new, so that focus, scrolling and selections outlive the polling.
const cards = new Map();

function kept(name, data, make) {
  const text = JSON.stringify(data);
  if (!cards.has(name) || cards.get(name).text !== text) cards.set(name, { text, made: make() });
  return cards.get(name).made;
}

function place(parts) {
  const main = $("main");
  if (main.children.length !== parts.length) return main.replaceChildren(...parts);
  parts.forEach((part, i) => { if (main.children[i] !== part) main.children[i].replaceWith(part); });
}

function drawModels() {
  const current = shown.key;
  const links = models.map((model) => {
    const about = model.window_end ? `${percent(model.drift_share)} drifted · ${moment(model.window_end, false)}` : "no window yet";
    const link = node("a", { class: "model", href: addressOf(model), "aria-current": keyOf(model) === current ? "true" : null },
      node("b", {}, model.model), node("small", {}, `version ${model.model_version}`), pill(model.state, STATES[model.state]),
      node("small", { class: "about" }, about));
    link.addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      history.pushState(null, "", link.href);
      refresh(true).then(() => $("main").focus({ preventScroll: true })).catch(() => {});
    });
    return link;
  });
  const focused = [...$("models").children].indexOf(document.activeElement);
  $("models").replaceChildren(...links);
  const mine = links.find((link) => link.hasAttribute("aria-current"));
  if (mine && current !== scrolledTo) mine.parentElement.scrollLeft = mine.offsetLeft - 16;
  scrolledTo = current;
  if (focused >= 0 && links[focused]) links[focused].focus({ preventScroll: true });
}

function head(model) {
  const words = { task: model.task, features: model.features };
  const about = [words.task, words.features === null ? null : `${words.features} features`].filter(Boolean).join(", ");
  const registered = model.registered_at ? `Registered ${moment(model.registered_at)}` : "Not registered";
  const when = model.window_end ? `Last window until ${moment(model.window_end)}` : registered;
  return node("div", { class: "head" },
    node("h2", {}, model.model, " ", node("span", { class: "version" }, model.model_version)),
    pill(model.state, STATES[model.state]),
    node("p", { class: "when" }, about ? `${when} · ${about}` : when));
}

function fact(name, value, about) {
  return node("div", {}, node("dt", {}, name), node("dd", {}, value, node("small", {}, about)));
}

function facts() {
  const { drift, performance, timeline } = shown;
  const metric = timeline.metric;
  const last = metric && performance ? performance.metrics.find((m) => m.name === metric) : null;
  const guess = metric && performance ? performance.estimated.find((m) => m.name === metric) : null;
  const n = (drift || performance).n;
  const list = [
    fact("Predictions in the window", count(n), (drift || performance).sufficient ? "enough to judge" : "too few to judge"),
    fact("Features drifted", drift ? `${drift.drifted_features.length} of ${drift.features.length}` : "–",
      drift ? `${percent(drift.drift_share)}, alert from ${percent(drift.drift_threshold)}` : "no report yet"),
    fact(METRICS[metric] || "Accuracy", measure(metric, last && last.value),
      last && last.baseline !== null ? `${measure(metric, last.baseline)} on the reference` : "no truth yet"),
    guess && guess.value !== null
      ? fact("Estimated without truth", measure(metric, guess.value), `truth of ${percent(performance.coverage)} has come`)
      : fact("Truth received", percent(performance ? performance.coverage : null), "of the predictions in the window"),
  ];
  return node("dl", { class: "facts" }, ...list);
}

function chartCard() {
  const t = shown.timeline;
  const name = METRICS[t.metric];
  const keys = node("div", { class: "keys", "aria-hidden": "true" },
    node("span", { class: "k-share" }, "Share of features drifted"),
    name ? node("span", { class: "k-value" }, `${name}, with its 95 % interval`) : null,
    name ? node("span", { class: "k-estimated" }, "Estimated without truth") : null,
    node("span", { class: "k-limit" }, name ? "Threshold, baseline" : "Threshold"),
    node("span", { class: "k-band" }, "Alert"));
  return node("section", { class: "card" },
    node("header", {}, node("h3", {}, "Over time"), node("p", {}, `${count(t.points.length)} windows, times in UTC`)), chart, keys);
}

function featuresCard(report) {
  const special = [report.prediction, report.probability].filter(Boolean);
  const effect = (f) => (f.statistic === null ? -1 : f.statistic / (f.threshold || 1));
  const rows = [...report.features].sort((a, b) => b.drifted - a.drifted || effect(b) - effect(a) || (a.name < b.name ? -1 : 1));
  const table = node("table", {},
    node("thead", {}, node("tr", {}, ...[["Feature"], ["State"], ["Test"], ["Statistic", "number"], ["p", "number"],
      ["Reference → current"]].map(([words, kind]) => node("th", { scope: "col", class: kind }, words)))),
    node("tbody", {}, ...[...rows, ...special].map(featureRow)));
  return node("section", { class: "card" },
    node("header", {}, node("h3", {}, "Last window against the reference"),
      node("p", {}, `${moment(report.window_start)} to ${moment(report.window_end)}, ${count(report.n)} predictions`)),
    node("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Features of the last window" }, table));
}

function featureRow(feature) {
  const about = [
    feature.missing ? `${count(feature.missing)} missing${feature.missing_rises ? `, more than in the reference (${percent(feature.reference_missing, 1)})` : ""}` : null,
    feature.invalid ? `${count(feature.invalid)} of the wrong type` : null,
    feature.unseen ? `${count(feature.unseen)} unseen` : null,
  ].filter(Boolean).join(", ");
  return node("tr", {},
    node("th", { scope: "row" }, feature.name),
    node("td", { class: "found" }, feature.drifted ? pill("drifting", "drifted") : ""),
    node("td", { class: "test" }, feature.test),
    node("td", { class: "number", title: `threshold ${number(feature.threshold)}` }, number(feature.statistic)),
    node("td", { class: "number p" }, pValue(feature.p_value)),
    node("td", { class: "words" }, feature.reference || "–", " → ", node("b", {}, feature.current || "–"),
      about ? node("br") : null, about || null));
}

function alertsCard(alerts) {
  const firing = alerts.filter((alert) => alert.status === "firing").length;
  const words = firing ? `${firing} firing` : "none is firing";
  const header = node("header", {}, node("h3", {}, "Alerts"), node("p", {}, words));
  if (!alerts.length) return node("section", { class: "card" }, header, node("p", { class: "quiet" }, "There has been no alert."));
  const rank = (alert) => (alert.status === "firing" ? LEVELS.indexOf(alert.level) : -1);
  const sorted = [...alerts].sort((a, b) => rank(b) - rank(a));
  const list = node("ul", { class: "alerts" }, ...sorted.slice(0, LISTED).map(alertItem));
  if (sorted.length <= LISTED) return node("section", { class: "card" }, header, list);
  const more = node("button", { type: "button", class: "more" }, `Show all ${count(sorted.length)}`);
  more.addEventListener("click", () => {
    list.append(...sorted.slice(LISTED).map(alertItem));
    list.children[LISTED].querySelector("summary").focus();
    more.remove();
  });
  return node("section", { class: "card" }, header, list, more);
}

function alertItem(alert) {
  const id = `${alert.fingerprint} ${alert.started_at}`;
  const span = alert.ended_at ? `${moment(alert.started_at, false)} to ${moment(alert.ended_at, false)}` : `since ${moment(alert.started_at, false)}`;
  const firing = alert.status === "firing";
  const details = node("details", { open: open.has(id) },
    node("summary", {}, pill(firing ? alert.level : "", firing ? alert.level : "resolved"), node("b", {}, alert.title), node("time", {}, span)),
    node("pre", {}, alert.message));
  details.addEventListener("toggle", () => (details.open ? open.add(id) : open.delete(id)));
  return node("li", {}, details);
}

function nothingRegistered() {
  return node("section", { class: "card empty" },
    node("h2", {}, "No model is registered yet"),
    node("p", {}, "Give Driftline a table of what the model saw when it was good: its features, its predictions and, if you have it, the truth. From then on every prediction is compared with it."),
    node("pre", {}, "driftline register --model churn --version 1 --reference reference.csv"));
}

function nothingYet(model) {
  return node("section", { class: "card empty" },
    node("h2", {}, "Waiting for the first window"),
    node("p", {}, "The model is registered. As soon as predictions arrive and the first pane of time has passed, drift and performance stand here."),
    node("pre", {}, `curl -X POST ${location.origin}/predictions -d '{"model": "${model.model}", "model_version": "${model.model_version}",\n  "features": {…}, "prediction": 1, "probability": 0.8}'\n\n` +
      `driftline replay --model ${model.model} --version ${model.model_version} --predictions predictions.csv`));
}

// ---- start ---------------------------------------------------------------

let resizing = 0;
window.addEventListener("resize", () => {
  cancelAnimationFrame(resizing);
  resizing = requestAnimationFrame(() => { if (shown && shown.timeline && shown.timeline.points.length) drawChart(shown.timeline); });
});
window.addEventListener("popstate", () => refresh(true).catch(() => {}));
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh().catch(() => {}); });
poll();
