import type { EventProblem } from "./model.ts";
import { escape, find, quoted, segments, tree, type Node } from "./tree.ts";

/** Fix is a change of a schema that makes it accept what a problem refused. */
export interface Fix {
  text: string;
  apply: (schema: string) => string | undefined;
}

/** fixes proposes changes for problems of an event, which sent raw. */
export function fixes(problems: EventProblem[], raw: string): Fix[] {
  const body = tree(raw);
  const out: Fix[] = [];
  for (const p of problems) {
    const keys = segments(p.pointer);
    const key = keys.at(-1);
    if (p.code !== "schema_violation" || keys[0] !== "data" || key === undefined || keys.length < 2) continue;
    const parent = keys.slice(1, -1);
    const name = keys.slice(1).map(quoted).join(".");
    if (/^missing propert/.test(p.message)) out.push({ text: `make ${name} optional`, apply: (s) => edit(s, parent, (o) => optional(o, key)) });
    else if (/\(additionalProperties\)$/.test(p.message)) {
      const sent = body ? find(body, p.pointer) : undefined;
      out.push({ text: `allow ${name}`, apply: (s) => edit(s, parent, (o) => allow(o, key, sent?.exact ? typeOf(sent.node) : undefined)) });
    }
  }
  return out;
}

type Schema = Record<string, unknown>;

function edit(text: string, path: string[], change: (o: Schema) => boolean): string | undefined {
  const root = tree(text);
  if (!root) return undefined;
  const pointer = path.map((k) => `/properties/${escape(k)}`).join("");
  const at = find(root, pointer);
  if (!at.exact || at.node.kind !== "object") return undefined;
  const value = JSON.parse(at.node.text) as Schema;
  if (!change(value)) return undefined;
  return text.slice(0, at.node.start) + JSON.stringify(value) + text.slice(at.node.end);
}

function optional(o: Schema, key: string): boolean {
  if (!Array.isArray(o["required"]) || !o["required"].includes(key)) return false;
  const rest = o["required"].filter((k) => k !== key);
  if (rest.length > 0) o["required"] = rest;
  else delete o["required"];
  return true;
}

function allow(o: Schema, key: string, type: string | undefined): boolean {
  const properties = (o["properties"] ?? {}) as Schema;
  if (Object.hasOwn(properties, key)) return false;
  Object.defineProperty(properties, key, { value: type ? { type } : {}, enumerable: true, configurable: true, writable: true });
  o["properties"] = properties;
  return true;
}

function typeOf(n: Node): string | undefined {
  if (n.kind !== "word") return n.kind;
  return n.text === "null" ? "null" : "boolean";
}
