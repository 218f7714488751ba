// One model version: its last window, how it came there, its features, its alerts.

import { alertList } from "./alert.js";
import { of, read } from "./api.js";
import { chartHost, node } from "./dom.js";
import { measure } from "./overview.js";
import { card, code, empty, facts, head, keys, link, notice, pill } from "./parts.js";
import { featureAt, modelAt, overviewAt } from "./route.js";
import { spark } from "./spark.js";
import { STATES, chance, count, length, metricName, moment, niceTicks, none, number, percent, plural, span, testName, wholeTicks } from "./words.js";

export const title = (route) => `${route.model} ${route.version}`;

export async function load(route) {
  const at = of(route.model, route.version);
  const { metric, window: end } = route.asked;
  const ask = new URLSearchParams(metric ? { metric } : {});
  const whose = new URLSearchParams({ model: route.model, version: route.version });
  const [timeline, alerts] = await Promise.all([read(`${at}/timeline?${ask}`), read(`/alerts?${whose}`)]);
  const chosen = end && timeline.ends.includes(end) ? end : null;
  const features = timeline.drift_share.some((share) => !none(share))
    ? await read(`${at}/features${chosen ? `?end=${encodeURIComponent(chosen)}` : ""}`).catch((error) => ({ gone: error.message })) : null;
  return { timeline, alerts: alerts.alerts, features, chosen };
}

export const affected = (route, change) =>
  change.models.some((m) => m.model === route.model && m.model_version === route.version) || change.lists.includes("alerts");

export function draw(data, route, { models }) {
  const { timeline, alerts, features, chosen } = data;
  const summary = (models || []).find((m) => m.model === route.model && m.model_version === route.version);
  const i = chosen ? timeline.ends.indexOf(chosen) : timeline.ends.length - 1;
  const parts = [heading(route, summary, chosen)];
  if (!timeline.ends.length) return [...parts, waiting(route, summary), alerts.length ? alertList("alerts", alerts, { about: "of this model version" }) : null];
  if (chosen) parts.push(notice("chosen", node("span", {}, "You look at the window until ", node("b", {}, moment(chosen)), ". "), link(modelAt(route.model, route.version, { ...route.asked, window: null }), "Go to the newest")));
  const k = chosen ? i : newestTruth(timeline);
  return [...parts, numbers(timeline, i, k, features), leftOutPart(timeline, k), overTime(timeline, route, chosen), alertsPart(alerts), features ? featuresPart(features, route, chosen) : null, features ? usualPart(features) : null];
}

function heading(route, summary, chosen) {
  const about = summary && [summary.task, none(summary.features) ? null : plural(summary.features, "feature"),
    none(summary.window_end) ? null : `last window ${span(summary.window_start, summary.window_end)}`, summary.not_judged || summary.thin, summary.not_judged_since ? `not judged since ${moment(summary.not_judged_since)}` : null, summary.usual && summary.usual.from === "learning" ? learningWords(summary.usual) : null].filter(Boolean).join(" · ");
  return head("head", [route.model, " ", node("span", { class: "version" }, route.version)],
    { trail: [link(overviewAt(), "Models")], state: summary ? pill(summary.state, `${chosen ? "now: " : ""}${STATES[summary.state]}`) : null, about });
}

// The newest window whose truth has come: enough to judge, else any, else the newest of all.
function newestTruth(t) {
  const enough = t.truth.lastIndexOf(true);
  const some = enough >= 0 ? enough : t.coverage.findLastIndex((share) => share > 0);
  return some >= 0 ? some : t.ends.length - 1;
}

