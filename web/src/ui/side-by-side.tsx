import { useMemo } from "preact/hooks";
import { diff } from "../lib/diff.ts";
import { pretty } from "../lib/tree.ts";
import { Text } from "./text.tsx";

/** SideBySide shows two JSON texts, with the lines in which they differ. */
export function SideBySide({ before, after, names }: { before: string; after: string; names: [string, string] }) {
  const lines = useMemo(() => diff(pretty(before), pretty(after)), [before, after]);
  const side = (other: "minus" | "plus", own: "minus" | "plus", number: "before" | "after") =>
    lines.filter((l) => l.kind !== other).map((l, i) => (
      <div key={i} class={`ln ${l.kind === own ? own : ""}`}><span>{l[number]}</span><span>{l.kind === own && <span class="only-read">{own === "minus" ? "removed: " : "added: "}</span>}<Text text={l.text} most={2000} /></span></div>
    ));
  return (
    <div class="sides">
      <div><h3>{names[0]}</h3><pre class="source">{side("plus", "minus", "before")}</pre></div>
      <div><h3>{names[1]}</h3><pre class="source">{side("minus", "plus", "after")}</pre></div>
    </div>
  );
}
