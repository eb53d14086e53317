import { useMemo, useState } from "preact/hooks";
import { exact, plural } from "../lib/format.ts";
import { content, fieldOf, inside, segments, tree, type Child, type Node } from "../lib/tree.ts";
import { Copy, Text } from "./text.tsx";

export interface TreeActions {
  /** Selects what has this value here. */
  filter?: (field: string, value: string, text: boolean) => void;
  column?: (field: string) => void;
}

interface Props extends TreeActions {
  /** The JSON text as sent. */
  text: string;
  /** The place of the text in the event. */
  root?: string;
  label: string;
}

const many = 100; // children that are shown at once
const long = 400; // characters of a value that are shown at once

/** JsonTree shows a JSON text as it was sent: digits, order and repeated keys included. */
export function JsonTree({ text, root = "", label, ...actions }: Props) {
  const parsed = useMemo(() => tree(text), [text]);
  if (!parsed) return <pre class="source"><Text text={text} most={20_000} /></pre>;
  return (
    <div class="json" role="group" aria-label={label}>
      <Branch node={parsed} pointer={root} keys={segments(root)} depth={0} actions={actions} />
    </div>
  );
}

function Branch({ node, pointer, keys, depth, actions }: { node: Node; pointer: string; keys: readonly string[]; depth: number; actions: TreeActions }) {
  const [most, setMost] = useState(many);
  if (node.children.length === 0) return <Line depth={depth} pointer={pointer} keys={keys} child={{ key: "", again: false, pointer: "", node }} actions={actions} bare />;
  return (
    <>
      {node.children.slice(0, most).map((child, i) => <Member key={i} child={child} pointer={pointer} keys={inside(keys, node, child)} depth={depth} actions={actions} />)}
      {node.children.length > most && (
        <div class="line" style={indent(depth)}><button type="button" class="link" onClick={() => setMost(most + 10 * many)}>show {exact(Math.min(10 * many, node.children.length - most))} more of {exact(node.children.length)}</button></div>
      )}
    </>
  );
}

function Member({ child, pointer, keys, depth, actions }: { child: Child; pointer: string; keys: readonly string[]; depth: number; actions: TreeActions }) {
  const [open, setOpen] = useState(depth < 2 && child.node.children.length <= 40);
  const nested = child.node.children.length > 0;
  return (
    <>
      <Line depth={depth} pointer={pointer} keys={keys} child={child} actions={actions} {...(nested ? { fold: { open, toggle: () => setOpen(!open) } } : {})} />
      {nested && open && <Branch node={child.node} pointer={pointer} keys={keys} depth={depth + 1} actions={actions} />}
    </>
  );
}

// Deep values do not move to the right for ever.
const indent = (depth: number) => ({ paddingLeft: `${Math.min(depth, 12) * 14}px` });

interface LineProps { depth: number; pointer: string; keys: readonly string[]; child: Child; actions: TreeActions; fold?: { open: boolean; toggle: () => void }; bare?: boolean }

function Line({ depth, pointer, keys, child, actions, fold, bare }: LineProps) {
  const [whole, setWhole] = useState(false);
  const { node } = child;
  const place = pointer + child.pointer;
  const field = fieldOf(keys);
  const value = node.children.length === 0 ? node.text : "";
  const cutAt = whole ? undefined : long;
  return (
    <div class="line" style={indent(depth)}>
      {fold ? <button type="button" class="fold" aria-expanded={fold.open} aria-label={`${fold.open ? "fold" : "unfold"} ${child.key}`} onClick={fold.toggle}>{fold.open ? "▾" : "▸"}</button> : <span class="no-fold" />}
      <span class="v">
        {!bare && <><span class={child.again ? "k again" : "k"} title={child.again ? "this key occurs more than once; the last one counts" : undefined}><Text text={child.key} most={300} /></span>{child.again && <span class="late"> (again)</span>}<span class="soft">: </span></>}
        {node.children.length > 0
          ? <span class="soft">{node.kind === "object" ? `{ ${plural(node.children.length, "key")} }` : `[ ${plural(node.children.length, "value")} ]`}</span>
          : <span class={node.kind === "object" || node.kind === "array" ? "soft" : node.kind}><Text text={value} {...(cutAt ? { most: cutAt } : {})} /></span>}
        {!whole && value.length > long && <> <button type="button" class="link" onClick={() => setWhole(true)}>show all {exact(value.length)} characters</button></>}
      </span>
      <span class="tools">
        {field && node.children.length === 0 && actions.filter && <button type="button" onClick={() => actions.filter?.(field, content(node), node.kind === "string")}>filter</button>}
        {field && node.children.length === 0 && actions.column && <button type="button" onClick={() => actions.column?.(field)}>column</button>}
        <Copy class="" label="copy" text={() => content(node)} />
        {!bare && <Copy class="" label="path" text={() => field ?? place} />}
      </span>
    </div>
  );
}
