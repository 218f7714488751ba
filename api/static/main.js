// The page: what the address names is loaded, drawn, and kept up to date.

import * as alerts from "./alerts.js";
import { Refused, read, remove, signOut } from "./api.js";
import { drawDistribution } from "./distribution.js";
import { morph, node } from "./dom.js";
import * as feature from "./feature.js";
import * as health from "./health.js";
import { Live } from "./live.js";
import * as model from "./model.js";
import * as overview from "./overview.js";
import { empty, head, link } from "./parts.js";
import { adoptQuery, overviewAt, parse, placeOf, withAsked } from "./route.js";
import { askSilence } from "./silence.js";
import { drawTime } from "./timechart.js";
import { ago, clockOf, plural, zoneWords } from "./words.js";

const VIEWS = { overview, model, feature, alerts, health };
const CHARTS = { time: drawTime, distribution: drawDistribution };
const RELOAD_MS = 700; // the least time between two reloads of what is shown

const $ = (id) => document.getElementById(id);
const state = { models: null, route: null, shown: null, data: null, error: null };
const scrolls = new Map(); // where each place was scrolled to
let loading = 0; // the number of the newest load: an older one that comes late is dropped
let reload = null;
let reloadedAt = 0;

// ---- what is shown ---------------------------------------------------------

async function go({ arrive = false } = {}) {
  const route = (state.route = parse());
  const number = ++loading;
  reloadedAt = Date.now();
  try {
    const data = await VIEWS[route.view].load(route);
    if (number !== loading) return;
    Object.assign(state, { shown: route, data, error: null });
  } catch (error) {
    if (number !== loading) return;
    if (!(error instanceof Refused)) throw error;
    if (!arrive && state.data && ![404].includes(error.status)) return; // what is shown stays; the line above says that it is old
    Object.assign(state, { shown: route, data: null, error });
  }
  draw();
  if (arrive) settle(route);
}

function draw() {
  const { shown: route, data, error } = state; // what comes live is drawn where the reader still is, until the next place is loaded
  if (!route || (!data && !error)) return;
  const view = VIEWS[route.view];
  morph($("main"), error ? failed(route, error) : view.draw(data, route, state));
  document.title = `${error ? "Not found" : view.title(route)} · Driftline`;
  drawCharts();
  drawFrame(route);
}

function drawCharts() {
  for (const host of $("main").querySelectorAll("[data-chart]")) {
    const width = host.clientWidth;
    if (!width || (host.drawnData === host.data && host.drawnWidth === width)) continue;
    CHARTS[host.dataset.chart](host);
    Object.assign(host, { drawnData: host.data, drawnWidth: width });
  }
}

function drawFrame(route) {
  const place = { overview: "models", model: "models", feature: "models", alerts: "alerts", health: "health" }[route.view];
  for (const tab of $("tabs").children) tab.dataset.tab === place ? tab.setAttribute("aria-current", "page") : tab.removeAttribute("aria-current");
  const firing = (state.models || []).reduce((sum, m) => sum + m.firing, 0);
  $("firing").textContent = firing ? String(firing) : "";
  $("firing").hidden = !firing;
  $("firing").setAttribute("aria-label", plural(firing, "alert firing", "alerts firing"));
}

function failed(route, error) {
  const gone = error.status === 404;
  return [head("head", gone ? "It is not there" : "It cannot be shown now", { trail: [link(overviewAt(), "Models")] }),
    empty("failed", gone ? "What this address names is not known" : "The server has not answered this", error.message, node("p", {}, link(overviewAt(), "See all models")))];
}

// Where the reader was in this place before, else its top, with the focus on its heading: not where the reader has
// taken it to a button of the frame while the place was loading, since the next key would go astray.
function settle(route) {
  const at = scrolls.get(placeOf(route));
  scrollTo(0, at || 0);
  if (document.activeElement?.matches(".sign-out")) return;
  const heading = $("main").querySelector("h1");
  if (heading) heading.focus({ preventScroll: true });
}

// ---- what changes ----------------------------------------------------------

