// Numbers and times in words. Times are those of the viewer's own zone.

export const LEVELS = ["info", "warning", "error", "critical"]; // of alerts, the mildest first
export const STATES = {
  alerting: "alert", degraded: "degraded", drifting: "drifting", insufficient: "not judged", learning: "learning", waiting: "waiting", healthy: "healthy", retired: "retired",
};
const METRICS = {
  accuracy: "Accuracy", precision: "Precision", recall: "Recall", f1: "F1", roc_auc: "ROC AUC", log_loss: "Log loss", brier: "Brier score",
  average_precision: "Average precision",
  r2: "R²", rmse: "RMSE", mae: "Mean absolute error",
};
const TESTS = { ks: "KS distance", "jensen-shannon": "JS distance" };
const RULES = { performance: "performance", performance_estimate: "performance against its estimate" };

export const metricName = (name) => METRICS[name] || (name ? name[0].toUpperCase() + name.slice(1).replaceAll("_", " ") : "Metric");
export const testName = (name) => TESTS[name] || name;
export const ruleName = (name) => RULES[name] || name.replaceAll("_", " ");
export const none = (value) => value === null || value === undefined;
export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

export const percent = (value, digits = 0) => (none(value) ? "–" : `${(100 * value).toFixed(digits)} %`);
export const count = (value) => (none(value) ? "–" : value.toLocaleString("en"));
export const plural = (n, word, more = `${word}s`) => `${count(n)} ${n === 1 ? word : more}`;

export function number(value, digits = 3) {
  if (none(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(1);
  return size >= 1000 ? value.toFixed(0) : size >= 100 ? value.toFixed(1) : value.toFixed(digits);
}

export const chance = (value) => (none(value) ? "–" : value < 1e-12 ? "< 1e-12" : value < 1e-3 ? value.toExponential(1) : value.toFixed(3));

const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const seconds = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const zone = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" });

export const moment = (time) => `${day.format(new Date(time))}, ${clock.format(new Date(time))}`;
export const clockOf = (time) => seconds.format(new Date(time));

export function zoneWords() {
  const short = zone.formatToParts(new Date()).find((part) => part.type === "timeZoneName").value;
  return short === ZONE ? ZONE : `${ZONE} (${short})`;
}

export function span(start, end) {
  const [a, b] = [new Date(start), new Date(end)];
  return day.format(a) === day.format(b) ? `${day.format(a)}, ${clock.format(a)} to ${clock.format(b)}` : `${moment(a)} to ${moment(b)}`;
}

export function length(value) {
  if (value < 90) return `${Math.round(value)} s`;
  if (value < 5400) return `${Math.round(value / 60)} min`;
  if (value < 129600) return plural(Math.round(value / 3600), "hour");
  return plural(Math.round(value / 86400), "day");
}

// Near times as an age; others as a date.
export function ago(time) {
  const age = (Date.now() - new Date(time).getTime()) / 1000;
  return age > -5 && age < 86400 ? (age < 5 ? "just now" : `${length(age)} ago`) : moment(time);
}

export function ticksOfTime(first, last, wanted) {
  const days = (last - first) / 86400000;
  const form = days > 300 ? { month: "short", year: "numeric" } : days > 4 ? { day: "numeric", month: "short" }
    : days > 0.8 ? { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" } : { hour: "2-digit", minute: "2-digit", ...(days < 0.01 ? { second: "2-digit" } : {}) };
  const words = new Intl.DateTimeFormat("en-GB", form);
  return Array.from({ length: wanted + 1 }, (_, i) => first + ((last - first) * i) / wanted).map((at) => [at, words.format(at)]);
}

export function niceTicks(low, high, wanted = 4) {
  const step = (high - low) / Math.max(1, wanted) || 1;
  const base = 10 ** Math.floor(Math.log10(step));
  const nice = [1, 2, 2.5, 5, 10].map((k) => k * base).find((one) => one >= step * 0.999);
  const found = [];
  for (let value = Math.ceil(low / nice - 1e-9) * nice; value <= high + nice * 1e-9; value += nice) found.push(Math.abs(value) < nice * 1e-9 ? 0 : value);
  return found;
}

export const wholeTicks = (low, high, wanted) => niceTicks(low, high, wanted).filter(Number.isInteger);
