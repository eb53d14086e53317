// Virtual time, a virtual network and a script of answers for a client.
import { setImmediate } from "node:timers/promises";

/** World is a platform in which time passes only when advance says so. */
export class World {
  monotonicMs = 1000; // as if the process had started earlier
  wallMs;
  held = 0; // how often the process is kept alive
  requests = []; // {at, body, url, key}
  exit; // what the client wants to do at the end of the process
  #answers;
  #timers = new Set();
  #start;

  /** Each request gets the next of the answers; the last repeats. */
  constructor({ start = "2026-01-02T03:04:05Z", answers = [{ status: 202 }] } = {}) {
    this.wallMs = Date.parse(start);
    this.#start = this.monotonicMs;
    this.#answers = answers;
  }

  /** How much time has passed, in milliseconds. */
  get elapsed() {
    return this.monotonicMs - this.#start;
  }

  now = () => this.wallMs;
  monotonic = () => this.monotonicMs;
  random = () => Math.random();

  after = (ms, f) => {
    const timer = { at: this.monotonicMs + ms, f };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  hold = () => {
    this.held++;
    return () => this.held--;
  };

  beforeExit = (f) => {
    this.exit = f;
    return () => (this.exit = undefined);
  };

  post = (url, key) => (body, signal) => {
    const answer = this.#answers[Math.min(this.requests.length, this.#answers.length - 1)];
    this.requests.push({ at: this.elapsed, body, url, key });
    return new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(new Error("aborted")));
      if (answer.error === "hang") return;
      const settle = () => (answer.error ? reject(new Error(answer.error)) : resolve(response(answer, body)));
      if (answer.after_ms) this.after(answer.after_ms, settle);
      else settle();
    });
  };

  /** Lets time pass until a time since the start, in milliseconds. */
  async advance(until) {
    for (;;) {
      await setImmediate(); // whatever was promised happens
      const [next] = [...this.#timers].sort((a, b) => a.at - b.at);
      if (!next || next.at - this.#start > until) break;
      this.#timers.delete(next);
      this.#pass(next.at);
      next.f();
    }
    this.#pass(this.#start + until);
  }

  #pass(to) {
    if (to <= this.monotonicMs) return;
    this.wallMs += to - this.monotonicMs;
    this.monotonicMs = to;
  }
}

function response({ status, headers = {}, body, rejected = {} }, request) {
  const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  return { status, body: body ?? receipt(request, rejected), header: (name) => lower[name] ?? null };
}

/** What The Eye answers to a request with quiet=1. */
function receipt(request, rejected) {
  const { events } = JSON.parse(request);
  const items = Object.entries(rejected).map(([index, codes]) => ({
    index: Number(index),
    id: events[index].id,
    status: "rejected",
    problems: codes.map((code) => ({ code, pointer: "", message: `it is ${code}` })),
  }));
  return JSON.stringify({ received: events.length, accepted: events.length - items.length, rejected: items.length, duplicates: 0, events: items });
}