function numbers(t, i, k, features) {
  const series = t.metric;
  const until = k === i ? "" : `; window until ${moment(t.ends[k])}`; // truth comes late
  const none_yet = none(t.coverage[k]) || t.coverage[k] === 0;
  const drifted = features && features.columns ? features.columns.filter((c) => c.role === "feature") : null;
  const enough = t.sufficient[i];
  return facts("facts", [
    ["Predictions in the window", count(t.n[i]), enough ? "enough to judge" : "too few to judge drift"],
    ["Features drifted", drifted && enough ? `${drifted.filter((c) => c.found.drifted).length} of ${drifted.length}` : none(t.drift_share[i]) ? null : percent(t.drift_share[i]),
      none(t.drift_threshold) ? null : `data drift from ${percent(t.drift_threshold)}`, t.drift_detected[i] && enough ? "bad" : null],
    series && [metricName(series.name), none(series.value[k]) ? null : measure(series.name, series.value[k]),
      none_yet ? "no truth yet" : `${series.not_judged[k] ? `not judged: ${series.not_judged[k]}` : `${measure(series.name, series.baseline)} on the reference`}${until}`, series.degraded[k] ? "bad" : null],
    series && !none(series.estimated[i]) && ["Estimated without truth", measure(series.name, series.estimated[i]), metricName(series.name)],
    ["Truth received", none_yet ? "none yet" : percent(t.coverage[k]), `of the predictions in the window${none_yet || k === i ? "" : ` until ${moment(t.ends[k])}`}`],
  ]);
}

function leftOutPart(t, k) {
  const records = Object.entries(t.left_out).map(([reason, n]) => `${reason} ${count(n)}`);
  if (!t.accounting[k].length && !records.length) return null;
  return card("left-out", "Not in these numbers", null,
    node("ul", { class: "plain" }, t.accounting[k].map((line) => node("li", { class: "warn" }, line)),
      records.length ? node("li", {}, `Records that no window counts, since the first: ${records.join(", ")}`) : null));
}

// ---- over time -------------------------------------------------------------

function overTime(t, route, chosen) {
  const small = innerWidth < 560;
  const series = t.metric;
  const share = { name: "Features drifted", tall: small ? 84 : 104, low: 0, high: 1, ticks: [0, 0.5, 1], words: (v) => percent(v), limit: t.drift_threshold,
    lines: [{ kind: "share", words: "Features drifted", area: true, values: t.drift_share.map((v, i) => (t.sufficient[i] ? v : null)) }] };
  const panels = [share];
  if (series) panels.push(metricPanel(series, small));
  const most = Math.max(1, ...t.n.filter((n) => !none(n)));
  panels.push({ name: "Predictions in the window", tall: small ? 44 : 54, low: 0, high: most * 1.05, ticks: wholeTicks(0, most, 2), words: compact,
    lines: [{ kind: "volume", words: "Predictions", bars: true, values: t.n, faint: t.sufficient.map((enough) => !enough), told: count }] });
  if (t.coverage.some((v) => !none(v))) panels.push({ name: "Truth received", tall: small ? 44 : 54, low: 0, high: 1, ticks: [0, 1], words: (v) => percent(v),
    lines: [{ kind: "coverage", words: "Truth received", area: true, values: t.coverage }] });
  const data = {
    name: "Windows over time; arrow keys move, Enter opens a window", ends: t.ends.map(Date.parse), panels, chosen: chosen ? t.ends.indexOf(chosen) : null,
    marks: t.marks.map((m) => ({ level: m.level, title: m.title, start: Date.parse(m.started_at), end: m.ended_at ? Date.parse(m.ended_at) : null })),
    onPick: (i) => { location.hash = modelAt(route.model, route.version, { ...route.asked, window: i === t.ends.length - 1 ? null : t.ends[i] }); },
  };
  return card("over-time", "Over time", `${plural(t.ends.length, "window")}; choose one to see its features`,
    t.metrics.length > 1 ? metricChoice(t, series) : null, chartHost("time", "timeline", data),
    keys(["share", "Share of features drifted"], series && ["value", `${metricName(series.name)}, with its 95 % interval`], series && series.estimated.some((v) => !none(v)) && ["estimated", "Estimated without truth"],
      ["limit", series ? "Threshold, baseline" : "Threshold"], t.marks.length && ["alert", "Alert"]));
}

