// Windows over time: panels one below the other, alerts as marks, one window under the pointer or the arrow keys.

import { node, svg } from "./dom.js";
import { LEVELS, moment, ticksOfTime } from "./words.js";

const TOP = 22, GAP = 30, FOOT = 24, LEFT = 50, RIGHT = 4, INSET = 8;

// data: {name, ends: [ms], panels, marks: [{level, title, start, end}], chosen: index or null, onPick}
// a panel: {name, tall, low, high, ticks: [value], words: value => text, limit, band: {low, high}, lines: [{kind, words, values, bars, area, faint, bad}]}
export function drawTime(host) {
  const { data } = host;
  const width = Math.max(260, host.clientWidth);
  const plot = svg("svg", { "aria-hidden": "true", viewBox: `0 0 ${width} 10`, width });
  let [first, last] = [data.ends[0], data.ends.at(-1)];
  if (first === last) [first, last] = [first - 60000, last + 60000];
  const x = (at) => LEFT + INSET + ((width - LEFT - RIGHT - 2 * INSET) * (at - first)) / (last - first);
  let top = TOP;
  const panels = data.panels.map((panel) => {
    const placed = { ...panel, top, y: (value) => placed.top + panel.tall * (1 - (clamp(value, panel) - panel.low) / (panel.high - panel.low || 1)) };
    top += panel.tall + GAP;
    return placed;
  });
  const bottom = top - GAP;
  drawBands(plot, data, x, first, last, bottom);
  for (const panel of panels) drawPanel(plot, panel, data.ends.map(x), width);
  drawMarks(plot, data, x, first, last);
  drawTimes(plot, x, first, last, bottom, width);
  plot.setAttribute("viewBox", `0 0 ${width} ${bottom + FOOT}`);
  plot.setAttribute("height", bottom + FOOT);
  host.replaceChildren(plot);
  follow(host, plot, { x, panels, bottom, width });
}

const clamp = (value, panel) => Math.min(panel.high, Math.max(panel.low, value));
const known = (value) => value !== null && value !== undefined;
const path = (places) => places.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

function drawPanel(plot, panel, xs, width) {
  plot.append(svg("text", { class: "name", x: LEFT, y: panel.top - 9 }, panel.name));
  for (const value of panel.ticks) {
    const y = panel.y(value);
    plot.append(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }),
      svg("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" }, panel.words(value)));
  }
  if (panel.band) drawBand(plot, panel, xs);
  if (known(panel.limit)) {
    const y = panel.y(panel.limit);
    plot.append(svg("line", { class: "limit", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }));
  }
  for (const line of panel.lines) line.bars ? drawBars(plot, panel, line, xs) : drawLine(plot, panel, line, xs);
}

function runs(has, n) {
  const found = [];
  for (let i = 0; i < n; i++) {
    if (!has(i)) continue;
    const run = found.at(-1);
    if (run && run[1] === i - 1) run[1] = i;
    else found.push([i, i]);
  }
  return found;
}

function drawBand(plot, panel, xs) {
  const { low, high } = panel.band;
  for (const [a, b] of runs((i) => known(low[i]) && known(high[i]), xs.length)) {
    const up = [], down = [];
    for (let i = a; i <= b; i++) {
      up.push([xs[i], panel.y(high[i])]);
      down.unshift([xs[i], panel.y(low[i])]);
    }
    plot.append(svg("path", { class: "interval", d: `${path([...up, ...down])}Z` }));
  }
}

function drawLine(plot, panel, line, xs) {
  for (const [a, b] of runs((i) => known(line.values[i]), xs.length)) {
    const places = [];
    for (let i = a; i <= b; i++) places.push([xs[i], panel.y(line.values[i])]);
    if (line.area && a < b) plot.append(svg("path", { class: `${line.kind}-area`, d: `${path(places)}L${places.at(-1)[0]} ${panel.y(panel.low)}L${places[0][0]} ${panel.y(panel.low)}Z` }));
    if (a === b) plot.append(svg("circle", { class: `${line.kind}-dot`, cx: places[0][0], cy: places[0][1], r: 2.5 }));
    else plot.append(svg("path", { class: line.kind, d: path(places) }));
  }
  (line.bad || []).forEach((bad, i) => {
    if (bad && known(line.values[i])) plot.append(svg("circle", { class: "bad-dot", cx: xs[i], cy: panel.y(line.values[i]), r: 2.5 }));
  });
}

function drawBars(plot, panel, line, xs) {
  const room = xs.length > 1 ? (xs.at(-1) - xs[0]) / (xs.length - 1) : 12;
  const wide = Math.max(1, Math.min(2 * INSET - 2, room - (room > 4 ? 1 : 0)));
  const base = panel.y(panel.low);
  line.values.forEach((value, i) => {
    if (!known(value)) return;
    const y = panel.y(value);
    plot.append(svg("rect", { class: line.faint && line.faint[i] ? `${line.kind} few` : line.kind, x: xs[i] - wide / 2, y, width: wide, height: Math.max(0.5, base - y) }));
  });
}

function inView(data, first, last) {
  return data.marks.filter((mark) => mark.start <= last && (!mark.end || mark.end >= first));
}