function soon() {
  if (reload) return;
  reload = setTimeout(() => {
    reload = null;
    if (document.hidden) return void (state.missed = true);
    go();
  }, Math.max(0, reloadedAt + RELOAD_MS - Date.now()));
}

const live = new Live({
  onState({ models }) {
    state.models = models;
    draw();
    if (state.route && state.route.view !== "overview") soon();
  },
  onChanged(change) {
    const key = (m) => `${m.model}\n${m.model_version}`;
    const known = new Map((state.models || []).map((m) => [key(m), m]));
    for (const m of change.models) known.set(key(m), m);
    for (const [name, version] of change.gone) known.delete(`${name}\n${version}`);
    state.models = [...known.values()];
    draw();
    const view = VIEWS[state.route.view];
    if (view.affected && (view.affected(state.route, change) || state.error)) soon();
  },
  onStatus({ kind, words }, fresh) {
    $("link").className = `link ${kind}`;
    $("link-words").textContent = words;
    const old = kind === "lost" || kind === "trouble";
    $("stale").hidden = !old;
    $("stale-words").textContent = !old ? "" : `${kind === "lost" ? "The server does not answer" : words}. ${fresh ? `What you see is from ${clockOf(fresh)}` : "Nothing can be shown yet"}; it is tried again all the time.`;
    if (kind === "live" && state.error) soon();
  },
});

// ---- what the reader does --------------------------------------------------

document.addEventListener("click", async (event) => {
  const target = event.target.closest("[data-action]");
  if (!target) return;
  const { action } = target.dataset;
  if (action === "skip") $("main").focus();
  if (action === "sign-out") await signOut().catch((error) => said(error.message));
  if (action === "state") location.replace(withAsked(state.route, { state: target.dataset.state }));
  if (action === "silence") {
    const { alerts: known } = await read("/alerts?limit=2000");
    const alert = known.find((one) => `${one.fingerprint} ${one.started_at}` === target.dataset.alert);
    if (alert) askSilence(alert, { onDone: said });
  }
  if (action === "end-silence") {
    target.disabled = true;
    await remove(`/silences/${encodeURIComponent(target.dataset.silence)}`).then(() => said("The silence has ended."), (error) => said(error.message));
    target.disabled = false;
  }
});

function said(words) {
  $("said").textContent = words;
  setTimeout(() => { if ($("said").textContent === words) $("said").textContent = ""; }, 6000);
  go();
}

document.addEventListener("input", (event) => {
  if (event.target.id !== "search") return;
  history.replaceState(null, "", withAsked(state.route, { q: event.target.value }));
  state.route = state.shown = parse();
  draw();
});

document.addEventListener("change", (event) => {
  if (event.target.dataset.choose === "metric") location.replace(withAsked(state.route, { metric: event.target.value }));
});

// What is folded in a detail has no width to be drawn in until it is unfolded.
document.addEventListener("toggle", () => drawCharts(), true);

addEventListener("scroll", () => state.route && scrolls.set(placeOf(state.route), scrollY), { passive: true });
addEventListener("hashchange", () => go({ arrive: placeOf(parse()) !== placeOf(state.route) }));
addEventListener("resize", () => requestAnimationFrame(draw));
document.addEventListener("visibilitychange", () => {
  if (document.hidden || !state.missed) return;
  state.missed = false;
  go();
});
setInterval(() => {
  for (const time of document.querySelectorAll("[data-ago]")) {
    const words = ago(time.dateTime);
    if (time.textContent !== words) time.textContent = words;
  }
}, 5000);

// ---- start -----------------------------------------------------------------

history.scrollRestoration = "manual";
try { for (const [place, at] of JSON.parse(sessionStorage.getItem("scrolls") || "[]")) scrolls.set(place, at); } catch { /* the top, then */ }
addEventListener("pagehide", () => { try { sessionStorage.setItem("scrolls", JSON.stringify([...scrolls])); } catch { /* the top, then */ } });
addEventListener("pageshow", (event) => event.persisted && location.reload()); // kept by the browser: it may be old, and the session over
$("zone").textContent = zoneWords();
adoptQuery();
go({ arrive: true });
live.start();
