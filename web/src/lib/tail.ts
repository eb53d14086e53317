import { get } from "./api.ts";
import { parse } from "./json.ts";
import type { Event, Rejection } from "./model.ts";

/** Item is a row of what becomes visible. */
export type Item =
  | { kind: "event"; key: string; event: Event }
  | { kind: "rejection"; key: string; rejection: Rejection }
  | { kind: "erased"; key: string; app: string; at: string }
  | { kind: "missed"; key: string; count: number };

export const keptItems = 200;
const kept = new Set(["data", "timestamp"]);

/** read turns a message of the stream into an item, or undefined if it is none. */
export function read(kind: string, id: string, data: string): Item | undefined {
  const value = parse(data, kept) as Record<string, unknown>;
  switch (kind) {
    case "event": return { kind, key: id, event: value as unknown as Event };
    case "rejection": return { kind, key: id, rejection: value as unknown as Rejection };
    case "erased": return { kind, key: id, app: String(value["app"]), at: String(value["erased_at"]) };
    case "missed": return { kind, key: `missed ${id}`, count: Number(value["count"]) };
    default: return undefined;
  }
}

/** newest puts items before others, the newest first, and keeps a bounded number. */
export function newest(items: readonly Item[], added: readonly Item[]): Item[] {
  return [...added.slice(-keptItems).reverse(), ...items].slice(0, keptItems);
}

/** Rates counts items per second, for the last minute. */
export class Rates {
  readonly seconds = 60;
  #counts = new Map<number, number>();

  note(at: number, count: number): void {
    const second = Math.floor(at / 1000);
    this.#counts.set(second, (this.#counts.get(second) ?? 0) + count);
    for (const s of this.#counts.keys()) if (s < second - this.seconds) this.#counts.delete(s);
  }

  /** last returns the counts of the last seconds, the newest last. */
  last(at: number): number[] {
    const second = Math.floor(at / 1000);
    return Array.from({ length: this.seconds }, (_, i) => this.#counts.get(second - this.seconds + 1 + i) ?? 0);
  }
}

export interface Tail { close: () => void }

/** listen follows the stream while the page is visible, and goes on where it was afterwards. */
export function listen(query: URLSearchParams, take: (items: Item[]) => void, state: (connected: boolean) => void): Tail {
  let source: EventSource | undefined;
  let last = "";
  let waiting: Item[] = [];
  let frame = 0;
  let retry = 0;
  let closed = false;
  const flush = () => {
    frame = 0;
    const items = waiting;
    waiting = [];
    take(items);
  };
  const message = (kind: string) => (e: MessageEvent<string>) => {
    if (e.lastEventId) last = e.lastEventId;
    const item = read(kind, e.lastEventId, e.data);
    if (!item) return;
    waiting.push(item);
    if (waiting.length > 5000) waiting.splice(0, waiting.length - 5000);
    frame ||= window.setTimeout(flush, 200);
  };
  const open = () => {
    if (closed || source || document.visibilityState !== "visible") return;
    const q = new URLSearchParams(query);
    if (last) q.set("after", last);
    source = new EventSource(`/v1/tail?${q}`);
    for (const kind of ["event", "rejection", "erased", "missed"]) source.addEventListener(kind, message(kind));
    source.addEventListener("message", (e) => e.lastEventId && (last = e.lastEventId));
    source.addEventListener("open", () => state(true));
    source.addEventListener("error", () => {
      state(false);
      if (source?.readyState !== EventSource.CLOSED) return;
      // The server has refused: the position may be gone, or the login has ended.
      shut();
      last = "";
      clearTimeout(retry);
      retry = window.setTimeout(() => void get("/v1/logins/current", { polling: true }).then(open, open), 3000);
    });
  };
  const shut = () => {
    source?.close();
    source = undefined;
  };
  const seen = () => (document.visibilityState === "visible" ? open() : shut());
  document.addEventListener("visibilitychange", seen);
  open();
  return {
    close: () => {
      closed = true;
      document.removeEventListener("visibilitychange", seen);
      clearTimeout(frame);
      clearTimeout(retry);
      shut();
    },
  };
}
