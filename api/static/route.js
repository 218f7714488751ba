// The address of what is shown: it is all in the hash, so that reloading, going back and sending a link keep the place.

export function parse(hash = location.hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").map(decodeURIComponent);
  const asked = Object.fromEntries(new URLSearchParams(query));
  const [kind, model, version, role, ...name] = parts;
  if (kind === "model" && model && version) {
    return role && name.length ? { view: "feature", model, version, role, name: name.join("/"), asked } : { view: "model", model, version, asked };
  }
  return { view: kind === "alerts" || kind === "health" ? kind : "overview", asked };
}

const query = (asked) => {
  const given = Object.entries(asked).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
};

export const overviewAt = (asked = {}) => `#/${query(asked)}`;
export const modelAt = (model, version, asked = {}) => `#/model/${encodeURIComponent(model)}/${encodeURIComponent(version)}${query(asked)}`;
export const featureAt = (model, version, role, name, asked = {}) =>
  `#/model/${encodeURIComponent(model)}/${encodeURIComponent(version)}/${role}/${encodeURIComponent(name)}${query(asked)}`;
export const alertsAt = (asked = {}) => `#/alerts${query(asked)}`;

// The same place with other choices.
export function withAsked(route, change) {
  const asked = { ...route.asked, ...change };
  if (route.view === "model") return modelAt(route.model, route.version, asked);
  if (route.view === "feature") return featureAt(route.model, route.version, route.role, route.name, asked);
  return route.view === "alerts" ? alertsAt(asked) : route.view === "health" ? "#/health" : overviewAt(asked);
}

export const placeOf = (route) => [route.view, route.model, route.version, route.role, route.name].join("\n");

// Links in alerts name a model version in the query.
export function adoptQuery() {
  const asked = new URLSearchParams(location.search);
  if (!asked.has("model") || location.hash) return;
  const version = asked.get("version");
  history.replaceState(null, "", `${location.pathname}${version ? modelAt(asked.get("model"), version) : overviewAt({ q: asked.get("model") })}`);
}
