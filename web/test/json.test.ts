import assert from "node:assert/strict";
import { test } from "node:test";
import { parse, Raw } from "../src/lib/json.ts";
import { content, fieldOf, find, inside, pick, pretty, tree } from "../src/lib/tree.ts";

const kept = new Set(["data"]);

test("kept members are the text that was sent", () => {
  const text = '{"a":1,"data": {"n":1.10, "n":12345678901234567890123456789012345678901,"b":[ ]} ,"z":[{"data":"x\\u0041"}]}';
  const value = parse(text, kept) as { a: number; data: Raw; z: { data: Raw }[] };
  assert.equal(value.a, 1);
  assert.equal(value.data.text, '{"n":1.10, "n":12345678901234567890123456789012345678901,"b":[ ]}');
  assert.equal(value.z[0]!.data.text, '"x\\u0041"');
});

test("a key named __proto__ is a key", () => {
  const value = parse('{"__proto__":{"admin":true}}', kept) as object;
  assert.deepEqual(Object.keys(value), ["__proto__"]);
  assert.equal((value as { admin?: boolean }).admin, undefined);
  assert.equal(tree('{"__proto__":1}')!.children[0]!.key, "__proto__");
});

test("what is not JSON is refused", () => {
  for (const text of ["", "{", '{"a"}', '{"a":1,}', "[1 2]", '{"data":}', '"a', "{} x", "nul"]) {
    assert.throws(() => parse(text, kept), SyntaxError, text);
    assert.equal(tree(text), undefined, text);
  }
});

test("a tree has digits, order and repeated keys", () => {
  const root = tree('{"b":1e2,"a":[true,{"b":"\\n"}],"b":-0.0}')!;
  assert.deepEqual(root.children.map((c) => [c.key, c.again, c.node.text]), [["b", false, "1e2"], ["a", false, '[true,{"b":"\\n"}]'], ["b", true, "-0.0"]]);
  assert.equal(find(root, "/b").node.text, "-0.0");
  assert.equal(content(find(root, "/a/1/b").node), "\n");
  assert.deepEqual(find(root, "/a/1/missing"), { node: root.children[1]!.node.children[1]!.node, exact: false });
});

test("deep values do not overflow", () => {
  assert.ok(tree("[".repeat(64) + "]".repeat(64)));
});

test("the field of a place is what conditions take", () => {
  assert.equal(fieldOf(["data", "form", "first_name"]), "data.form.first_name");
  assert.equal(fieldOf(["data", "a.b", "c/d"]), 'data."a.b"."c/d"');
  assert.equal(fieldOf(["session_id"]), undefined);
  assert.equal(fieldOf(["data"]), undefined);
  const root = tree('{"by_year":{"2024":[{"n":7}]}}')!;
  let keys: readonly string[] = ["data"];
  for (let at = root; at.children[0]; at = at.children[0].node) keys = inside(keys, at, at.children[0]);
  assert.equal(fieldOf(keys), 'data.by_year."2024".n');
});

test("pretty changes only spaces", () => {
  assert.equal(pretty('{"a":[1.0,{}],"a":""}'), '{\n  "a": [\n    1.0,\n    {}\n  ],\n  "a": ""\n}');
  assert.equal(pretty("not {json"), "not {json");
  assert.equal(pick('{"a.b":{"c":"x"}}', "a.b", "c"), "x");
});
