import { useEffect, useMemo, useState } from "preact/hooks";
import { capital, get } from "../lib/api.ts";
import { plural } from "../lib/format.ts";
import { learnColors } from "../lib/health.ts";
import { useLoad } from "../lib/load.ts";
import { marked } from "../lib/marked.ts";
import type { Rejection, TypeVersion } from "../lib/model.ts";
import { path } from "../lib/route.ts";
import { schemaPlace } from "../lib/schema-place.ts";
import { isAdmin, to } from "../lib/state.ts";
import { tree } from "../lib/tree.ts";
import { ReceiptOf } from "../ui/event-detail.tsx";
import { Screen } from "../ui/screen.tsx";
import { Sentence } from "../ui/sentence.tsx";
import { Source } from "../ui/source.tsx";
import { Empty, Notice, Skeleton } from "../ui/state.tsx";
import { AppName, Category, Copy, Text, Time } from "../ui/text.tsx";
import { ReplayDialog } from "./replay.tsx";

/** RejectionScreen shows why an event was refused, at the places where it is wrong. */
export function RejectionScreen({ id }: { id: string }) {
  const { data: r, error, again } = useLoad(id, (signal) => get<Rejection>(`/v1/rejections/${encodeURIComponent(id)}`, { signal }));
  const [replaying, setReplaying] = useState(false);
  useEffect(() => void learnColors(), []);
  if (error && !r) return <Screen title="Rejection"><Empty title="This rejection cannot be shown"><p>{error}</p><a href={to("/rejections")}>All rejections</a></Empty></Screen>;
  if (!r) return <Screen title="Rejection"><Skeleton lines={6} height={32} /></Screen>;
  const first = r.problems[0];
  const fixable = r.problems.some((p) => p.code === "schema_violation" || p.code === "unknown_event_type") && r.category && r.name && !r.became;
  const filter: Record<string, string> = { app: r.app, event_id: r.event_id };
  return (
    <Screen
      title={`Rejected: ${r.name || r.event_id}`} heading={<>{r.name ? <Text text={r.name} most={120} /> : "An event"} was rejected</>}
      actions={isAdmin.value && !r.became && <>
        {fixable && <a class="button primary" href={to(path("types", r.category, r.name), { draft: r.id })}>draft a fix</a>}
        {!r.truncated && <button type="button" onClick={() => setReplaying(true)}>replay…</button>}
      </>}
    >
      <div class="row-flex wrap soft">
        <AppName app={r.app} />{r.category && <Category name={r.category} />}<span>received <Time at={r.received_at} /></span>
        {r.session_id ? <a class="mono break" href={to(path("sessions", r.session_id))}><Text text={r.session_id} most={120} /></a> : <span>no session could be read</span>}
      </div>
      {r.became && <Notice kind="note" text={`A replay has taken this event in${r.became.fate === "stored" ? "" : `; its fate is ${r.became.fate}`}.`}>{r.session_id && <a class="button tiny" href={to(path("sessions", r.session_id), { show: r.became.event_id })}>show it in its session</a>}</Notice>}
      <ul class="sentences">{r.problems.map((p, i) => <li key={i} class="bad-line"><Sentence problem={p} app={r.app} /></li>)}</ul>
      <div class="two">
        <Body rejection={r} />
        <div class="stack">
          <Judge rejection={r} />
          <section class="card" aria-label="What became of it"><header><h2>What became of it</h2></header><div class="body"><ReceiptOf id={r.event_id} app={r.app} /></div></section>
        </div>
      </div>
      {replaying && <ReplayDialog filter={filter} {...(first ? { group: { app: r.app, category: r.category, name: r.name, code: first.code, pointer: first.pointer } } : {})} title={capital(first?.message ?? "")} session={r.session_id} close={() => { setReplaying(false); again(); }} />}
    </Screen>
  );
}

function Body({ rejection: r }: { rejection: Rejection }) {
  const lines = useMemo(() => marked(r.raw ?? "", r.problems), [r]);
  return (
    <section class="card" aria-label="As it was sent">
      <header><h2 class="grow">As it was sent</h2>{r.raw !== undefined && <Copy text={r.raw} />}</header>
      {r.truncated && <p class="body late">Only the first {plural(new Blob([r.raw ?? ""]).size, "byte")} of {plural(r.bytes ?? 0, "byte")} are kept.</p>}
      <div class="body-pad">{r.raw === undefined ? <p>It is not text. In base64: <span class="mono break">{r.raw_base64?.slice(0, 2000)}</span></p> : <Source lines={lines} label="The event as it was sent" />}</div>
    </section>
  );
}

function Judge({ rejection: r }: { rejection: Rejection }) {
  const { data } = useLoad(r.schema_version > 0 ? r.id : undefined, (signal) => get<{ versions: TypeVersion[] }>(`${path("v1", "types", r.category, r.name)}/versions`, { signal }).catch(() => undefined));
  const version = data?.versions.find((v) => v.version === r.schema_version);
  const lines = useMemo(() => {
    const schema = version && tree(version.schema.text);
    if (!version || !schema) return undefined;
    const places = r.problems.flatMap((p) => {
      const place = schemaPlace(schema, p);
      return place === undefined ? [] : [{ code: p.code, pointer: place, message: p.message }];
    });
    return marked(version.schema.text, places);
  }, [version, r]);
  if (r.schema_version === 0) return null;
  return (
    <section class="card" aria-label="The schema that judged it">
      <header><h2 class="grow">The schema that judged it</h2><a href={to(path("types", r.category, r.name))}>version {r.schema_version}</a></header>
      <div class="body-pad">{lines ? <Source lines={lines} label="Schema" /> : <p class="soft">This version is no longer known.</p>}</div>
    </section>
  );
}
