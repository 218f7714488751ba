// What is new, as it happens: follows /events, comes back by itself, and knows when what is shown may be out of date.

import { at, read } from "./api.js";

const SILENCE_MS = 15000; // three heartbeats
const RETRY_MS = 2000;

export class Live {
  constructor({ onState, onChanged, onStatus }) {
    this.on = { onState, onChanged, onStatus };
    this.source = null;
    this.lastId = "";
    this.heard = Date.now();
    this.fresh = null; // when the page was last known to be up to date
    this.status = { kind: "connecting", words: "Connecting" };
  }

  start() {
    this.open();
    setInterval(() => this.watch(), 1000);
    document.addEventListener("visibilitychange", () => !document.hidden && this.watch());
    addEventListener("online", () => this.again());
    addEventListener("pagehide", () => this.source && this.source.close());
  }

  open() {
    clearTimeout(this.retry);
    if (this.source) this.source.close();
    this.opened = Date.now();
    const source = (this.source = new EventSource(at(`/events${this.lastId ? `?since=${encodeURIComponent(this.lastId)}` : ""}`)));
    source.addEventListener("state", (event) => this.news(event, this.on.onState));
    source.addEventListener("changed", (event) => this.news(event, this.on.onChanged));
    source.addEventListener("heartbeat", (event) => this.beat(JSON.parse(event.data)));
    source.addEventListener("error", () => source === this.source && this.lost());
  }

  news(event, tell) {
    this.lastId = event.lastEventId || this.lastId;
    const data = JSON.parse(event.data);
    this.alive();
    tell(data);
  }

  beat(data) {
    if (data.trouble) {
      this.heard = Date.now();
      return this.tell("trouble", data.trouble);
    }
    this.alive();
  }

  alive() {
    this.heard = this.fresh = Date.now();
    this.tell("live", "Live");
  }

  lost() {
    this.tell("lost", "The server does not answer");
    if (this.source.readyState !== EventSource.CLOSED) return; // the browser tries again
    this.again();
  }

  again() {
    clearTimeout(this.retry);
    this.retry = setTimeout(() => {
      read("/").catch(() => {}); // asks to sign in where the session is over
      this.open();
    }, RETRY_MS);
  }

  watch() {
    if (Date.now() - this.heard < SILENCE_MS || Date.now() - this.opened < SILENCE_MS) return;
    this.tell("lost", "The server does not answer");
    this.open();
  }

  tell(kind, words) {
    if (kind === this.status.kind && words === this.status.words) return;
    this.status = { kind, words };
    this.on.onStatus(this.status, this.fresh);
  }
}
