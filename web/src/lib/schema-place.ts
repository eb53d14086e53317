import type { EventProblem } from "./model.ts";
import { escape, find, segments, type Node } from "./tree.ts";

/**
 * schemaPlace returns the pointer of the part of a schema that a problem is about: the keyword if the
 * message tells it, else the schema of the value.
 */
export function schemaPlace(schema: Node, p: EventProblem): string | undefined {
  if (p.code !== "schema_violation") return undefined;
  const keys = segments(p.pointer);
  if (keys[0] !== "data") return undefined;
  let at = "";
  const rest = keys.slice(1);
  const missing = /^missing propert/.test(p.message);
  const keyword = missing ? "required" : /\((\w+)\)$/.exec(p.message)?.[1];
  for (const [i, key] of rest.entries()) {
    const next = [`${at}/properties/${escape(key)}`, `${at}/items`].find((place) => find(schema, place).exact);
    if (next === undefined || (missing && i === rest.length - 1)) break;
    at = next;
  }
  const place = keyword ? `${at}/${keyword}` : at;
  return find(schema, place).exact ? place : at;
}
