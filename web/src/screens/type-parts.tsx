import { get } from "../lib/api.ts";
import type { Fix } from "../lib/fix.ts";
import { exact, plural } from "../lib/format.ts";
import { useLoad } from "../lib/load.ts";
import type { Proposal, Rejection, Tried as TriedEvent, Values } from "../lib/model.ts";
import { path } from "../lib/route.ts";
import { to } from "../lib/state.ts";
import { find, tree } from "../lib/tree.ts";
import type { DraftState } from "../lib/use-draft.ts";
import { JsonTree } from "../ui/json-tree.tsx";
import { Sentence } from "../ui/sentence.tsx";
import { Notice, Skeleton } from "../ui/state.tsx";
import { AppName, Count, Text } from "../ui/text.tsx";

interface DraftEventProps { rejection: Rejection; fixes: Fix[]; schema: string; use: (schema: string) => void; accepted: boolean | undefined; close: () => void }

/** DraftEvent is the event for which a fix is drafted. */
export function DraftEvent({ rejection: r, fixes, schema, use, accepted, close }: DraftEventProps) {
  const root = r.raw ? tree(r.raw) : undefined;
  const data = root ? find(root, "/data") : undefined;
  const left = fixes.flatMap((f) => {
    const next = f.apply(schema);
    return next === undefined ? [] : [{ text: f.text, next }];
  });
  return (
    <section class="card" aria-label="The rejected event">
      <header><h2 class="grow">The rejected event</h2>{accepted && <span class="tag good">the draft accepts it</span>}<a href={to(path("rejections", r.id))}>details</a><button type="button" class="quiet tiny" aria-label="Close" onClick={close}>✕</button></header>
      <div class="body stack">
        <ul class="sentences">{r.problems.map((p, i) => <li key={i} class="bad-line"><Sentence problem={p} /></li>)}</ul>
        {left.length > 0 && <div class="row-flex wrap">{left.map((f) => <button key={f.text} type="button" onClick={() => use(f.next)}><Text text={f.text} most={60} /></button>)}</div>}
        {data?.exact ? <JsonTree text={data.node.text} root="/data" label="data of the rejected event" /> : <pre class="source"><Text text={r.raw ?? ""} most={5000} /></pre>}
      </div>
    </section>
  );
}

/** Tried tells what a draft would do to the newest events. */
export function Tried({ draft: d }: { draft: DraftState }) {
  const t = d.tried;
  return (
    <section class="card" aria-label="What the draft would do">
      <header><h2 class="grow">What this schema would do</h2><span class="soft small">newest 10 000 events</span></header>
      <div class={`body stack ${d.busy && t ? "busy" : ""}`} aria-live="polite">
        {d.error && <Notice text={d.error} retry={d.again} />}
        {!t && !d.error && (d.refusal ? <p class="soft">The draft is not a schema yet.</p> : <Skeleton lines={2} height={40} />)}
        {t && <>
          <div class="verdicts">
            <Verdict n={t.stored.would_fail} of={t.stored.checked} bad text="stored events would be rejected" />
            <Verdict n={t.rejected.would_pass} of={t.rejected.checked} text="rejected events would be stored" />
          </div>
          <Examples title="Stored, would be rejected" events={t.stored.examples} />
          {t.rejected.pointers.length > 0 && t.rejected.would_pass < t.rejected.checked && (
            <p class="soft small">Still rejected: {t.rejected.pointers.slice(0, 4).map((p) => `${exact(p.count)} at ${p.pointer || "the event"}`).join(", ")}</p>
          )}
        </>}
      </div>
    </section>
  );
}

function Verdict({ n, of, text, bad = false }: { n: number; of: number; text: string; bad?: boolean }) {
  return (
    <div>
      <div class={`verdict ${n > 0 ? (bad ? "bad" : "good") : "soft"}`}><Count n={n} /> <span class="soft small">of {exact(of)}</span></div>
      <div class="small">{text}</div>
    </div>
  );
}

function Examples({ title, events }: { title: string; events: TriedEvent[] }) {
  if (events.length === 0) return null;
  return (
    <div class="stack-8">
      <h3>{title}</h3>
      <ul class="stack-8">{events.slice(0, 3).map((e) => <li key={e.id} class="bad-line"><span class="soft">{e.app}: </span>{e.problems[0] && <Sentence problem={e.problems[0]} />}</li>)}</ul>
    </div>
  );
}

/** Evidence tells on what a proposed schema is based. */
export function Evidence({ proposal: p }: { proposal: Proposal }) {
  return (
    <section class="card" aria-label="Evidence">
      <header><h2 class="grow">Proposed from {plural(p.events, `${p.source} event`)}</h2></header>
      <table class="plain">
        <thead><tr><th>field</th><th>statement</th><th class="num">seen</th></tr></thead>
        <tbody>{p.evidence.slice(0, 60).map((e) => <tr key={e.pointer + e.statement}><td class="mono"><Text text={e.pointer.replaceAll("/properties/", ".").replace(/^\./, "") || "data"} most={80} /></td><td><Text text={e.statement} most={120} /></td><td class={`num ${e.exceptions > 0 ? "late" : ""}`}>{exact(e.seen)} of {exact(e.of)}</td></tr>)}</tbody>
      </table>
    </section>
  );
}

/** Usage tells which applications send a type, as far as the key sees. */
export function Usage({ category, name }: { category: string; name: string }) {
  const { data } = useLoad(`${category}\n${name}`, (signal) => get<Values>("/v1/values", { params: { field: "app", category, name, limit: "20" }, signal }));
  if (!data || data.values.length === 0) return null;
  return (
    <section class="card" aria-label="Who sends it">
      <header><h2>Who sends it</h2></header>
      <ul class="body stack-8">{data.values.map((v) => <li key={v.value} class="row-flex"><AppName app={v.value} /><span class="grow" /><Count n={v.count} /> <span class="soft">events</span></li>)}</ul>
    </section>
  );
}
