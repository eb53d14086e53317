import assert from "node:assert/strict";
import { test } from "node:test";
import { add, api, chips, parseWhere, remove, select } from "../src/lib/filter.ts";
import { before, interval, span } from "../src/lib/range.ts";
import { carry, path, route, safeReturn } from "../src/lib/route.ts";

test("paths name screens", () => {
  assert.deepEqual(route("/"), { screen: "overview" });
  assert.deepEqual(route("/sessions/a%2Fb"), { screen: "session", id: "a/b" });
  assert.deepEqual(route("/types/page%20interaction/cta%2Fclick"), { screen: "type", category: "page interaction", name: "cta/click" });
  for (const unknown of ["/nothing", "/overview/", "/sessions/", "/types/one", "/sessions/%"]) assert.equal(route(unknown).screen, "unknown", unknown);
  assert.equal(path("types", "a b", "c/d"), "/types/a%20b/c%2Fd");
});

test("a return leads nowhere else", () => {
  assert.equal(safeReturn("/events?name=x"), "/events?name=x");
  for (const bad of [null, "", "//evil.example", "https://evil.example", "/\\evil.example", "/signin", "/v1/events", "javascript:alert(1)"]) assert.equal(safeReturn(bad), "/overview");
});

test("the application and the time stay, filters do not", () => {
  assert.equal(String(carry(new URLSearchParams("app=shop&range=7d&name=x&show=1"), { category: "c" })), "app=shop&range=7d&category=c");
});

test("chips are the filters of an address", () => {
  const p = new URLSearchParams([["category", "a"], ["where", "data.n>=10"], ["where", 'data."a=b"!=c'], ["where", "broken"], ["app", "shop"]]);
  assert.deepEqual(chips(p), [{ field: "category", op: "=", value: "a" }, { field: "data.n", op: ">=", value: "10" }, { field: 'data."a=b"', op: "!=", value: "c" }]);
  const more = add(add(p, { field: "name", op: "=", value: "x" }), { field: "name", op: "!=", value: "y" });
  assert.deepEqual(more.getAll("name"), ["x"]);
  assert.ok(more.getAll("where").includes("name!=y"));
  assert.equal(String(add(more, { field: "name", op: "=", value: "x" })), String(more));
  for (const chip of chips(more)) assert.equal(chips(remove(more, chip)).length, chips(more).length - 1);
  assert.equal(parseWhere("=x"), undefined);
  assert.deepEqual(parseWhere("data~a=b"), { field: "data", op: "~", value: "a=b" });
  assert.equal(String(api(new URLSearchParams("app=&name=x&show=1"), ["app", "name"])), "name=x");
});

test("a value is written so that it is read as it is", () => {
  const none = new URLSearchParams();
  const where = (value: string) => select(none, "data.x", "=", value).get("where");
  for (const plain of ["12", "a b", "é", ""]) assert.equal(where(plain), `data.x=${plain}`);
  for (const special of [" a", "a ", "=10%", "<b>", ">", "~x", '"12"', "'a'", "\n"]) assert.equal(where(special), `data.x=${JSON.stringify(special)}`);
  assert.equal(select(none, "name", "=", "=x").get("name"), "=x");
  assert.equal(select(none, "name", "!=", "=x").get("where"), 'name!="=x"');
  assert.equal(select(none, "data.x", "=", "12", true).get("where"), 'data.x="12"');
  assert.equal(select(none, "app", "!=", "12", true).get("where"), "app!=12");
  const chosen = select(none, 'data."2024"', "=", " a");
  assert.equal(String(remove(chosen, chips(chosen)[0]!)), "");
});

test("spans", () => {
  const now = Date.parse("2026-01-02T00:00:00Z");
  assert.deepEqual(span(new URLSearchParams(), now), { from: "2026-01-01T00:00:00.000Z" });
  assert.deepEqual(span(new URLSearchParams("range=all"), now), {});
  assert.deepEqual(span(new URLSearchParams("range=1h&to=2026-01-01"), now), { to: new Date(2026, 0, 1).toISOString() });
  assert.deepEqual(before({ from: "2026-01-01T00:00:00.000Z" }, now), { from: "2025-12-31T00:00:00.000Z", to: "2026-01-01T00:00:00.000Z" });
  assert.equal(before({}, now), undefined);
  assert.equal(before({ from: "yesterday" }, now), undefined);
  assert.deepEqual([900_000, 86_400_000, 30 * 86_400_000].map(interval), ["minute", "hour", "day"]);
});
