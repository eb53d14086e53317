import assert from "node:assert/strict";
import { test } from "node:test";
import { diff } from "../src/lib/diff.ts";
import { isFresh, judge } from "../src/lib/health.ts";
import { axis, marks } from "../src/lib/lanes.ts";
import type { Event, Rejection } from "../src/lib/model.ts";
import { delta, rows } from "../src/lib/session-rows.ts";
import { align, stacked, steps } from "../src/lib/stack.ts";

const event = (id: string, at: string) => ({ id, occurred_at: `2026-01-01T${at}Z` }) as Event;

test("rows show pauses, what is missing and what was rejected", () => {
  const events = [event("a", "09:00:00.000001"), event("b", "09:00:00.000001"), event("c", "09:10:00"), event("d", "09:10:01")];
  const gap = { sender: "tab-1", from_seq: 7, to_seq: 8, count: 2, after: "c", before: "d" };
  const refused = { id: "r", received_at: "2026-01-01T09:05:00Z" } as Rejection;
  const got = rows([{ at: 0, events }], [gap], [refused], 6).map((r) => (r.kind === "event" ? `${r.event.id} ${r.after ?? "time"}` : r.kind));
  assert.deepEqual(got, ["a time", "b 0", "rejection", "c time", "missing", "d 1000000", "waiting", "waiting"]);
  const quiet = rows([{ at: 0, events }], [], [], 4).map((r) => r.kind);
  assert.deepEqual(quiet, ["event", "event", "pause", "event", "event"]);
});

test("a rejection is placed by the time it was sent with, if that can be read", () => {
  const late = { id: "r", received_at: "2026-01-01T10:00:00Z", raw: '{"timestamp":"2026-01-01T08:00:00Z"}' } as Rejection;
  assert.deepEqual(rows([{ at: 0, events: [event("a", "09:00:00")] }], [], [late], 1).map((r) => r.kind), ["rejection", "event"]);
});

test("deltas", () => {
  assert.deepEqual([0, 999, 1500, 2_490_000, 45_000_000, 65_000_000].map(delta), ["+0 µs", "+999 µs", "+2 ms", "+2.49 s", "+45.0 s", "+1 min 5 s"]);
});

test("a time axis folds pauses and keeps the order", () => {
  const minute = 60_000;
  const times = [0, minute, 2 * minute, 60 * minute, 61 * minute];
  const a = axis(times, 5 * minute);
  assert.equal(a.folds.length, 1);
  assert.equal(a.folds[0]!.ms, 58 * minute);
  const places = times.map(a.place);
  assert.deepEqual(places, [...places].sort((x, y) => x - y));
  assert.equal(places[0], 0);
  assert.ok(Math.abs(places[4]! - 1) < 1e-9);
  assert.ok(places[3]! - places[2]! < 0.04);
  assert.equal(axis([], minute).place(0), 0);
  assert.deepEqual(marks([{ at: 0, id: "a" }, { at: 1, id: "b" }, { at: minute, id: "c" }], a.place, 100).map((m) => [m.id, m.count]), [["a", 2], ["c", 1]]);
});

test("series become steps, the largest group first", () => {
  const s = { interval: "hour", series: [{ group: "small", points: [{ at: "2026-01-01T00:00:00Z", count: 1 }] }, { group: "large", points: [{ at: "2026-01-01T00:00:00Z", count: 5 }, { at: "2026-01-01T01:00:00Z", count: 2 }] }] };
  const got = steps(s);
  assert.deepEqual(got.groups, [{ name: "large", counts: [5, 2] }, { name: "small", counts: [1, 0] }]);
  assert.deepEqual(stacked(got.groups, 2), [[6, 2], [5, 2]]);
  assert.deepEqual(align(s, "small", got.at), [1, 0]);
  assert.deepEqual(steps(s, 1).groups[1], { name: "1 others", counts: [1, 0] });
});

test("a difference has every line of both texts", () => {
  const lines = diff("a\nb\nc\nd", "a\nx\nc\nd\ne");
  assert.deepEqual(lines.map((l) => `${l.kind} ${l.text}`), ["same a", "minus b", "plus x", "same c", "same d", "plus e"]);
  assert.deepEqual(diff("", "").map((l) => l.kind), ["same"]);
});

test("the mark says what is wrong", () => {
  const works = { ready: true, intake: true, read: true, reasons: [] };
  const books = (more: object) => ({ apps: [{ app: "a", received: 1, stored: 1, rejected: 0, duplicate: 0, erased: 0, expired: 0, lost: 0, pending: 0, balanced: true, ...more }], balanced: true });
  assert.deepEqual(judge(works, books({})), { kind: "good", text: "all accounted for" });
  assert.equal(judge(works, books({ pending: 212 })).text, "212 pending");
  assert.equal(judge(works, books({ lost: 3 })).kind, "bad");
  assert.deepEqual(judge({ ...works, ready: false, intake: false, reasons: ["disk is full"] }, books({})), { kind: "bad", text: "intake refuses: disk is full" });
  assert.equal(judge(undefined, undefined).kind, "bad");
});

test("a group is new if it began after the last visit", () => {
  const since = "2026-01-02T00:00:00.000Z";
  assert.ok(isFresh({ first_seen: "2026-01-02T00:00:00.000001Z" }, since));
  assert.ok(!isFresh({ first_seen: "2026-01-01T23:59:59.999999Z" }, since));
});
