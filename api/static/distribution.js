// A column's reference beside what it is now. Numbers: both step functions, with the gap that the KS distance is.
// Categories: paired bars.

import { node, svg } from "./dom.js";
import { niceTicks, number, percent } from "./words.js";

export function drawDistribution(host) {
  const { shape, kind, name } = host.data;
  const width = Math.max(240, host.clientWidth);
  const plot = kind === "numeric" ? steps(shape, name, width, host.data.small) : bars(shape, width);
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", words(host.data));
  host.replaceChildren(plot);
}

export const keysOf = (kind) => node("div", { class: "keys", "aria-hidden": "true" },
  node("span", { class: "k-reference" }, "Reference"), node("span", { class: "k-current" }, "This window"),
  kind === "numeric" ? node("span", { class: "k-gap" }, "Largest gap: the KS distance") : null);

function words({ shape, kind, name, reference, current }) {
  if (kind !== "numeric") return `${name}: ${shape.at.map((at, i) => `${at} ${percent(shape.reference[i])} before, ${percent(shape.current[i])} now`).join("; ")}`;
  const i = widest(shape);
  return `${name}: ${reference} before, ${current} now. The largest gap, ${number(gap(shape, i))}, is at ${number(shape.at[i])}.`;
}

const gap = (shape, i) => Math.abs(shape.current[i] - shape.reference[i]);
const widest = (shape) => shape.at.reduce((best, _, i) => (gap(shape, i) > gap(shape, best) ? i : best), 0);

function steps(shape, name, width, small) {
  const [LEFT, RIGHT, TOP, FOOT] = [46, 14, 12, small ? 24 : 42];
  const tall = small ? 120 : width < 560 ? 200 : 260;
  const height = TOP + tall + FOOT;
  const plot = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height });
  const at = shape.at;
  const [low, high] = extent(shape);
  const x = (value) => LEFT + ((width - LEFT - RIGHT) * (Math.min(high, Math.max(low, value)) - low)) / (high - low);
  const y = (share) => TOP + tall * (1 - share);
  for (const share of small ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1]) {
    plot.append(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(share), y2: y(share) }),
      svg("text", { x: LEFT - 8, y: y(share) + 4, "text-anchor": "end" }, percent(share)));
  }
  for (const value of niceTicks(low, high, Math.max(3, Math.floor(width / 130)))) {
    plot.append(svg("line", { class: "tick", x1: x(value), x2: x(value), y1: TOP + tall, y2: TOP + tall + 4 }),
      svg("text", { x: x(value), y: TOP + tall + 17, "text-anchor": "middle" }, number(value, Number.isInteger(value) ? 0 : Math.abs(high - low) < 1 ? 3 : 1)));
  }
  if (!small) plot.append(svg("text", { class: "axis", x: width - RIGHT, y: height - 6, "text-anchor": "end" }, `${name}: share of rows at or below`));
  for (const side of ["reference", "current"]) {
    let d = `M${x(low)} ${y(0)}`;
    at.forEach((value, i) => { d += `H${x(value).toFixed(1)}V${y(shape[side][i]).toFixed(1)}`; });
    plot.append(svg("path", { class: `step ${side}`, d: `${d}H${x(high)}` }));
  }
  const i = widest(shape);
  if (gap(shape, i) > 0) {
    const next = i + 1 < at.length ? at[i + 1] : high;
    const place = x((at[i] + Math.max(at[i], Math.min(next, high))) / 2);
    const [a, b] = [y(shape.reference[i]), y(shape.current[i])];
    const left = place > width / 2;
    plot.append(svg("line", { class: "gap", x1: place, x2: place, y1: a, y2: b }),
      svg("line", { class: "gap", x1: place - 5, x2: place + 5, y1: a, y2: a }), svg("line", { class: "gap", x1: place - 5, x2: place + 5, y1: b, y2: b }),
      svg("text", { class: "gap-words", x: place + (left ? -9 : 9), y: (a + b) / 2 + 4, "text-anchor": left ? "end" : "start" }, `gap ${number(gap(shape, i))}`));
  }
  return plot;
}

// What is shown of the axis: far-out ends, where next to nothing is, would press all else together.
function extent(shape) {
  const { at } = shape;
  const both = (i) => [shape.reference[i], shape.current[i]];
  const inner = at.filter((_, i) => both(i).some((share) => share > 0.004) && (i === 0 || both(i - 1).some((share) => share < 0.996)));
  const [low, high] = inner.length > 1 ? [inner[0], inner.at(-1)] : [at[0], at.at(-1)];
  const pad = (high - low) * 0.04 || Math.abs(low) * 0.1 || 1;
  return [low - pad, high + pad];
}

function bars(shape, width) {
  const rows = shape.at.map((name, i) => ({ name: String(name), reference: shape.reference[i], current: shape.current[i] }));
  const LEFT = Math.min(200, Math.max(80, width * 0.28)), RIGHT = 52, ROW = 40;
  const largest = Math.max(...rows.flatMap((row) => [row.reference, row.current]), 1e-9);
  const plot = svg("svg", { viewBox: `0 0 ${width} ${rows.length * ROW + 6}`, width, height: rows.length * ROW + 6 });
  const fits = Math.floor(LEFT / 7.2);
  rows.forEach((row, i) => {
    const top = i * ROW + 6;
    const label = svg("text", { class: "category", x: LEFT - 10, y: top + 20, "text-anchor": "end" }, row.name.length > fits ? `${row.name.slice(0, fits - 1)}…` : row.name);
    label.append(svg("title", {}, row.name));
    plot.append(label);
    ["reference", "current"].forEach((side, k) => {
      const long = ((width - LEFT - RIGHT) * row[side]) / largest;
      plot.append(svg("rect", { class: `bar ${side}`, x: LEFT, y: top + k * 15 + 2, width: Math.max(1, long), height: 12, rx: 2 }),
        svg("text", { x: LEFT + long + 6, y: top + k * 15 + 12 }, row[side] > 0 && row[side] < 0.01 ? "< 1 %" : percent(row[side])));
    });
  });
  return plot;
}
