import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, get, messageOf, post } from "../lib/api.ts";
import { fixes } from "../lib/fix.ts";
import { plural } from "../lib/format.ts";
import { useLoad } from "../lib/load.ts";
import type { EventType, Proposal, Rejection, TypePut } from "../lib/model.ts";
import { path } from "../lib/route.ts";
import { change, isAdmin, params, to } from "../lib/state.ts";
import { pretty } from "../lib/tree.ts";
import { publish, useDraft } from "../lib/use-draft.ts";
import type { Editor } from "../ui/editor.ts";
import { SchemaEditor, type Finding } from "../ui/schema-editor.tsx";
import { Screen } from "../ui/screen.tsx";
import { Empty, Notice, Skeleton } from "../ui/state.tsx";
import { Category, Text, Time } from "../ui/text.tsx";
import { ReplayDialog } from "./replay.tsx";
import { DraftEvent, Evidence, Tried, Usage } from "./type-parts.tsx";
import { PublishDialog, Versions } from "./type-versions.tsx";

/** starter is the schema with which one begins. */
const starter = '{\n  "type": "object",\n  "properties": {\n  },\n  "required": []\n}';

/** TypeScreen edits the schema of an event type, and tells what a draft would do. */
export function TypeScreen({ category, name }: { category: string; name: string }) {
  const at = path("v1", "types", category, name);
  const inForce = useLoad(at, (signal) => get<EventType>(at, { signal }).catch((e: unknown) => {
    if (e instanceof ApiError && e.status === 404) return null;
    throw e;
  }));
  const rejectionID = params.value.get("draft");
  const draftEvent = useLoad(rejectionID ?? undefined, (signal) => get<Rejection>(path("v1", "rejections", rejectionID!), { signal }));
  const original = inForce.data ? pretty(inForce.data.schema.text) : "";
  const [text, setText] = useState<string>();
  const [proposal, setProposal] = useState<Proposal>();
  const [error, setError] = useState("");
  const [publishing, setPublishing] = useState(false);
  const [published, setPublished] = useState<TypePut>();
  const [replaying, setReplaying] = useState(false);
  const editor = useRef<Editor>(null);
  const shown = text ?? original;
  const draft = useDraft(category, name, inForce.data || text !== undefined ? shown : undefined, isAdmin.value);
  const findings = useMemo<Finding[]>(() => [
    ...(draft.refusal ? [{ pointer: draft.refusal.pointer, message: draft.refusal.message, severity: "error" as const }] : []),
    ...draft.warnings.map((w) => ({ ...w, severity: "warning" as const })),
    ...draft.reasons.map((r) => ({ pointer: r.pointer, message: `Not compatible: ${r.reason}`, severity: "info" as const })),
  ], [draft]);
  useEffect(() => {
    if (inForce.data && editor.current && text === undefined) editor.current.set(original);
  }, [original]);

  const put = (next: string) => {
    setText(next);
    editor.current?.set(next);
  };
  const propose = async () => {
    try {
      const p = await post<Proposal>(`${at}/propose`, { params: { last: "10000" } });
      setProposal(p);
      put(pretty(p.schema.text));
      setError("");
    } catch (e) {
      setError(messageOf(e));
    }
  };
  const changed = text !== undefined && text !== original;
  const begun = inForce.data || text !== undefined;
  const r = draftEvent.data;
  const actions = isAdmin.value && begun && <>
    <button type="button" onClick={propose}>propose</button>
    {changed && <button type="button" onClick={() => { setText(undefined); setProposal(undefined); editor.current?.set(original); }}>discard</button>}
    <button type="button" class="primary" disabled={!changed || draft.refusal !== undefined || draft.busy} onClick={() => setPublishing(true)}>publish…</button>
  </>;
  return (
    <Screen title={`Type ${name}`} heading={<Text text={name} most={120} />} actions={actions}>
      <div class="row-flex wrap soft">
        <Category name={category} />
        {inForce.data && <span>version {inForce.data.version}, published <Time at={inForce.data.created_at} /></span>}
        {inForce.data === null && <span class="tag">without schema</span>}
        <a href={to("/events", { category, name })}>its events</a>
        <a href={to("/rejections", { category, name })}>its rejections</a>
      </div>
      {inForce.error && <Notice text={inForce.error} retry={inForce.again} />}
      {error && <Notice text={error} />}
      {published && !publishing && (
        <Notice kind="note" text={`Version ${published.version} is in force.`}>
          {isAdmin.value && <button type="button" class="tiny primary" onClick={() => setReplaying(true)}>replay what was rejected…</button>}
        </Notice>
      )}
      {inForce.loading && !inForce.data && <Skeleton lines={8} height={24} />}
      {!inForce.loading && !begun && !inForce.error && (
        <div class="card"><Empty title="This type has no schema">
          <p>Its events are stored as they are. A schema refuses those that do not match, and says why.</p>
          {isAdmin.value && <div class="row-flex"><button type="button" class="primary" onClick={propose}>propose one from its events</button><button type="button" onClick={() => put(starter)}>begin with an empty one</button></div>}
        </Empty></div>
      )}
      {begun && (
        <div class="two edit">
          <section class="card" aria-label="Schema">
            <header><h2 class="grow">{changed ? "Draft" : "Schema in force"}</h2>{draft.busy && isAdmin.value && <span class="soft small">trying…</span>}</header>
            <SchemaEditor text={shown} change={setText} findings={findings} readOnly={!isAdmin.value} editor={editor} />
            <Findings findings={findings} />
          </section>
          <div class="stack">
            {draftEvent.error && <Notice text={draftEvent.error} kind="late" />}
            {r && <DraftEvent rejection={r} close={() => change({ draft: undefined })} fixes={r.became ? [] : fixes(r.problems, r.raw ?? "")} schema={shown} use={(next) => put(pretty(next))} accepted={draft.tried?.rejected.examples.some((e) => e.id === r.id)} />}
            {isAdmin.value && <Tried draft={draft} />}
            {proposal && <Evidence proposal={proposal} />}
            <Usage category={category} name={name} />
          </div>
        </div>
      )}
      {begun && <Versions at={at} version={published?.version ?? inForce.data?.version} />}
      {publishing && (
        <PublishDialog draft={draft} before={original} after={shown} close={() => setPublishing(false)} publish={async (force) => {
          const p = await publish(category, name, shown, force);
          setPublished(p);
          setPublishing(false);
          setText(undefined);
          inForce.again();
          if (p.made && (draft.tried?.rejected.would_pass ?? 0) > 0) setReplaying(true);
        }} />
      )}
      {replaying && (
        <ReplayDialog filter={{ category, name }} title={`Everything that was rejected of ${name}, ${plural(draft.tried?.rejected.checked ?? 0, "event")} among the newest.`} {...(r?.session_id ? { session: r.session_id } : {})} close={() => { setReplaying(false); draftEvent.again(); }} />
      )}
    </Screen>
  );
}

function Findings({ findings }: { findings: Finding[] }) {
  if (findings.length === 0) return null;
  return (
    <ul class="findings" aria-live="polite">
      {findings.slice(0, 8).map((f, i) => <li key={i} class={f.severity === "error" ? "bad" : f.severity === "warning" ? "late" : "soft"}>{f.pointer && <span class="mono">{f.pointer} </span>}<Text text={f.message} most={400} /></li>)}
    </ul>
  );
}
