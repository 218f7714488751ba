// Windows over time: the share of features drifted, and the metric beside its baseline, with alerts.

import { LEVELS, METRICS, count, measure, moment, node, percent, svg, isShare } from "./words.js";

const TOP = 26, GAP = 34, FOOT = 24, LEFT = 46, RIGHT = 8;

export const chart = node("div", { class: "chart" });

export function drawChart(timeline) {
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
    const known = worstAt.get(at) || { level: m.level, titles: [] };
    const level = LEVELS.indexOf(m.level) > LEVELS.indexOf(known.level) ? m.level : known.level;
    worstAt.set(at, { level, titles: [...known.titles, m.title] });
  }
  // the worst last, so that no milder one close by covers it
  for (const [at, mark] of [...worstAt].sort((a, b) => LEVELS.indexOf(a[1].level) - LEVELS.indexOf(b[1].level))) {
    const made = svg("path", { class: `mark ${mark.level}`, d: `M${x(at)} ${TOP + 1}l-4.5 -8h9z` });
    made.append(svg("title", {}, mark.titles.join("\n")));
    plot.append(made);
  }
}

function drawTimes(plot, x, first, last, bottom, width) {
  const ticks = Math.max(2, Math.min(7, Math.floor(width / 150)));
  const days = (last - first) / 86400000;
  const date = { day: "numeric", month: "short" }, time = { hour: "2-digit", minute: "2-digit" };
  const form = days > 300 ? { month: "short", year: "numeric" } : days > 4 ? date : days > 0.5 ? { ...date, ...time } : time;
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
