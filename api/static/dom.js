// Elements made, and a tree brought up to date without losing focus, scrolling, selections or what is unfolded.

const SVG = "http://www.w3.org/2000/svg";

export function node(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

// A place that a chart fills by itself: what is in it is left alone, and `data` is what it draws.
export function chartHost(kind, key, data) {
  const host = node("div", { class: `chart ${kind}`, "data-chart": kind, "data-key": key });
  host.data = data;
  return host;
}

export function morph(parent, children) {
  const fresh = children.flat().filter(Boolean);
  const known = new Map();
  for (const child of parent.childNodes) {
    const key = keyOf(child);
    if (key && !known.has(key)) known.set(key, child);
  }
  let place = parent.firstChild;
  for (const wanted of fresh) {
    const key = keyOf(wanted);
    let found = key ? known.get(key) : place && !keyOf(place) && alike(place, wanted) ? place : null;
    if (found && !alike(found, wanted)) found = null;
    if (!found) {
      parent.insertBefore(wanted, place);
      for (const host of hostsIn(wanted)) host.fill();
      continue;
    }
    if (found === place) place = place.nextSibling;
    else parent.insertBefore(found, place);
    same(found, wanted);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

const hostsIn = (made) => (made.nodeType !== 1 ? [] : [made, ...made.querySelectorAll("[data-rows]")].filter((one) => one.fill));
const keyOf = (child) => (child.nodeType === 1 ? child.getAttribute("data-key") : null);
const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName;

export function same(found, wanted) {
  if (found.nodeType !== 1) {
    if (found.nodeValue !== wanted.nodeValue) found.nodeValue = wanted.nodeValue;
    return;
  }
  for (const { name } of [...found.attributes]) {
    if (!wanted.hasAttribute(name) && name !== "open" && !kept(found, name)) found.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (found.getAttribute(name) !== value && name !== "open" && !kept(found, name)) found.setAttribute(name, value);
  }
  if (found.hasAttribute("data-chart")) found.data = wanted.data;
  else if (wanted.fill && found.fill) found.fill(wanted.rows);
  else morph(found, [...wanted.childNodes]);
}

// What a chart has set on its own place.
const kept = (found, name) => found.hasAttribute("data-chart") && (name === "role" || name === "tabindex" || name.startsWith("aria-"));
