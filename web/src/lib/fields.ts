import type { Event, EventType } from "./model.ts";
import { quoted, tree, type Node } from "./tree.ts";

/** fieldsOf returns the fields that registered schemas name, such as data.form.first_name. */
export function fieldsOf(types: EventType[]): string[] {
  const out = new Set<string>();
  for (const t of types) walk(t.schema.parsed, "data", out, 0);
  return [...out].sort();
}

function walk(schema: unknown, prefix: string, out: Set<string>, depth: number): void {
  if (typeof schema !== "object" || schema === null || depth > 6) return;
  const properties = (schema as { properties?: unknown }).properties;
  if (typeof properties !== "object" || properties === null) return;
  for (const [key, inner] of Object.entries(properties)) {
    const field = `${prefix}.${quoted(key)}`;
    out.add(field);
    walk(inner, field, out, depth + 1);
  }
}

/** fieldsIn returns the fields with plain values that occur most often in events. */
export function fieldsIn(events: Event[], most: number): string[] {
  const counts = new Map<string, number>();
  for (const e of events.slice(0, 100)) {
    if (e.data.text.length < 20_000) count(tree(e.data.text), "data", counts, 0);
  }
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, most).map(([field]) => field);
}

function count(n: Node | undefined, prefix: string, counts: Map<string, number>, depth: number): void {
  if (n?.kind !== "object" || depth > 2) return;
  for (const c of n.children.slice(0, 30)) {
    if (c.key.length > 60) continue;
    const field = `${prefix}.${quoted(c.key)}`;
    if (c.node.kind === "object") count(c.node, field, counts, depth + 1);
    else if (c.node.kind !== "array") counts.set(field, (counts.get(field) ?? 0) + 1);
  }
}

/** keysOf returns the keys of a field such as data.form."a.b", without the leading data. */
export function keysOf(field: string): string[] {
  return [...field.matchAll(/"((?:[^"\\]|\\.)*)"|([^."]+)/g)].slice(1).map((m) => m[2] ?? unquoted(m[0]));
}

function unquoted(text: string): string {
  try {
    return JSON.parse(text) as string;
  } catch {
    return text.slice(1, -1); // of an address that somebody wrote
  }
}
