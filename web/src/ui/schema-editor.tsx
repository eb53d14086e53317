import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Scanner } from "../lib/json.ts";
import { find, tree } from "../lib/tree.ts";
import type { Editor } from "./editor.ts";
import { Notice, Skeleton } from "./state.tsx";

/** Finding is what the server says about a place of a schema. */
export interface Finding { pointer: string; message: string; severity: "error" | "warning" | "info" }

interface Props {
  text: string;
  change: (text: string) => void;
  findings: Finding[];
  readOnly: boolean;
  /** Set to the editor when it is there. */
  editor: RefObject<Editor | null>;
}

/** SchemaEditor edits a schema. Its code is loaded when it is shown for the first time. */
export function SchemaEditor({ text, change, findings, readOnly, editor }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const [failed, setFailed] = useState(false);
  const [there, setThere] = useState(false);
  const [turn, setTurn] = useState(0);
  const changed = useRef(change);
  changed.current = change;
  useEffect(() => {
    let gone = false;
    setFailed(false);
    import("./editor.ts").then(({ open }) => {
      if (gone || !host.current) return;
      editor.current = open(host.current, text, (t) => changed.current(t), readOnly);
      setThere(true);
    }, () => setFailed(true));
    return () => {
      gone = true;
      editor.current?.close();
      editor.current = null;
    };
  }, [turn, readOnly]);
  useEffect(() => {
    if (!there) return;
    const now = editor.current?.text() ?? "";
    const root = tree(now);
    editor.current?.mark(findings.map((f) => {
      const at = root ? find(root, f.pointer).node : undefined;
      const from = at?.start ?? brokenAt(now);
      return { from, to: at ? Math.min(at.end, from + 1 + (at.text.indexOf("\n") < 0 ? at.text.length : at.text.indexOf("\n"))) : from, severity: f.severity, message: f.message };
    }));
  }, [findings, there]);
  if (failed) return <Notice text="The editor could not be loaded. The server may have been updated: load the page again." retry={() => setTurn(turn + 1)} />;
  return (
    <div class="editor">
      {!there && <Skeleton lines={10} height={20} />}
      <div ref={host} class={there ? "editor-host" : "editor-host only-read"} data-editor />
    </div>
  );
}

/** brokenAt is where a text stops being JSON. */
export function brokenAt(text: string): number {
  const s = new Scanner(text);
  try {
    s.skip();
    s.end();
  } catch {
    // The place is what counts.
  }
  return s.at;
}
