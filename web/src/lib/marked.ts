import type { EventProblem } from "./model.ts";
import { find, tree, type Node } from "./tree.ts";

/** MarkedLine is a line of a text with the problems at it. */
export interface MarkedLine {
  text: string;
  problems: EventProblem[];
}

/**
 * marked indents a body and puts each problem at its line: that of the value its pointer names, or of
 * the nearest value around what is missing. A body that is not JSON keeps its lines, and the server
 * tells the place.
 */
export function marked(raw: string, problems: EventProblem[]): MarkedLine[] {
  const root = tree(raw);
  if (!root) {
    const lines = raw.split("\n").map((text): MarkedLine => ({ text, problems: [] }));
    for (const p of problems) lines[Math.min(lines.length, p.line ?? 1) - 1]!.problems.push(p);
    return lines;
  }
  const out: MarkedLine[] = [];
  const lineOf = new Map<Node, number>();
  write(root, "", "", "", out, lineOf);
  for (const p of problems) {
    const { node } = find(root, p.pointer);
    out[lineOf.get(node) ?? 0]!.problems.push(p);
  }
  return out;
}

function write(n: Node, indent: string, before: string, after: string, out: MarkedLine[], lineOf: Map<Node, number>): void {
  lineOf.set(n, out.length);
  const object = n.kind === "object";
  if (n.children.length === 0) {
    out.push({ text: indent + before + (object ? "{}" : n.kind === "array" ? "[]" : n.text) + after, problems: [] });
    return;
  }
  out.push({ text: `${indent}${before}${object ? "{" : "["}`, problems: [] });
  n.children.forEach((c, i) => write(c.node, `${indent}  `, object ? `${JSON.stringify(c.key)}: ` : "", i < n.children.length - 1 ? "," : "", out, lineOf));
  out.push({ text: `${indent}${object ? "}" : "]"}${after}`, problems: [] });
}
