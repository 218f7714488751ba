// A long list: a row is drawn when what it shows is another, and many are drawn in slices, so that the page answers in between.

import { node, same } from "./dom.js";

const SLICE_MS = 8;
const SOON = new MessageChannel(); // a task of its own, without the 4 ms that timers wait
const waiting = [];
SOON.port1.onmessage = () => waiting.shift()();

// `rows`: { key, source, draw }; a row whose `source` is the one that it was drawn from stays as it is.
export function rowsHost(rows, attributes = {}) {
  const host = node("ul", { ...attributes, "data-rows": "" });
  host.rows = rows;
  host.fill = (fresh = host.rows) => fillRows(host, fresh);
  return host;
}

function fillRows(host, rows) {
  const known = new Map([...host.children].map((child) => [child.getAttribute("data-key"), child]));
  const turn = (host.turn = (host.turn || 0) + 1); // a later one takes over
  host.rows = rows;
  keep(host, rows.map((row) => known.get(row.key)).filter(Boolean));
  slice(host, turn, known, 0);
}

// Only these, in this order: what stands in its place is not touched, and of two that change places one is moved.
function keep(host, wanted) {
  const left = new Set(wanted);
  for (const child of [...host.children]) if (!left.has(child)) child.remove();
  let place = host.firstChild;
  for (const child of wanted) {
    while (place && !left.has(place)) place = place.nextSibling; // it has gone before
    left.delete(child);
    if (child === place) place = place.nextSibling;
    else if (place && place.nextSibling === child) place = child.nextSibling; // the one before it comes later
    else host.insertBefore(child, place);
  }
}

function slice(host, turn, known, from) {
  if (host.turn !== turn) return;
  const until = performance.now() + SLICE_MS;
  const { rows } = host;
  let before = from ? known.get(rows[from - 1].key) : null;
  for (let i = from; i < rows.length; i++) {
    if (i > from && performance.now() > until) {
      waiting.push(() => slice(host, turn, known, i));
      SOON.port2.postMessage(null);
      return;
    }
    before = drawn(host, rows[i], known, before);
  }
  host.dispatchEvent(new Event("filled", { bubbles: true }));
}

function drawn(host, row, known, before) {
  const found = known.get(row.key);
  if (found && found.source === row.source) return found;
  const wanted = row.draw();
  const made = found || wanted;
  if (found) same(found, wanted);
  else host.insertBefore(made, before ? before.nextSibling : host.firstChild);
  made.source = row.source;
  known.set(row.key, made);
  return made;
}
