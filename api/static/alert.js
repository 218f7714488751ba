// An alert with its evidence, and lists of them.

import { chartHost, node } from "./dom.js";
import { measure } from "./overview.js";
import { button, card, link, pill, when } from "./parts.js";
import { featureAt, modelAt } from "./route.js";
import { rowsHost } from "./rows.js";
import { LEVELS, chance, count, metricName, moment, none, number, percent, ruleName, span, testName } from "./words.js";

const MOST_COLUMNS = 6;
const BESIDE = ["since", "ended", "window", "link", "column"]; // kinds of facts that are not shown as lines

export const idOf = (alert) => `${alert.fingerprint} ${alert.started_at}`;
const rank = (alert) => (alert.status === "firing" ? LEVELS.indexOf(alert.level) + (alert.silenced_by ? 0 : 10) : -1);

export const worstFirst = (alerts) => [...alerts].sort((a, b) => rank(b) - rank(a) || Date.parse(b.started_at) - Date.parse(a.started_at));

export function alertList(key, alerts, { about = null, most = 20, name = "Alerts" } = {}) {
  const sorted = worstFirst(alerts);
  const rest = sorted.slice(most);
  return card(key, name, about, list(sorted.slice(0, most)),
    rest.length ? node("details", { class: "more", "data-key": "more" }, node("summary", {}, `Show ${count(rest.length)} more`), list(rest)) : null);
}

const list = (alerts) => rowsHost(alerts.map((one) => ({ key: idOf(one), source: stampOf(one), draw: () => item(one) })), { class: "alerts" });
const stampOf = (alert) => `${alert.alert_id} ${alert.silenced_by || ""}`; // what a transition says is never another

function item(alert) {
  const firing = alert.status === "firing";
  const state = firing ? pill(alert.silenced_by ? "silenced" : alert.level, alert.silenced_by ? "silenced" : alert.level) : pill("", "resolved");
  const since = firing ? ["since ", when(alert.started_at)] : [span(alert.started_at, alert.ended_at || alert.started_at)];
  return node("li", { "data-key": idOf(alert) },
    node("details", { "data-unfold": idOf(alert) },
      node("summary", {}, state, node("b", {}, alert.title), node("span", { class: "since" }, since)),
      node("div", { class: "evidence" }, evidence(alert))));
}

function evidence(alert) {
  const { model, model_version: version } = alert.labels;
  const e = alert.evidence;
  const window = e.window_end || null;
  const told = words(alert);
  return [
    e.window_end ? node("p", { class: "quiet" }, `Seen in the window ${span(e.window_start, e.window_end)}, of ${count(e.n)} predictions`) : null,
    told ? node("p", { class: "message" }, told) : null,
    columns(e, model, version, window),
    metrics(e, alert.labels.metric),
    shares(e),
    node("p", { class: "ids" }, `Rule ${ruleName(alert.rule)} · level ${alert.level} · fired ${moment(alert.started_at)}${alert.ended_at ? ` · resolved ${moment(alert.ended_at)}` : ""}`),
    node("p", { class: "acts" },
      model && version ? link(modelAt(model, version, { window }), window ? "Open the window" : "Open the model") : null,
      alert.status !== "firing" ? null : alert.silenced_by ? link(`#/alerts`, "It is silenced: see until when")
        : button("silence", "Silence…", { class: "act", "data-alert": idOf(alert) })),
  ];
}

// The message without what is shown beside it (each line is that of a fact), and without times of another zone.
function words(alert) {
  const lines = alert.message.split("\n"), s = alert.summary;
  const facts = s ? [...s.notes, ...s.facts, ...(s.related ? s.related.facts : []), ...s.advice] : [];
  return lines.filter((line, i) => line.trim() && !(facts.length === lines.length && isBeside(facts[i].kind, alert.evidence))).join("\n");
}

// A metric's row is of the whole window: where the newest panes decided, its line has other numbers.
const isBeside = (kind, e) => BESIDE.includes(kind) || (kind === "metric" && !e.scales);

function columns(e, model, version, window) {
  const given = [...(e.prediction || []), ...(e.features || [])].filter((f) => f && f.drifted);
  if (!given.length) return null;
  const role = (f) => (e.prediction || []).includes(f) ? (f === e.prediction[0] ? "prediction" : "probability") : "feature";
  const shown = given.slice(0, MOST_COLUMNS);
  return node("div", { class: "columns" }, shown.map((f) => node("figure", { "data-key": `column ${f.name}` },
    node("figcaption", {}, model ? link(featureAt(model, version, role(f), f.name, { window }), f.name) : f.name, " ",
      node("small", {}, `${testName(f.test)} ${number(f.statistic)}, threshold ${number(f.threshold)}, p ${chance(f.p_value)}`)),
    f.shape ? chartHost("distribution", `shape ${f.name}`, { shape: f.shape, kind: f.kind, name: f.name, reference: f.reference, current: f.current, small: true })
      : node("p", { class: "quiet" }, f.reference || "–", " → ", node("b", {}, f.current || "–")))),
  given.length > shown.length ? node("p", { class: "quiet" }, `and ${count(given.length - shown.length)} more`) : null);
}

// That of the alert first.
function metrics(e, own) {
  const given = (e.metrics || []).filter((m) => !none(m.value)).sort((a, b) => (b.name === own) - (a.name === own));
  if (!given.length) return null;
  return node("table", { class: "metrics" }, node("thead", {}, node("tr", {}, ["Metric", "Window", "95 % interval", "Reference", "Change"].map((words) => node("th", { scope: "col" }, words)))),
    node("tbody", {}, given.map((m) => node("tr", {}, node("th", { scope: "row" }, metricName(m.name)), node("td", { class: m.degraded ? "bad" : null }, measure(m.name, m.value)),
      node("td", { "data-name": "95 %" }, none(m.low) ? "–" : `${measure(m.name, m.low)} to ${measure(m.name, m.high)}`), node("td", { "data-name": "reference" }, measure(m.name, m.baseline)),
      node("td", {}, m.judged === false ? `not judged: ${m.reason}` : none(m.relative) ? "–" : `${percent(Math.abs(m.relative), 1)} ${m.relative > 0 ? "worse" : "better"}`)))));
}

function shares(e) {
  const given = Object.entries(e.columns && !Array.isArray(e.columns) ? e.columns : {});
  const lists = [["lag", "records wait in"], ["dead_letters", "records set aside:"]].flatMap(([name, words]) => Object.entries(e[name] && typeof e[name] === "object" ? e[name] : {}).map(([what, n]) => `${count(n)} ${words} ${what}`));
  const lines = [...given.map(([name, share]) => `${name}: ${percent(share, 1)} of the rows${e.problem ? ` (${e.problem})` : ""}`), ...lists];
  return lines.length ? node("ul", { class: "plain" }, lines.map((line) => node("li", {}, line))) : null;
}
