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

/** Members are the members of an object: their names, and their values as they are written. */
type Members = { key: string; text: string }[];

const members = (n: Node): Members => n.children.map((c) => ({ key: c.key, text: c.node.text }));
const written = (list: Members) => `{${list.map((m) => `${JSON.stringify(m.key)}:${m.text}`).join()}}`;

/** edit changes the members of the schema of an object, and leaves the text of everything else. */
function edit(text: string, path: string[], change: (o: Node) => Members | undefined): string | undefined {
  const root = tree(text);
  if (!root) return undefined;
  const pointer = path.map((k) => `/properties/${escape(k)}`).join("");
  const at = find(root, pointer);
  if (!at.exact || at.node.kind !== "object") return undefined;
  const changed = change(at.node);
  return changed && text.slice(0, at.node.start) + written(changed) + text.slice(at.node.end);
}

/** member returns the value of a member: of members of one name, the last one counts. */
const member = (o: Node, key: string): Node | undefined => o.children.findLast((c) => c.key === key)?.node;

function optional(o: Node, key: string): Members | undefined {
  const required = member(o, "required");
  if (required?.kind !== "array") return undefined;
  const rest = required.children.filter((c) => c.node.kind !== "string" || JSON.parse(c.node.text) !== key);
  if (rest.length === required.children.length) return undefined;
  const text = `[${rest.map((c) => c.node.text).join()}]`;
  return members(o).flatMap((m) => (m.key !== "required" ? [m] : rest.length > 0 ? [{ ...m, text }] : []));
}

function allow(o: Node, key: string, type: string | undefined): Members | undefined {
  const properties = member(o, "properties");
  if (properties && (properties.kind !== "object" || member(properties, key))) return undefined;
  const added = { key, text: type ? `{"type":"${type}"}` : "{}" };
  const text = written([...(properties ? members(properties) : []), added]);
  return properties ? members(o).map((m) => (m.key === "properties" ? { ...m, text } : m)) : [...members(o), { key: "properties", text }];
}

function typeOf(n: Node): string | undefined {
  if (n.kind !== "word") return n.kind;
  return n.text === "null" ? "null" : "boolean";
}