function drawBands(plot, data, x, first, last, bottom) {
  const spans = inView(data, first, last).map((mark) => [Math.max(first, mark.start), mark.end ? Math.min(last, mark.end) : last]).sort((a, b) => a[0] - b[0]);
  const merged = [];
  for (const [start, end] of spans) {
    const before = merged.at(-1);
    if (before && start <= before[1]) before[1] = Math.max(before[1], end);
    else merged.push([start, end]);
  }
  for (const [start, end] of merged) plot.append(svg("rect", { class: "alert-band", x: x(start), y: TOP, width: Math.max(2, x(end) - x(start)), height: bottom - TOP }));
}

function drawMarks(plot, data, x, first, last) {
  // the worst last, so that no milder one close by covers it
  const marks = inView(data, first, last).sort((a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level));
  for (const mark of marks) {
    const made = svg("path", { class: `mark ${mark.level}`, d: `M${x(Math.max(first, mark.start)).toFixed(1)} ${TOP + 1}l-4.5 -8h9z` });
    made.append(svg("title", {}, mark.title));
    plot.append(made);
  }
}

function drawTimes(plot, x, first, last, bottom, width) {
  const wanted = Math.max(1, Math.min(7, Math.floor(width / 150)));
  ticksOfTime(first, last, wanted).forEach(([at, words], i) => {
    plot.append(svg("text", { x: x(at), y: bottom + 18, "text-anchor": i === 0 ? "start" : i === wanted ? "end" : "middle" }, words));
  });
}

// ---- one window under the pointer or the arrow keys ------------------------

function follow(host, plot, drawn) {
  const line = svg("line", { class: "cursor", y1: TOP, y2: drawn.bottom });
  const picked = svg("line", { class: "picked", y1: TOP, y2: drawn.bottom });
  const tip = node("div", { class: "tip", "aria-hidden": "true" });
  plot.append(picked, line);
  host.append(tip);
  host.drawn = { ...drawn, plot, line, picked, tip };
  if (!host.listening) listen(host);
  host.setAttribute("role", "slider");
  host.setAttribute("tabindex", "0");
  host.setAttribute("aria-label", host.data.name);
  host.setAttribute("aria-valuemin", "1");
  host.setAttribute("aria-valuemax", String(host.data.ends.length));
  point(host);
}

function listen(host) {
  host.listening = true;
  host.cursor = null; // the window that is pointed at
  const nearest = (event) => {
    const { plot, width, x } = host.drawn;
    const box = plot.getBoundingClientRect();
    const at = ((event.clientX - box.left) * width) / box.width;
    return host.data.ends.reduce((best, end, i, ends) => (Math.abs(x(end) - at) < Math.abs(x(ends[best]) - at) ? i : best), 0);
  };
  host.addEventListener("pointermove", (event) => { host.cursor = host.data.ends[nearest(event)]; point(host); });
  host.addEventListener("pointerleave", () => { host.cursor = null; point(host); });
  host.addEventListener("blur", () => { host.cursor = null; point(host); });
  host.addEventListener("click", (event) => host.data.onPick && host.data.onPick(nearest(event)));
  host.addEventListener("keydown", (event) => {
    const last = host.data.ends.length - 1;
    const now = placeOf(host);
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, PageUp: now + 10, PageDown: now - 10, Home: 0, End: last }[event.key];
    if (event.key === "Enter" && host.data.onPick) host.data.onPick(now);
    else if (to === undefined) return;
    else {
      host.cursor = host.data.ends[Math.max(0, Math.min(last, to))];
      point(host);
    }
    event.preventDefault();
  });
}

function placeOf(host) {
  const { ends, chosen } = host.data;
  const at = host.cursor === null ? -1 : ends.indexOf(host.cursor);
  return at >= 0 ? at : chosen ?? ends.length - 1;
}

function point(host) {
  const { data, drawn } = host;
  const { x, panels, line, picked, tip, width } = drawn;
  const i = placeOf(host);
  const rows = panels.flatMap((panel) => panel.lines.map((one) => [one.words, (one.told || panel.words)(one.values[i])]));
  host.setAttribute("aria-valuenow", String(i + 1));
  host.setAttribute("aria-valuetext", `${moment(data.ends[i])}: ${rows.map(([name, words]) => `${name} ${words}`).join(", ")}`);
  picked.setAttribute("visibility", known(data.chosen) ? "visible" : "hidden");
  if (known(data.chosen)) for (const name of ["x1", "x2"]) picked.setAttribute(name, x(data.ends[data.chosen]));
  tip.hidden = host.cursor === null || !data.ends.includes(host.cursor);
  line.setAttribute("visibility", tip.hidden ? "hidden" : "visible");
  if (tip.hidden) return;
  for (const name of ["x1", "x2"]) line.setAttribute(name, x(data.ends[i]));
  tip.replaceChildren(node("b", {}, moment(data.ends[i])), ...rows.map(([name, words]) => node("p", {}, node("span", {}, name), node("span", {}, words))));
  const right = x(data.ends[i]) + 14;
  tip.style.left = `${Math.max(0, right + tip.offsetWidth > width ? right - 28 - tip.offsetWidth : right)}px`;
}
