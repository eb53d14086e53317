import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event, Session } from "../src/lib/model.ts";
import { SessionReading, type SessionPage } from "../src/lib/session-reading.ts";

/** random returns the same numbers below n for the same seed. */
function random(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

/** server answers as GET /v1/sessions does. Many of its events occur in the same millisecond. */
function server(count: number, draw: (n: number) => number) {
  let at = Date.parse("2026-01-01T00:00:00Z");
  const events = Array.from({ length: count }, (_, i) => {
    at += [0, 0, 1, 1000, 60_000, i % 997 === 0 ? 86_400_000 : 0][draw(6)]!;
    return { id: `e${i}`, app: "shop", occurred_at: new Date(at).toISOString() } as Event;
  });
  const session = { events: count, started_at: events[0]!.occurred_at, ended_at: events.at(-1)!.occurred_at } as Session;
  let asked = 0;
  const ask = async (params: Record<string, string>): Promise<SessionPage> => {
    asked++;
    let list = events.filter((e) => (!params["from"] || e.occurred_at >= params["from"]) && (!params["to"] || e.occurred_at < params["to"]));
    if (params["order"] === "desc") list = list.reverse();
    const begin = Number(params["cursor"] ?? 0);
    const end = begin + Math.max(1, draw(2) ? Number(params["limit"]) : draw(50)); // a page may be short
    return { session, events: list.slice(begin, end), missing: [], next_cursor: end < list.length ? String(end) : null } as unknown as SessionPage;
  };
  return { events, ask, asked: () => asked };
}

const indexOf = (e: Event) => Number(e.id.slice(1));

function check(reading: SessionReading, count: number) {
  let end = 0;
  let last = -1;
  for (const b of reading.blocks) {
    assert.ok(b.at >= end, `a block begins at ${b.at}, before ${end}`);
    for (const [i, e] of b.events.entries()) {
      assert.ok(i === 0 ? indexOf(e) > last : indexOf(e) === last + 1, `${e.id} comes after e${last}`);
      last = indexOf(e);
    }
    end = b.at + b.events.length;
  }
  assert.ok(end <= count, `the blocks end at ${end} of ${count}`);
}

test("wherever one looks, the events are consecutive, and all can be read", async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const draw = random(seed);
    const count = 1 + draw(draw(3) ? 12_000 : 300);
    const s = server(count, draw);
    const reading = new SessionReading(s.ask, () => check(reading, count));
    for (let i = draw(12); i >= 0; i--) {
      const index = draw(count);
      if (draw(3) === 0) await reading.needEvent(`e${index}`, s.events[index]!.occurred_at);
      else await reading.need(index);
      if (draw(4) === 0) await Promise.all([reading.need(draw(count)), reading.need(draw(count))]);
    }
    for (let i = 0; i < count; i++) {
      const waiting = reading.blocks[0]!.events.length;
      if (waiting === count) break;
      await reading.need(waiting);
    }
    assert.deepEqual(reading.blocks.map((b) => [b.at, b.events.map(indexOf)]), [[0, s.events.map(indexOf)]], `seed ${seed}`);
  }
});

test("a jump reads by time, not all that comes before", async () => {
  const s = server(50_000, random(7));
  const reading = new SessionReading(s.ask, () => {});
  await reading.need(0);
  await reading.need(49_999);
  assert.equal(reading.blocks.at(-1)!.events.at(-1)!.id, "e49999");
  await reading.need(25_000);
  assert.equal(reading.blocks.length, 2);
  await reading.needEvent("e31000", s.events[31_000]!.occurred_at);
  assert.ok(reading.blocks[1]!.events.some((e) => e.id === "e31000"));
  assert.ok(s.asked() < 200, `${s.asked()} pages were read`);
});

test("what cannot be read is tried again when it is needed again", async () => {
  const s = server(5000, random(3));
  let broken = true;
  const reading = new SessionReading((params) => (broken ? Promise.reject(new Error("away")) : s.ask(params)), () => {});
  await assert.rejects(reading.need(0), /away/);
  broken = false;
  await reading.need(10);
  assert.ok(reading.blocks[0]!.events.length > 10);
});
