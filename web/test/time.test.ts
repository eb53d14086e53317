import assert from "node:assert/strict";
import { test } from "node:test";
import { charted, instant, local, span } from "../src/lib/range.ts";

process.env["TZ"] = "Europe/Berlin";

test("times are read in the zone of the browser", () => {
  for (const [text, want] of [
    ["2026-01-31", "2026-01-30T23:00:00.000Z"], ["2026-07-31", "2026-07-30T22:00:00.000Z"], ["2026-01-31 10:00", "2026-01-31T09:00:00.000Z"],
    [" 2026-01-31T10:00:30 ", "2026-01-31T09:00:30.000Z"], ["2026-01-31 10:00:30.5", "2026-01-31T09:00:30.500Z"],
    ["2026-01-31T10:00:00.123456Z", "2026-01-31T10:00:00.123456Z"], ["2026-01-31T10:00:00+02:00", "2026-01-31T10:00:00+02:00"],
  ] as const) assert.equal(instant(text), want, text);
  for (const bad of ["", "yesterday", "2026-02-30", "2026-13-01", "2026-01-31 10", "2026-01-31 24:00", "2026-01-31 10:60", "10:00", "2026-02-30T25:00:00Z"]) assert.equal(instant(bad), undefined, bad);
  assert.deepEqual(span(new URLSearchParams("from=2026-01-31&to=tomorrow"), 0), { from: "2026-01-30T23:00:00.000Z", to: "tomorrow" });
});

test("an instant is written as it is read", () => {
  for (const [text, want] of [["2026-01-31T09:00:00.000Z", "2026-01-31 10:00"], ["2026-07-31T09:00:30Z", "2026-07-31 11:00:30"], ["2026-01-31T09:00:00.250Z", "2026-01-31 10:00:00.250"], ["nonsense", "nonsense"], ["", ""]] as const) assert.equal(local(text), want);
  assert.equal(instant(local("2026-07-31T09:00:30.000Z")), "2026-07-31T09:00:30.000Z");
});

test("a chart without a beginning shows 30 days", () => {
  const now = Date.parse("2026-03-31T00:00:00Z");
  assert.deepEqual(charted(null, null, now), { from: "2026-03-01T00:00:00.000Z", step: "day" });
  assert.deepEqual(charted(null, "2026-01-31T00:00:00Z", now), { from: "2026-01-01T00:00:00.000Z", step: "day" });
  assert.deepEqual(charted("2026-03-30T00:00:00Z", null, now), { from: "2026-03-30T00:00:00Z", step: "hour" });
});
