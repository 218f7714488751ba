// Driftline itself: its workers, what waits to be read, and what could not be read.

import { read } from "./api.js";
import { chartHost, node } from "./dom.js";
import { card, code, empty, facts, head, keys, pill, when } from "./parts.js";
import { count, length, moment, percent, plural, wholeTicks } from "./words.js";

const SILENT_MS = 60000; // as in app/read_model/workers.py

export const title = () => "Health";

export const load = () => read("/monitor");

export const affected = (_, change) => change.lists.includes("monitor");

export function draw(data) {
  const there = data.workers.filter((w) => !w.silent);
  const dead = data.dead_letters.reduce((sum, one) => sum + one.count, 0);
  const waiting = Object.values(data.lag).reduce((sum, n) => sum + n, 0);
  const parts = [head("head", "Health", { about: data.workers.length ? there.length ? `${plural(there.length, "worker")} at work` : "no worker is at work: driftline worker starts one" : "no worker has reported yet" })];
  if (!data.workers.length) parts.push(empty("none", "No worker has reported in the last day", "Workers count and judge; without one nothing happens. Each says how it does every 15 seconds while it has something to read.", code("driftline up        # Kafka, a worker and the API on this machine\ndriftline worker    # one more worker")));
  else parts.push(facts("facts", [
    ["Workers", String(there.length), there.length < data.workers.length ? `${count(data.workers.length - there.length)} silent` : "all report", there.length ? null : "bad"],
    ["Records waiting", there.length ? count(waiting) : null, !there.length ? "no worker says so" : Object.entries(data.lag).map(([topic, n]) => `${topic} ${count(n)}`).join(", ") || "nothing waits"],
    ["Behind by", there.length ? length(data.behind_seconds) : null, there.length ? "age of the oldest record being read" : "no worker says so", data.behind_seconds > 60 ? "bad" : null],
    ["Dead letters", count(dead), "as far back as reports are kept", dead ? "warn" : null],
  ]), workers(data.workers));
  if (data.over_time.length > 1) parts.push(overTime(data.over_time));
  parts.push(notCounted(data.not_counted), deadLetters(data.dead_letters));
  return parts;
}

function workers(list) {
  return card("workers", "Workers", null, node("table", {},
    node("thead", {}, node("tr", {}, [["Worker"], ["State"], ["Records a second", "number"], ["Waiting", "number"], ["Behind by", "number"]].map(([words, kind]) => node("th", { scope: "col", class: kind }, words)))),
    node("tbody", {}, list.map((w) => node("tr", { "data-key": `${w.group} ${w.worker}` },
      node("th", { scope: "row" }, w.worker, node("small", {}, `group ${w.group}`)),
      node("td", {}, w.silent ? pill("warning", "silent") : pill("healthy", "at work"), node("small", {}, w.silent ? "last heard " : "said so ", when(w.at))),
      node("td", { class: "number", "data-name": "a second" }, count(Math.round(w.rate))), node("td", { class: "number", "data-name": "waiting" }, count(Object.values(w.lag).reduce((sum, n) => sum + n, 0))),
      node("td", { class: "number", "data-name": "behind by" }, length(w.behind_seconds)))))));
}

// What each worker has said last, together: they do not speak at the same moment.
function together(given) {
  const last = new Map();
  return given.map(({ at, worker, records }) => {
    const time = Date.parse(at);
    last.set(worker, { time, records });
    const there = [...last.values()].filter((one) => time - one.time < SILENT_MS);
    return { at, records: there.reduce((sum, one) => sum + one.records, 0) };
  });
}

function overTime(each) {
  const given = together(each);
  const most = Math.max(1, ...given.map((one) => one.records));
  const data = { name: "Records waiting over time", ends: given.map((one) => Date.parse(one.at)), marks: [], chosen: null,
    panels: [{ name: "Records waiting, of all workers", tall: 110, low: 0, high: most * 1.05, ticks: wholeTicks(0, most, 3), words: count, lines: [{ kind: "share", words: "Records waiting", area: true, values: given.map((one) => one.records) }] }] };
  return card("lag", "Lag over time", null, chartHost("time", "lag", data), keys(["share", "Records still to be read, as the workers have said last"]));
}

// Records that enter no number: set aside, of models that are not registered, truth without a prediction.
function notCounted(found) {
  const named = (one) => (one.registered ? `${one.model} ${one.model_version}` : `${one.topic} that name no registered model`);
  const rows = [
    ...found.set_aside.map((one) => [named(one), `${percent(one.share)} of its newest ${count(one.recent)} ${one.topic} are dead letters: ${one.reason}`, one.beyond, one.at]),
    ...found.unregistered.map((one) => [one.name, `not registered: ${plural(one.count, "record")} set aside`, true, one.last]),
  ];
  if (found.unmatched && found.unmatched.unmatched) rows.push(["feedback", `${count(found.unmatched.unmatched)} of the newest ${count(found.unmatched.settled)} have no prediction`, found.unmatched.beyond, found.unmatched.at]);
  if (!rows.length) return null;
  return card("not-counted", "Not counted", "what came and enters no number", node("table", {},
    node("thead", {}, node("tr", {}, ["Of", "What", "Last"].map((words) => node("th", { scope: "col" }, words)))),
    node("tbody", {}, rows.map(([who, what, beyond, at]) => node("tr", { "data-key": who }, node("th", { scope: "row" }, who), node("td", { "data-name": "what" }, beyond ? pill("error", "too many") : null, " ", what), node("td", { "data-name": "last" }, when(at)))))));
}

function deadLetters(given) {
  if (!given.length) return card("dead", "Dead letters", "none", node("p", { class: "quiet" }, "A record that cannot be read is set aside with the reason, bytes and key as they came. There is none."));
  return card("dead", "Dead letters", "records that could not be used, by reason", node("table", {},
    node("thead", {}, node("tr", {}, [["Reason"], ["Records", "number"], ["First"], ["Last"]].map(([words, kind]) => node("th", { scope: "col", class: kind }, words)))),
    node("tbody", {}, given.map((one) => node("tr", { "data-key": one.reason }, node("th", { scope: "row" }, one.reason), node("td", { class: "number", "data-name": "records" }, count(one.count)), node("td", { "data-name": "first" }, moment(one.first)), node("td", { "data-name": "last" }, when(one.last)))))),
  node("p", { class: "quiet" }, "They are in the topic ", node("code", {}, "driftline.dead-letters"), ": driftline dead-letters list shows them, resend sends them again; the operations page of the documentation says what to do about each reason."));
}
