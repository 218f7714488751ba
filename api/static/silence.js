// The dialog that silences an alert.

import { send } from "./api.js";
import { node } from "./dom.js";
import { length } from "./words.js";

const SPANS = [3600, 14400, 86400, 259200, 604800];
const NAME = "driftline.name";

// With a session the API knows whose key it is, and says that name.
const signedIn = () => document.querySelector('[data-action="sign-out"]') !== null;

export function askSilence(alert, { onDone }) {
  const { model, model_version: version, subject } = alert.labels;
  const whole = [["model", model], ["model_version", version]];
  const alone = [...whole, ["rule", alert.rule], ["subject", subject]];
  const field = (name, words, input) => node("label", { class: "field" }, node("span", {}, words), input);
  const wrong = node("p", { class: "wrong", role: "alert" });
  const form = node("form", { method: "dialog" },
    node("h2", { id: "silence-title" }, "Silence this alert"),
    node("p", { class: "quiet" }, alert.title),
    field("what", "What", node("select", { name: "what" }, node("option", { value: "alone" }, "Only this alert"), version ? node("option", { value: "whole" }, `All alerts of ${model} ${version}`) : null)),
    field("seconds", "For how long", node("select", { name: "seconds" }, SPANS.map((span, i) => node("option", { value: span, selected: i === 1 }, length(span))))),
    field("comment", "Why", node("input", { name: "comment", required: true, maxlength: 1000, placeholder: "known; fix is on its way" })),
    signedIn() ? null : field("created_by", "Your name", node("input", { name: "created_by", required: true, maxlength: 1000, value: remembered(), autocomplete: "name" })),
    wrong,
    node("p", { class: "acts" }, node("button", { type: "submit", class: "main" }, "Silence"), node("button", { type: "button", class: "act", "data-close": "" }, "Cancel")));
  const dialog = node("dialog", { "aria-labelledby": "silence-title" }, form);
  dialog.addEventListener("close", () => dialog.remove());
  form.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(form));
    const matchers = (given.what === "whole" ? whole : alone).filter(([, value]) => value).map(([name, value]) => `${name}="${value}"`);
    form.querySelector(".main").disabled = true;
    try {
      await send("/silences", { matchers, comment: given.comment, created_by: given.created_by ?? "", seconds: Number(given.seconds) });
      if (given.created_by) remember(given.created_by);
      dialog.close();
      onDone(`Silenced for ${length(Number(given.seconds))}.`);
    } catch (error) {
      wrong.textContent = error.message;
      form.querySelector(".main").disabled = false;
    }
  });
  document.body.append(dialog);
  dialog.showModal();
  form.elements.comment.focus();
}

function remembered() {
  try { return localStorage.getItem(NAME) || ""; } catch { return ""; } // storage may be forbidden
}

function remember(name) {
  try { localStorage.setItem(NAME, name); } catch { /* it is asked again */ }
}
