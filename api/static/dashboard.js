"use strict";

const POLL_MS = 2000;
const LISTED = 6; // alerts that are listed at once
const STATES = {
  waiting: "waiting", insufficient: "too few", healthy: "healthy", drifting: "drifting", degraded: "degraded", alerting: "alert",
};
const METRICS = { accuracy: "Accuracy", r2: "R²", rmse: "RMSE", mae: "Mean absolute error" };
const $ = (id) => document.getElementById(id);

let models = [];
let shown = null; // {key, timeline, drift, performance, alerts}: what the page shows now
let drawn = ""; // the text of it, so that nothing is drawn twice
let scrolledTo = null; // the model version whose link was last brought into view
const open = new Set(); // alerts that the reader has unfolded

// ---- small helpers -------------------------------------------------------

function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function svg(tag, attributes = {}, text = null) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== null) made.textContent = text;
  return made;
}

const percent = (value, digits = 0) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(digits)} %`);
const count = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));

function number(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(1);
  return value.toFixed(digits);
}

const isShare = (metric) => metric === "accuracy";
const measure = (metric, value, digits = 1) => (isShare(metric) ? percent(value, digits) : number(value));

function pValue(value) {
  if (value === null || value === undefined) return "–";
  return value < 1e-12 ? "< 1e-12" : value < 1e-3 ? value.toExponential(1) : value.toFixed(3);
}

function moment(text, long = true) {
  const date = new Date(text);
  const day = date.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
  const time = date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
  return long || time !== "00:00" ? `${day}, ${time} UTC` : day;
}

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
    feature.missing ? `${count(feature.missing)} missing` : null,
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
  const sorted = [...alerts].sort((a, b) => (b.status === "firing") - (a.status === "firing"));
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

// ---- the chart -----------------------------------------------------------

const TOP = 26, GAP = 34, FOOT = 24, LEFT = 46, RIGHT = 8;

const chart = node("div", { class: "chart" });

function drawChart(timeline) {
  const width = Math.max(280, chart.clientWidth);
  const points = timeline.points.map((p) => ({ ...p, at: Date.parse(p.end) }));
  const withMetric = timeline.metric && points.some((p) => p.value !== null || p.estimated !== null);
  const tall = width < 560 ? 96 : 116;
  const height = TOP + tall + (withMetric ? GAP + tall : 0) + FOOT;
  let [first, last] = [points[0].at, points[points.length - 1].at];
  if (first === last) [first, last] = [first - 60000, last + 60000];
  const x = (at) => LEFT + ((width - LEFT - RIGHT) * (at - first)) / (last - first);
  const plot = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": summary(timeline) });
  const upper = { top: TOP, tall, low: 0, high: 1 };
  const lower = { top: TOP + tall + GAP, tall, ...metricRange(timeline, points) };
  const bottom = withMetric ? lower.top + tall : upper.top + tall;
  drawAlerts(plot, timeline.marks, x, first, last, bottom);
  drawTimes(plot, x, first, last, bottom, width);
  drawPanel(plot, upper, "Features drifted", (v) => percent(v), width, timeline.drift_threshold);
  drawShare(plot, upper, points, x);
  if (withMetric) {
    drawPanel(plot, lower, METRICS[timeline.metric], (v) => measure(timeline.metric, v, 0), width, timeline.baseline);
    drawMetric(plot, lower, points, x);
  }
  chart.replaceChildren(plot);
  follow(plot, points, x, bottom, timeline, width);
}

const yOf = (panel, value) => panel.top + panel.tall * (1 - (value - panel.low) / (panel.high - panel.low));

function metricRange(timeline, points) {
  const values = points.flatMap((p) => [p.value, p.estimated]).concat(timeline.baseline).filter((v) => v !== null && v !== undefined);
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (isShare(timeline.metric)) {
    [low, high] = [Math.max(0, Math.floor(low * 20 - 0.6)), Math.min(20, Math.ceil(high * 20 + 0.6))];
    if ((high - low) % 2) low > 0 ? (low -= 1) : (high += 1);
    [low, high] = [low / 20, high / 20];
  } else [low, high] = [low - 0.1 * (high - low || 1), high + 0.1 * (high - low || 1)];
  return { low, high };
}

function drawPanel(plot, panel, name, words, width, limit) {
  plot.append(svg("text", { class: "name", x: LEFT, y: panel.top - 9 }, name));
  for (const value of [panel.low, (panel.low + panel.high) / 2, panel.high]) {
    const y = yOf(panel, value);
    plot.append(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }));
    plot.append(svg("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" }, words(value)));
  }
  if (limit === null || limit === undefined) return;
  const y = yOf(panel, limit);
  plot.append(svg("line", { class: "limit", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }));
}

function runs(points, has) {
  const found = [];
  let run = [];
  for (const point of points) {
    if (has(point)) run.push(point);
    else if (run.length) { found.push(run); run = []; }
  }
  return run.length ? [...found, run] : found;
}

const path = (places) => places.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

function drawLine(plot, panel, run, x, name, kind, dot) {
  if (run.length === 1) {
    plot.append(svg("circle", { class: dot, cx: x(run[0].at), cy: yOf(panel, run[0][name]), r: 2.5 }));
    return;
  }
  plot.append(svg("path", { class: kind, d: path(run.map((p) => [x(p.at), yOf(panel, p[name])])) }));
}

function drawShare(plot, panel, points, x) {
  for (const run of runs(points, (p) => p.drift_share !== null && p.sufficient)) {
    const line = run.map((p) => [x(p.at), yOf(panel, p.drift_share)]);
    const base = yOf(panel, 0);
    if (run.length > 1) plot.append(svg("path", { class: "share-area", d: `${path(line)}L${line.at(-1)[0]} ${base}L${line[0][0]} ${base}Z` }));
    drawLine(plot, panel, run, x, "drift_share", "share", "share-dot");
  }
  for (const point of points.filter((p) => p.drift_share !== null && !p.sufficient)) {
    plot.append(svg("circle", { class: "few", cx: x(point.at), cy: yOf(panel, 0), r: 1.5 }));
  }
}

function drawMetric(plot, panel, points, x) {
  const within = (v) => yOf(panel, Math.min(panel.high, Math.max(panel.low, v)));
  for (const run of runs(points, (p) => p.value !== null && p.low !== null && p.high !== null)) {
    const upper = run.map((p) => [x(p.at), within(p.high)]);
    const lower = run.map((p) => [x(p.at), within(p.low)]).reverse();
    plot.append(svg("path", { class: "interval", d: `${path([...upper, ...lower])}Z` }));
  }
  for (const run of runs(points, (p) => p.estimated !== null)) drawLine(plot, panel, run, x, "estimated", "estimated", "few");
  for (const run of runs(points, (p) => p.value !== null)) drawLine(plot, panel, run, x, "value", "value", "value-dot");
}

function drawAlerts(plot, marks, x, first, last, bottom) {
  const seen = marks.filter((m) => Date.parse(m.started_at) <= last && (!m.ended_at || Date.parse(m.ended_at) >= first));
  const spans = seen.map((m) => [Math.max(first, Date.parse(m.started_at)), m.ended_at ? Math.min(last, Date.parse(m.ended_at)) : last]);
  spans.sort((a, b) => a[0] - b[0]);
  const merged = [];
  for (const [start, end] of spans) {
    const before = merged.at(-1);
    if (before && start <= before[1]) before[1] = Math.max(before[1], end);
    else merged.push([start, end]);
  }
  for (const [start, end] of merged) {
    plot.append(svg("rect", { class: "band", x: x(start), y: TOP, width: Math.max(2, x(end) - x(start)), height: bottom - TOP }));
  }
  const worstAt = new Map();
  for (const m of seen) {
    const at = Math.max(first, Date.parse(m.started_at));
    const known = worstAt.get(at);
    worstAt.set(at, { level: known && known.level === "critical" ? "critical" : m.level, titles: [...(known ? known.titles : []), m.title] });
  }
  for (const [at, mark] of worstAt) {
    const made = svg("path", { class: `mark ${mark.level}`, d: `M${x(at)} ${TOP + 1}l-4.5 -8h9z` });
    made.append(svg("title", {}, mark.titles.join("\n")));
    plot.append(made);
  }
}

function drawTimes(plot, x, first, last, bottom, width) {
  const ticks = Math.max(2, Math.min(7, Math.floor(width / 150)));
  const days = (last - first) / 86400000;
  const form = days > 300 ? { month: "short", year: "numeric" } : days > 2 ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit" };
  for (let i = 0; i <= ticks; i++) {
    const at = first + ((last - first) * i) / ticks;
    const anchor = i === 0 ? "start" : i === ticks ? "end" : "middle";
    const words = new Date(at).toLocaleString("en-GB", { ...form, timeZone: "UTC" });
    plot.append(svg("text", { x: x(at), y: bottom + 18, "text-anchor": anchor }, words));
  }
}

function summary(timeline) {
  const last = timeline.points.at(-1);
  const words = [`${timeline.points.length} windows. In the last, ${percent(last.drift_share)} of the features have drifted`];
  if (last.value !== null) words.push(`${METRICS[timeline.metric]} is ${measure(timeline.metric, last.value)}`);
  return `${words.join("; ")}. ${timeline.marks.length} alerts.`;
}

let pointer = null; // where over the chart the pointer is, in pixels of the window
let pointOut = () => {};
chart.addEventListener("pointermove", (event) => { pointer = event.clientX; pointOut(); });
chart.addEventListener("pointerleave", () => { pointer = null; pointOut(); });

function follow(plot, points, x, bottom, timeline, width) {
  const cursor = svg("line", { class: "cursor", y1: TOP, y2: bottom });
  const tip = node("div", { class: "tip" });
  plot.append(cursor);
  chart.append(tip);
  const line = (name, words) => node("p", {}, node("span", {}, name), node("span", {}, words));
  pointOut = () => {
    tip.hidden = pointer === null;
    cursor.setAttribute("visibility", tip.hidden ? "hidden" : "visible");
    if (tip.hidden) return;
    const box = plot.getBoundingClientRect();
    const at = ((pointer - box.left) * width) / box.width;
    const point = points.reduce((best, p) => (Math.abs(x(p.at) - at) < Math.abs(x(best.at) - at) ? p : best));
    const place = x(point.at);
    cursor.setAttribute("x1", place);
    cursor.setAttribute("x2", place);
    tip.replaceChildren(node("b", {}, moment(point.end, false)), line("Predictions", count(point.n)),
      line("Features drifted", point.sufficient || point.drift_share === null ? percent(point.drift_share) : "too few"),
      ...(timeline.metric ? [line(METRICS[timeline.metric], measure(timeline.metric, point.value)),
        line("Estimated", measure(timeline.metric, point.estimated)), line("Truth received", percent(point.coverage))] : []));
    const left = place + 14 + tip.offsetWidth > width ? place - 14 - tip.offsetWidth : place + 14;
    tip.style.left = `${Math.max(0, left)}px`;
  };
  pointOut();
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
