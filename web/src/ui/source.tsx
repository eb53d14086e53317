import { useState } from "preact/hooks";
import { capital } from "../lib/api.ts";
import { exact } from "../lib/format.ts";
import type { MarkedLine } from "../lib/marked.ts";
import type { EventProblem } from "../lib/model.ts";
import { Text } from "./text.tsx";

const most = 400;

/** Source shows the lines of a text, with what is wrong beside them. */
export function Source({ lines, label }: { lines: MarkedLine[]; label: string }) {
  const [all, setAll] = useState(false);
  const shown = all ? lines : lines.slice(0, most);
  return (
    <pre class="source" aria-label={label} role="group">
      {shown.map((l, i) => (
        <div key={i} class={l.problems.length ? "ln wrong" : "ln"}>
          <span aria-hidden="true">{i + 1}</span>
          <span>{l.problems.length ? <>{/^ */.exec(l.text)?.[0]}<mark><Text text={l.text.trimStart()} most={2000} /></mark></> : <Text text={l.text} most={2000} />}</span>
          {l.problems.map((p, k) => <Says key={k} problem={p} />)}
        </div>
      ))}
      {lines.length > shown.length && <button type="button" class="link" onClick={() => setAll(true)}>show all {exact(lines.length)} lines</button>}
    </pre>
  );
}

function Says({ problem }: { problem: EventProblem }) {
  return <span class="says"><Text text={capital(problem.message)} most={400} /></span>;
}