function metricChoice(t, series) {
  return node("label", { class: "choice", "data-key": "metric" }, "Metric ",
    node("select", { id: "metric", "data-choose": "metric" }, t.metrics.map((name) => node("option", { value: name, selected: name === series.name }, metricName(name)))));
}

function metricPanel(s, small) {
  const values = [...s.value, ...s.estimated, s.baseline, s.estimated_baseline].filter((v) => !none(v));
  let [low, high] = [Math.min(...values), Math.max(...values)];
  const pad = (high - low) * 0.15 || Math.abs(high) * 0.05 || 0.1;
  const share = !["mae", "rmse", "log_loss", "r2", "brier"].includes(s.name);
  [low, high] = [share || low >= 0 ? Math.max(0, low - pad) : low - pad, share ? Math.min(1, high + pad) : high + pad];
  const ticks = niceTicks(low, high, 3);
  return { name: metricName(s.name), tall: small ? 96 : 124, low: Math.min(low, ticks[0]), high: Math.max(high, ticks.at(-1)), ticks, words: (v) => (share ? percent(v) : number(v, 2)), limit: s.baseline,
    band: { low: s.low, high: s.high },
    lines: [{ kind: "estimated", words: "Estimated", values: s.estimated, told: (v) => measure(s.name, v) }, { kind: "value", words: metricName(s.name), values: s.value, bad: s.degraded, told: (v) => measure(s.name, v) }] };
}

const compact = (value) => (value >= 1e6 ? `${+(value / 1e6).toFixed(1)}M` : value >= 1000 ? `${+(value / 1000).toFixed(1)}k` : String(value));

// ---- alerts and features ---------------------------------------------------

function alertsPart(alerts) {
  const firing = alerts.filter((a) => a.status === "firing").length;
  if (!alerts.length) return card("alerts", "Alerts", null, node("p", { class: "quiet" }, "There has been no alert of this model version."));
  return alertList("alerts", alerts, { about: firing ? `${count(firing)} firing` : "none is firing", most: 5 });
}

function featuresPart(features, route, chosen) {
  if (features.gone) return card("features", "Features", null, node("p", { class: "quiet" }, "The features of a window so long ago are not kept here: the time line has their share. Newer windows have them all."));
  const effect = ({ found }) => (none(found.statistic) ? -1 : found.statistic / (found.threshold || 1));
  const order = (a, b) => b.found.drifted - a.found.drifted || effect(b) - effect(a) || (a.found.name < b.found.name ? -1 : 1);
  const drifted = features.columns.filter((c) => c.found.drifted), calm = features.columns.filter((c) => !c.found.drifted);
  const special = (a, b) => (a.role === "feature") - (b.role === "feature");
  const rows = [...drifted.sort(order), ...calm.sort((a, b) => special(a, b) || order(a, b))];
  const unknown = Object.entries(features.unknown_features);
  return card("features", "Window against the reference", `${span(features.window_start, features.window_end)}, ${count(features.n)} predictions`,
    node("table", { class: "features" },
      node("thead", {}, node("tr", {}, [["Column"], ["State"], ["Over time", "wide"], ["Statistic", "number"], ["p", "number"], ["Reference → window"]].map(([words, kind]) => node("th", { scope: "col", class: kind }, words)))),
      node("tbody", {}, rows.map((column) => featureRow(column, route, chosen)))),
    unknown.length ? node("p", { class: "quiet unknown" }, `Not in the reference: ${unknown.slice(0, 8).map(([name, n]) => `${name} (${count(n)})`).join(", ")}`) : null);
}

// ---- what is usual ---------------------------------------------------------

const learningWords = (u) => `learning what is usual: ${count(u.days)} of ${plural(u.needs, "day")}${u.until ? `, until ${moment(u.until)} at the earliest` : ""}`;

