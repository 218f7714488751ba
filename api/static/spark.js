// A row of numbers as a small line beside its name.

import { svg } from "./dom.js";

const TALL = 26, WIDE = 96;

export function spark(values, { high = null, limit = null, kind = "share" } = {}) {
  const known = values.filter((value) => value !== null);
  const plot = svg("svg", { class: "spark", viewBox: `0 0 ${WIDE} ${TALL}`, width: WIDE, height: TALL, "aria-hidden": "true" });
  if (!known.length) return plot;
  const top = Math.max(high ?? 0, limit ?? 0, ...known) * 1.08 || 1;
  const x = (i) => (values.length > 1 ? 2 + ((WIDE - 6) * i) / (values.length - 1) : WIDE / 2);
  const y = (value) => TALL - 2 - (TALL - 4) * (value / top);
  if (limit !== null) plot.append(svg("line", { class: "limit", x1: 2, x2: WIDE - 2, y1: y(limit), y2: y(limit) }));
  let d = "", open = false;
  values.forEach((value, i) => {
    if (value === null) { open = false; return; }
    d += `${open ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
    open = true;
  });
  const last = values.findLastIndex((value) => value !== null);
  plot.append(svg("path", { class: kind, d }), svg("circle", { class: `${kind}-dot`, cx: x(last), cy: y(values[last]), r: 2 }));
  return plot;
}
