import { micros } from "./format.ts";
import type { Event, Gap, Rejection } from "./model.ts";
import type { Block } from "./session-reading.ts";

/** Row is a line of the list of a session. */
export type Row =
  | { kind: "event"; event: Event; after: number | undefined } // µs after the event before, undefined to show the time
  | { kind: "pause"; ms: number }
  | { kind: "missing"; gap: Gap }
  | { kind: "rejection"; rejection: Rejection }
  | { kind: "waiting"; index: number };

/** Pauses longer than this are shown as such. */
export const pauseMs = 5 * 60_000;

/**
 * rows arranges the events of a session with what is missing and what was rejected between them. What
 * has not been read, before, between and after the blocks, waits in rows of its own.
 */
export function rows(blocks: Block[], gaps: Gap[], rejections: Rejection[], total: number): Row[] {
  const out: Row[] = [];
  const before = new Map<string, Gap[]>();
  for (const gap of gaps) before.set(gap.before, [...(before.get(gap.before) ?? []), gap]);
  const refused = [...rejections].sort((a, b) => timeOf(a) - timeOf(b));
  let next = 0;
  let index = 0;
  const waitUntil = (end: number) => {
    for (; index < end; index++) out.push({ kind: "waiting", index });
  };
  for (const { at: begin, events } of blocks) {
    if (index < begin && events[0]) { // those of the time that has not been read are not shown
      const first = micros(events[0].occurred_at);
      while (next < refused.length && timeOf(refused[next]!) < first) next++;
    }
    waitUntil(begin);
    let last: number | undefined;
    for (const event of events) {
      const at = micros(event.occurred_at);
      for (; next < refused.length && timeOf(refused[next]!) < at; next++) {
        out.push({ kind: "rejection", rejection: refused[next]! });
        last = undefined;
      }
      if (last !== undefined && at - last > pauseMs * 1000) {
        out.push({ kind: "pause", ms: (at - last) / 1000 });
        last = undefined;
      }
      for (const gap of before.get(event.id) ?? []) out.push({ kind: "missing", gap });
      out.push({ kind: "event", event, after: last === undefined ? undefined : at - last });
      last = at;
    }
    index += events.length;
  }
  if (index >= total) for (; next < refused.length; next++) out.push({ kind: "rejection", rejection: refused[next]! });
  waitUntil(total);
  return out;
}

/** timeOf is when a rejected event occurred, in µs, if that can be read, else when it was received. */
export function timeOf(r: Rejection): number {
  const sent = /"timestamp"\s*:\s*"(\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))"/.exec(r.raw ?? "")?.[1];
  const at = sent ? micros(sent) : NaN;
  return Number.isNaN(at) ? micros(r.received_at) : at;
}

/** delta writes the time since the event before. */
export function delta(us: number): string {
  if (us < 1000) return `+${us} µs`;
  if (us < 1_000_000) return `+${Math.round(us / 1000)} ms`;
  if (us < 60_000_000) return `+${(us / 1e6).toFixed(us < 1e7 ? 2 : 1)} s`;
  return `+${Math.floor(us / 6e7)} min ${Math.floor((us / 1e6) % 60)} s`;
}