function usualPart({ usual, columns }) {
  if (!usual) return null;
  const judged = columns.filter((c) => c.judged);
  const words = usual.from === "learning" ? `The reference has no times, so how far columns come and go by the hour and the day is learned from the stream: ${learningWords(usual).split(": ")[1]}. Meanwhile any difference above its floor is drift, at night too.`
    : usual.from === "live" ? `Learned from the first ${plural(usual.needs, "day")} of the stream, until ${moment(usual.until)}.` : `Learned from the reference's own windows, ${span(usual.since, usual.until)}.`;
  const time = (seconds, otherwise) => (none(seconds) ? otherwise : length(seconds));
  return card("usual", "What will be found", "after how long, where so many rows are moved", node("p", { class: "quiet" }, words),
    judged.length ? node("table", { class: "usual" },
      node("thead", {}, node("tr", {}, ["Column", "Judged from", "20 %", "50 %", "90 %"].map((name, i) => node("th", { scope: "col", class: i ? "number" : null }, name)))),
      node("tbody", {}, judged.map(({ role, found, judged: j }) => node("tr", { "data-key": `${role} ${found.name}` }, node("th", { scope: "row" }, found.name),
        node("td", { class: "number", "data-name": "judged from" }, time(j.judged_from, "not judged")), j.after.map((seconds, i) => node("td", { class: "number", "data-name": ["20 %", "50 %", "90 %"][i] }, time(seconds, "–"))))))) : null);
}

function featureRow({ role, found, since, recent }, route, chosen) {
  const bad = [found.missing_rises ? `${count(found.missing)} missing, more than before` : null, found.invalid ? `${count(found.invalid)} of the wrong type` : null,
    found.unseen_rises ? `${count(found.unseen)} unseen` : null].filter(Boolean).join(", ");
  const usual = [found.missing && !found.missing_rises ? `${count(found.missing)} missing` : null, found.unseen && !found.unseen_rises ? `${count(found.unseen)} unseen` : null,
    found.out_of_range ? `${count(found.out_of_range)} out of range` : null].filter(Boolean).join(", ");
  const state = found.drifted ? pill("drifting", "drifted") : none(found.statistic) ? pill("", "no values") : "";
  return node("tr", { "data-key": `${role} ${found.name}` },
    node("th", { scope: "row" }, link(featureAt(route.model, route.version, role, found.name, { window: chosen }), found.name), role === "feature" ? null : node("small", {}, role === found.name ? "" : role)),
    node("td", { class: "found" }, state, since ? node("small", {}, `since ${moment(since)}`) : null),
    node("td", { class: "wide" }, spark(recent, { high: found.threshold * 2, limit: found.threshold })),
    node("td", { class: "number" }, number(found.statistic), node("small", {}, testName(found.test))),
    node("td", { class: "number p" }, chance(found.p_value)),
    node("td", { class: "words" }, found.reference || "–", " → ", node("b", {}, found.current || "–"), bad ? node("small", { class: "warn" }, bad) : null, usual ? node("small", {}, usual) : null));
}

function waiting(route, summary) {
  if (summary && summary.learning) return empty("waiting", "Learning the reference", `This version is not judged yet: ${summary.not_judged}.`);
  const window = summary && !none(summary.window_seconds) ? ` A window of this model lasts ${Math.round(summary.window_seconds / 60) || "less than 1"} min.` : "";
  const call = `curl ${location.origin}/predictions -H 'content-type: application/json' -d '{\n  "model": ${JSON.stringify(route.model)}, "model_version": ${JSON.stringify(route.version)},\n  "features": {…}, "prediction": 1, "probability": 0.8}'`;
  return empty("waiting", "Waiting for the first window", `The model is registered. As soon as predictions arrive and the first pane of time has passed, drift and performance stand here.${window}`,
    node("ol", { class: "steps" }, node("li", {}, node("b", {}, "From your service,"), " for each prediction or in lists:", code(call)),
      node("li", {}, node("b", {}, "Or from a file,"), " with its own times:", code(`driftline replay --model ${route.model} --version ${route.version} --predictions predictions.csv`))));
}
