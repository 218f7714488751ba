// What several views are made of.

import { node } from "./dom.js";
import { STATES, ago, none } from "./words.js";

export const pill = (kind, words) => node("span", { class: `state ${kind}` }, words);
export const statePill = (state) => pill(state, STATES[state]);
export const link = (href, words, attributes = {}) => node("a", { href, ...attributes }, words);
export const button = (action, words, attributes = {}) => node("button", { type: "button", "data-action": action, ...attributes }, words);
export const when = (time) => node("time", { datetime: new Date(time).toISOString(), "data-ago": "" }, ago(time));

export function card(key, title, about, ...children) {
  return node("section", { class: "card", "data-key": key, "aria-labelledby": `title-${key}` },
    node("header", {}, node("h2", { id: `title-${key}` }, title), about ? node("p", {}, about) : null), ...children);
}

export function head(key, title, { trail = [], state = null, about = null } = {}) {
  return node("div", { class: "head", "data-key": key },
    trail.length ? node("nav", { class: "trail", "aria-label": "Where you are" }, trail.flatMap((step, i) => (i ? [" / ", step] : [step]))) : null,
    node("h1", { tabindex: "-1" }, title), state, about ? node("p", { class: "about" }, about) : null);
}

export function facts(key, list) {
  return node("dl", { class: "facts", "data-key": key }, list.filter(Boolean).map(([name, value, about, kind]) =>
    node("div", {}, node("dt", {}, name), node("dd", { class: kind || null }, none(value) ? "–" : value, about ? node("small", {}, about) : null))));
}

export function empty(key, title, words, ...steps) {
  return node("section", { class: "card empty", "data-key": key }, node("h2", {}, title), node("p", {}, words), ...steps);
}

export const code = (text) => node("pre", { tabindex: "0" }, text);

export function notice(key, ...children) {
  return node("div", { class: "notice", "data-key": key }, ...children);
}

export const keys = (...given) => node("div", { class: "keys", "aria-hidden": "true" }, given.filter(Boolean).map(([kind, words]) => node("span", { class: `k-${kind}` }, words)));
