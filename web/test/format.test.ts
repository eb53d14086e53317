import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, change, duration, exact, micros, share, short, utc } from "../src/lib/format.ts";
import { cut, oneLine, pieces } from "../src/lib/text.ts";

test("numbers", () => {
  assert.equal(exact(1234567), "1\u202f234\u202f567");
  for (const [n, want] of [[0, "0"], [9999, "9\u202f999"], [12_400, "12.4 k"], [999_400, "999 k"], [999_600, "1.0 M"], [3_000_000_000, "3.0 G"], [-20_000, "−20.0 k"]] as const) assert.equal(short(n), want);
  for (const [part, whole, want] of [[0, 10, "0 %"], [1, 100_000, "< 0.01 %"], [1, 200, "0.50 %"], [34, 1000, "3.4 %"], [1, 1, "100 %"], [0, 0, "–"]] as const) assert.equal(share(part, whole), want);
  assert.equal(change(110, 100), "+10 % from 100");
  assert.equal(change(50, 100), "−50 % from 100");
  assert.equal(change(5, 0), "none before");
});

test("times have microseconds", () => {
  assert.equal(micros("2021-01-01T09:15:27.243860Z") % 1e6, 243_860);
  assert.equal(micros("2021-01-01T09:15:27Z") % 1e6, 0);
  assert.equal(micros("2021-01-01T09:15:27.1234567Z") % 1e6, 123_456);
  assert.equal(utc("2021-01-01T10:15:27.243860+01:00"), "2021-01-01 09:15:27.243860 UTC");
});

test("durations have two units", () => {
  for (const [ms, want] of [[0.5, "500 µs"], [70, "70 ms"], [1500, "1.5 s"], [45_000, "45 s"], [937_000, "15 min 37 s"], [3_600_000, "1 h"], [90_000_000, "1 d 1 h"], [-2000, "−2.0 s"]] as const) assert.equal(duration(ms), want);
  assert.equal(ago("2026-01-01T00:00:00Z", Date.parse("2026-01-01T00:02:00Z")), "2 min ago");
});

test("invisible characters are named, and none is lost", () => {
  const text = "a\u202Eb\u200B\u0000c";
  assert.deepEqual(pieces(text).map((p) => p.hidden ?? p.text), ["a", "U+202E", "b", "U+200B", "U+0000", "c"]);
  assert.equal(pieces(text).map((p) => p.text).join(""), text);
  assert.equal(oneLine(" a\n\u202Eb "), " a b ");
});

test("a cut does not split a pair", () => {
  assert.deepEqual(cut("👍👍", 3), { text: "👍", left: 2 });
  assert.deepEqual(cut("ab", 2), { text: "ab", left: 0 });
});
