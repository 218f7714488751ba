// Elements, and numbers and times in words.

export const LEVELS = ["info", "warning", "error", "critical"]; // of alerts, the mildest first
export const METRICS = { accuracy: "Accuracy", r2: "R²", rmse: "RMSE", mae: "Mean absolute error" };

export function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export function svg(tag, attributes = {}, text = null) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== null) made.textContent = text;
  return made;
}

export const percent = (value, digits = 0) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(digits)} %`);
export const count = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));

export function number(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(1);
  return value.toFixed(digits);
}

export const isShare = (metric) => metric === "accuracy";
export const measure = (metric, value, digits = 1) => (isShare(metric) ? percent(value, digits) : number(value));

export function pValue(value) {
  if (value === null || value === undefined) return "–";
  return value < 1e-12 ? "< 1e-12" : value < 1e-3 ? value.toExponential(1) : value.toFixed(3);
}

export function moment(text, long = true) {
  const date = new Date(text);
  const day = date.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
  const time = date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
  return long || time !== "00:00" ? `${day}, ${time} UTC` : day;
}
