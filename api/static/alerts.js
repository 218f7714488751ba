// Every alert of every model, and the silences.

import { alertList } from "./alert.js";
import { read } from "./api.js";
import { node } from "./dom.js";
import { button, card, empty, head, pill } from "./parts.js";
import { count, moment, plural } from "./words.js";

export const title = () => "Alerts";

export async function load() {
  const [{ alerts, total }, { silences }] = await Promise.all([read("/alerts?limit=500"), read("/silences")]);
  return { alerts, total, silences };
}

export const affected = (_, change) => change.lists.includes("alerts") || change.lists.includes("silences");

export function draw({ alerts, total, silences }, route, { models }) {
  const firing = alerts.filter((a) => a.status === "firing" && !a.silenced_by);
  const silenced = alerts.filter((a) => a.status === "firing" && a.silenced_by);
  const resolved = alerts.filter((a) => a.status !== "firing");
  const about = [firing.length ? `${count(firing.length)} firing` : "none is firing", silenced.length ? `${count(silenced.length)} silenced` : null].filter(Boolean).join(", ");
  const parts = [head("head", "Alerts", { about })];
  if (!alerts.length) parts.push(models && models.length ? empty("none", "There has been no alert", "When inputs drift, or a metric falls by more than chance, it stands here with its evidence, and is told to the channels that you have set up: log and file from the start, e-mail, Slack and webhooks in driftline.toml.", node("p", {}, "See that they work: ", node("code", {}, "driftline alerts test")))
    : empty("none", "There has been no alert", "Alerts are raised for registered models. The page “Models” says how to register one."));
  if (firing.length) parts.push(alertList("firing", firing, { name: "Firing" }));
  if (silenced.length) parts.push(alertList("silenced", silenced, { name: "Firing, but silenced", about: "nobody is told" }));
  parts.push(silencesPart(silences));
  if (resolved.length) parts.push(alertList("resolved", resolved, { name: "Resolved", about: total > alerts.length ? `the newest ${count(alerts.length)} of ${count(total)}` : plural(resolved.length, "alert") }));
  return parts;
}

function silencesPart(silences) {
  if (!silences.length) return card("silences", "Silences", "none", node("p", { class: "quiet" }, "A silence keeps an alert from being told for a while; it is judged and shown all the same. “Silence…” in an alert makes one."));
  return card("silences", "Silences", plural(silences.length, "silence"), node("ul", { class: "silences" }, silences.map((s) => node("li", { "data-key": s.silence_id },
    node("div", {}, pill(s.state === "active" ? "silenced" : "", s.state === "active" ? "in force" : s.state), " ", node("b", {}, s.comment)),
    node("p", {}, node("code", {}, s.matchers.join(" ") || "everything")),
    node("p", { class: "quiet" }, `by ${s.created_by}, `, s.hours ? `${s.hours.weekdays.join(", ")} ${s.hours.start} to ${s.hours.end} (${s.hours.zone})` : "", s.state === "pending" ? `from ${moment(s.starts_at)} ` : "", s.ends_at ? `until ${moment(s.ends_at)}` : "without end"),
    button("end-silence", "End now", { class: "act", "data-silence": s.silence_id, "aria-label": `End the silence “${s.comment}” now` })))));
}

