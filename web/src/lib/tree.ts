import { Scanner } from "./json.ts";

/** Node is a value in a JSON text, with its place. */
export interface Node {
  kind: "object" | "array" | "string" | "number" | "word";
  /** The value as sent; for objects and arrays the whole text. */
  text: string;
  start: number;
  end: number;
  children: Child[];
}

export interface Child {
  /** The key as it reads, or the index. */
  key: string;
  /** Whether an earlier member has the same key. */
  again: boolean;
  pointer: string;
  node: Node;
}

/** tree returns the nodes of a JSON text, or undefined if the text is not JSON. */
export function tree(text: string): Node | undefined {
  try {
    const s = new Scanner(text);
    const root = node(s, "");
    s.end();
    return root;
  } catch {
    return undefined;
  }
}

function node(s: Scanner, pointer: string): Node {
  const start = s.at;
  const children: Child[] = [];
  let kind: Node["kind"];
  switch (s.peek()) {
    case "{": {
      kind = "object";
      const seen = new Set<string>();
      s.members((key) => {
        const place = `${pointer}/${escape(key)}`;
        children.push({ key, again: seen.has(key), pointer: place, node: node(s, place) });
        seen.add(key);
      });
      break;
    }
    case "[":
      kind = "array";
      s.elements(() => {
        const key = String(children.length);
        const place = `${pointer}/${key}`;
        children.push({ key, again: false, pointer: place, node: node(s, place) });
      });
      break;
    case '"':
      kind = "string";
      s.skip();
      break;
    default:
      kind = /[-0-9]/.test(s.peek()) ? "number" : "word";
      s.skip();
  }
  const text = s.text.slice(start, s.at);
  if (kind === "string" || kind === "number" || kind === "word") JSON.parse(text);
  return { kind, text, start, end: s.at, children };
}

/** escape writes a key as a segment of a JSON Pointer. */
export function escape(key: string): string {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** segments returns the keys of a JSON Pointer. */
export function segments(pointer: string): string[] {
  return pointer === "" ? [] : pointer.slice(1).split("/").map((s) => s.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/**
 * find returns the value that a JSON Pointer names, or the nearest one around it. Of keys that occur
 * twice the last counts, as for the server.
 */
export function find(root: Node, pointer: string): { node: Node; exact: boolean } {
  let at = root;
  for (const key of segments(pointer)) {
    const child = at.children.findLast((c) => c.key === key);
    if (!child) return { node: at, exact: false };
    at = child.node;
  }
  return { node: at, exact: true };
}

/** content is what a string says, or the text of another value. */
export function content(n: Node): string {
  return n.kind === "string" ? (JSON.parse(n.text) as string) : n.text;
}

/** inside returns the keys that lead to a child. The index of an array is none: a condition holds for any element. */
export function inside(keys: readonly string[], parent: Node, child: Child): readonly string[] {
  return parent.kind === "array" ? keys : [...keys, child.key];
}

/** fieldOf returns the name of a place in an event for conditions: data."a.b".c. Without a place in data it is undefined. */
export function fieldOf(keys: readonly string[]): string | undefined {
  if (keys[0] !== "data" || keys.length < 2) return undefined;
  return ["data", ...keys.slice(1).map(quoted)].join(".");
}

export function quoted(key: string): string {
  return /^[A-Za-z_][\w-]*$/.test(key) ? key : JSON.stringify(key);
}

/** pick returns the content of a member of a JSON object, by its path, or undefined. */
export function pick(text: string, ...path: string[]): string | undefined {
  const root = tree(text);
  if (!root) return undefined;
  const found = find(root, path.map((k) => `/${escape(k)}`).join(""));
  return found.exact ? content(found.node) : undefined;
}

/** pretty indents a JSON text, and leaves everything else as it is. */
export function pretty(text: string): string {
  const root = tree(text);
  return root ? indented(root, "") : text;
}

function indented(n: Node, indent: string): string {
  if (n.children.length === 0) return n.kind === "object" ? "{}" : n.kind === "array" ? "[]" : n.text;
  const inner = `${indent}  `;
  const object = n.kind === "object";
  const lines = n.children.map((c) => inner + (object ? `${JSON.stringify(c.key)}: ` : "") + indented(c.node, inner));
  return `${object ? "{" : "["}\n${lines.join(",\n")}\n${indent}${object ? "}" : "]"}`;
}
