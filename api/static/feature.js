// One column: its reference beside one window, its statistic over time, and what is wrong with its values.

import { of, read } from "./api.js";
import { keysOf } from "./distribution.js";
import { chartHost, node } from "./dom.js";
import { card, facts, head, keys, link, notice, pill } from "./parts.js";
import { featureAt, modelAt, overviewAt } from "./route.js";
import { chance, count, moment, niceTicks, none, number, percent, plural, span, testName } from "./words.js";

export const title = (route) => `${route.name}, ${route.model} ${route.version}`;

export async function load(route) {
  const ask = new URLSearchParams({ role: route.role });
  if (route.asked.window) ask.set("end", route.asked.window);
  const at = `${of(route.model, route.version)}/features/${encodeURIComponent(route.name)}`;
  try {
    return await read(`${at}?${ask}`);
  } catch (error) {
    if (error.status !== 404 || !route.asked.window) throw error;
    ask.delete("end"); // that window is not kept any more
    return { ...(await read(`${at}?${ask}`)), gone: route.asked.window };
  }
}

export const affected = (route, change) => change.models.some((m) => m.model === route.model && m.model_version === route.version);

export function draw(data, route) {
  const { found, over_time: t } = data;
  const chosen = route.asked.window && !data.gone ? t.ends.indexOf(data.window_end) : null;
  const state = found.drifted ? pill("drifting", "drifted") : data.sufficient ? pill("healthy", "not drifted") : pill("", "too few");
  return [
    head("head", found.name, {
      trail: [link(overviewAt(), "Models"), link(modelAt(route.model, route.version, { window: route.asked.window }), `${route.model} ${route.version}`)], state,
      about: `${route.role === "feature" ? "" : `${route.role} · `}${found.kind} · window ${span(data.window_start, data.window_end)}`,
    }),
    data.gone ? notice("gone", node("span", {}, `The window until ${moment(data.gone)} is not kept as a whole any more: this is the newest.`)) : null,
    chosen !== null && chosen >= 0 ? notice("chosen", node("span", {}, "You look at the window until ", node("b", {}, moment(data.window_end)), ". "), link(withWindow(route, null), "Go to the newest")) : null,
    neighbours(data, route),
    numbers(data),
    distribution(data),
    overTime(data, route, chosen),
    quality(data),
  ];
}

const withWindow = (route, window) => featureAt(route.model, route.version, route.role, route.name, { ...route.asked, window });

function neighbours(data, route) {
  const i = data.names.findIndex(([role, name]) => role === route.role && name === route.name);
  const to = (step, words) => {
    const other = data.names[(i + step + data.names.length) % data.names.length];
    return link(featureAt(route.model, route.version, other[0], other[1], { window: route.asked.window }), [words(other[1])], { rel: step < 0 ? "prev" : "next" });
  };
  return data.names.length < 2 ? null : node("nav", { class: "neighbours", "data-key": "neighbours", "aria-label": "Other columns" }, to(-1, (name) => `← ${name}`), to(1, (name) => `${name} →`));
}

function numbers({ found, since, n, sufficient }) {
  const enough = found.significant ? "significant, given all features" : "not significant, given all features";
  return facts("facts", [
    [testName(found.test), number(found.statistic), `drift from ${number(found.threshold)}${found.direction ? `; now ${found.direction}` : ""}`, found.drifted ? "bad" : null],
    ["p-value", chance(found.p_value), none(found.p_value) ? "not tested" : enough],
    ["Drifted since", since ? moment(since) : "–", since ? "the first window of the unbroken row" : "it has not drifted in this window"],
    ["Rows with a value", count(found.n), sufficient ? `of ${count(n)}` : `of ${count(n)}: too few to judge`],
  ]);
}

function distribution({ found }) {
  const words = node("p", { class: "change" }, found.reference || "–", " → ", node("b", {}, found.current || "–"));
  if (!found.shape) return card("distribution", "Distribution", null, node("p", { class: "quiet" }, "There are no values in this window to draw."));
  const exact = found.kind === "numeric" ? "shares of rows at or below each value" : "share of rows in each category";
  return card("distribution", "Reference and this window", exact, words,
    chartHost("distribution", "shape", { shape: found.shape, kind: found.kind, name: found.name, reference: found.reference, current: found.current }), keysOf(found.kind),
    found.error_bound ? node("p", { class: "quiet" }, `The reference is thinned: the distance is exact to ${number(found.error_bound, 4)}.`) : null);
}

function overTime({ found, over_time: t }, route, chosen) {
  const most = Math.max(found.threshold * 1.5, ...t.statistic.filter((v) => !none(v)));
  const ticks = niceTicks(0, Math.min(1, most * 1.1), 3);
  const panels = [{ name: testName(found.test), tall: innerWidth < 560 ? 100 : 120, low: 0, high: Math.max(most * 1.05, ticks.at(-1)), ticks, words: (v) => number(v, 2), limit: found.threshold,
    lines: [{ kind: "share", words: testName(found.test), area: true, values: t.statistic, bad: t.drifted, told: (v) => number(v) }] }];
  const missing = Math.max(...t.missing.filter((v) => !none(v)), 0);
  if (missing > 0) {
    const high = Math.min(1, Math.max(0.05, missing * 1.2));
    panels.push({ name: "Missing", tall: 54, low: 0, high, ticks: [0, high], words: (v) => percent(v), limit: found.reference_missing, lines: [{ kind: "coverage", words: "Missing", area: true, values: t.missing, told: (v) => percent(v, 1) }] });
  }
  const data = { name: "Statistic over time; arrow keys move, Enter opens a window", ends: t.ends.map(Date.parse), panels, marks: [], chosen,
    onPick: (i) => { location.hash = withWindow(route, i === t.ends.length - 1 ? null : t.ends[i]); } };
  return card("over-time", "Over time", `${plural(t.ends.length, "window")}; choose one to see its distribution`, chartHost("time", "statistic", data),
    keys(["share", testName(found.test)], ["bad", "Drifted"], ["limit", "Threshold"]));
}

function quality({ found, n }) {
  const share = (value) => `${count(value)} (${percent(value / Math.max(n, 1), 1)})`;
  const names = Object.entries(found.unseen_names).sort((a, b) => b[1] - a[1]);
  const rows = [
    ["Missing", share(found.missing), `${percent(found.reference_missing, 1)} in the reference`, found.missing_rises],
    ["Of the wrong type", share(found.invalid), null, found.invalid > 0],
    found.kind === "categorical" ? ["Unseen categories", share(found.unseen), names.length ? names.slice(0, 12).map(([name, times]) => `${name} (${count(times)})`).join(", ") : null, found.unseen_rises]
      : ["Outside the reference's range", share(found.out_of_range), null, false],
  ];
  return card("quality", "Quality of its values", null, node("table", {}, node("thead", {}, node("tr", {}, ["What", "Rows", "Beside"].map((words) => node("th", { scope: "col" }, words)))),
    node("tbody", {}, rows.map(([name, value, about, bad]) => node("tr", {}, node("th", { scope: "row" }, name), node("td", { class: bad ? "warn" : null }, value), node("td", { class: "words" }, about || "–"))))));
}
