import assert from "node:assert/strict";
import { test } from "node:test";
import { fixes } from "../src/lib/fix.ts";
import type { EventProblem } from "../src/lib/model.ts";

const problem = (pointer: string, message: string) => ({ code: "schema_violation", pointer, message }) as EventProblem;
const numbers = '"b":{"maximum":9007199254740993},"10":{"multipleOf":0.10},"2":{"maximum":123456789012345678901234567890}';

test("a fix leaves the rest of a schema as it is written", () => {
  const schema = `{ "required":["z", "b"], "properties":{${numbers}} }`;
  const [optional] = fixes([problem("/data/z", "missing property 'z'")], "{}");
  assert.equal(optional!.apply(schema), `{"required":["b"],"properties":{${numbers}}}`);
  const [allowed] = fixes([problem("/data/n", "property 'n' is not allowed (additionalProperties)")], '{"data":{"n":1.0}}');
  assert.equal(allowed!.apply(schema), `{"required":["z", "b"],"properties":{${numbers},"n":{"type":"number"}}}`);
});

test("a fix that has nothing to change says so", () => {
  const [optional] = fixes([problem("/data/z", "missing property 'z'")], "{}");
  assert.equal(optional!.apply('{"required":["b"]}'), undefined);
  assert.equal(optional!.apply('{"required":["z"],"type":"object"}'), '{"type":"object"}');
  assert.equal(optional!.apply("not JSON"), undefined);
  const [allowed] = fixes([problem("/data/__proto__", "property '__proto__' is not allowed (additionalProperties)")], '{"data":{"__proto__":"x"}}');
  assert.equal(allowed!.apply('{"additionalProperties":false}'), '{"additionalProperties":false,"properties":{"__proto__":{"type":"string"}}}');
  assert.equal(allowed!.apply('{"properties":{"__proto__":{}}}'), undefined);
});
