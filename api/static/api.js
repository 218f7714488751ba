// The API: JSON in, JSON out, and what went wrong in its own words.

export class Refused extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

const ROOT = new URL("..", import.meta.url).pathname.slice(0, -1); // the prefix that a proxy in front may have

export const at = (path) => `${ROOT}${path}`;

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(at(path), { cache: "no-store", ...options, headers: { Accept: "application/json", ...options.headers } });
  } catch {
    throw new Refused(0, "The API does not answer.");
  }
  if (answer.status === 401) signIn();
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, found.detail || answer.statusText);
  return found;
}

export const read = (path) => ask(path, {});
export const send = (path, body) => ask(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
export const remove = (path) => ask(path, { method: "DELETE" });

export const of = (model, version) => `/models/${encodeURIComponent(model)}/${encodeURIComponent(version)}`;

const windows = new BroadcastChannel("driftline"); // of this browser
windows.addEventListener("message", signIn);

export async function signOut() {
  await send("/sign-out");
  windows.postMessage("signed out");
  signIn();
}

// What is shown is in the hash: it stays with the browser, through the form and back.
function signIn() {
  location.assign(`${ROOT}/sign-in?to=${encodeURIComponent(location.pathname + location.search)}${location.hash}`);
}
