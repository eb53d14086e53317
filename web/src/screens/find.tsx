import { useEffect, useRef } from "preact/hooks";
import { capital, get, post } from "../lib/api.ts";
import { duration, plural } from "../lib/format.ts";
import { useLoad } from "../lib/load.ts";
import type { Event, Found } from "../lib/model.ts";
import { path } from "../lib/route.ts";
import { refusal } from "../lib/refusal.ts";
import { to } from "../lib/state.ts";
import { ReceiptView } from "../ui/event-detail.tsx";
import { Screen } from "../ui/screen.tsx";
import { Sentence } from "../ui/sentence.tsx";
import { Empty, Notice, Skeleton } from "../ui/state.tsx";
import { AppName, Category, Text, Time } from "../ui/text.tsx";
import { asked } from "../ui/topbar.tsx";
import { groupAddress } from "./overview-lists.tsx";

/** Find tells what is known of an id, a session, a payload or an error. */
export function Find() {
  const q = asked.value;
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (!q) field.current?.focus();
  }, []);
  const { data, error, loading, again } = useLoad(q || undefined, (signal) => post<Found>("/v1/find", { body: { q }, signal }));
  const submit = () => (asked.value = field.current?.value.trim() ?? "");
  return (
    <Screen title="Find">
      <form class="stack-8 find" role="search" aria-label="By text" onSubmit={(e) => { e.preventDefault(); submit(); }}>
        <label for="q">An event id, a session id, a payload, or the text of an error</label>
        <textarea id="q" ref={field} key={q} class="mono" rows={q.includes("\n") || q.length > 120 ? 6 : 2} defaultValue={q} spellcheck={false} onKeyDown={(e) => { if (e.key === "Enter" && !e.shiftKey) { e.preventDefault(); submit(); } }} />
        <div class="row-flex"><button type="submit" class="primary">Find</button><span class="hint">What is pasted here stays out of the address of this page.</span></div>
      </form>
      {error && <Notice text={error} retry={again} />}
      {q && loading && <Skeleton lines={4} height={40} />}
      {q && data && !loading && !error && <Results found={data} />}
      {!q && <Empty title="Did it arrive?">Paste what you have. The answer says what became of it: stored, rejected and why, erased, or never seen.</Empty>}
    </Screen>
  );
}

function Results({ found: f }: { found: Found }) {
  const nothing = f.receipts.length + f.sessions.length + f.rejections.length + f.groups.length === 0;
  return (
    <div class="stack">
      {nothing && <Notice kind="late" text="Nothing is known of this, as far as your key sees. If it was sent, the request was refused before it was read, or it never arrived." />}
      {f.cut_off && <Notice kind="late" text="The text was searched for two seconds; there may be more." />}
      {f.receipts.map((r) => (
        <section key={`${r.app} ${r.id}`} class="card" aria-label="Event">
          <header><h2 class="grow">{f.as === "payload" ? "An event with this payload" : "An event with this id"}</h2><span class="mono small cut">{r.id}</span></header>
          <div class="body"><ReceiptView receipt={r} /></div>
          {r.status === "stored" && <div class="body-pad"><EventLink id={r.id} app={r.app} /></div>}
        </section>
      ))}
      {f.sessions.map((s) => (
        <section key={s.session_id} class="card" aria-label="Session">
          <header><h2 class="grow">A session</h2><a class="button tiny" href={to(path("sessions", s.session_id))}>open it</a></header>
          <div class="body row-flex wrap"><a class="mono break" href={to(path("sessions", s.session_id))}><Text text={s.session_id} most={200} /></a><span>{plural(s.events, "event")}</span>{(s.rejections ?? 0) > 0 && <span class="bad">{s.rejections} rejected</span>}<span class="soft"><Time at={s.started_at} />, {duration(Date.parse(s.ended_at) - Date.parse(s.started_at))}</span>{s.apps.map((a) => <AppName key={a} app={a} />)}</div>
        </section>
      ))}
      {f.rejections.length > 0 && (
        <section class="card" aria-label="Rejections">
          <header><h2>Rejected</h2></header>
          <ul class="versions">{f.rejections.map((r) => <li key={r.id}><span class="row-flex wrap"><Time at={r.received_at} /><AppName app={r.app} /><a class="strong" href={to(path("rejections", r.id))}><Text text={r.name || "open it"} most={80} /></a>{r.became && <span class="tag good">replayed</span>}</span>{r.problems.slice(0, 3).map((p, i) => <span key={i} class="bad-line"><Sentence problem={p} /></span>)}</li>)}</ul>
        </section>
      )}
      {f.groups.length > 0 && (
        <section class="card" aria-label="Problems">
          <header><h2>Problems with this text</h2></header>
          <ul class="versions">{f.groups.slice(0, 20).map((g) => <li key={groupAddress(g)}><a href={groupAddress(g)}><Text text={capital(g.text)} most={300} /></a></li>)}</ul>
        </section>
      )}
      {f.refused.length > 0 && (
        <section class="card" aria-label="Refused requests">
          <header><h2 class="grow">Requests that were refused</h2><a href={to("/unreadable")}>all of them</a></header>
          <ul class="body stack-8">{f.refused.slice(0, 8).map((g) => <li key={`${g.app} ${g.reason}`}>Someone sent {g.app ? <>to {g.app} </> : ""}{refusal(g.reason)} {plural(g.count, "time")} since <Time at={g.first_seen} />, last at <Time at={g.last_seen} />.</li>)}</ul>
        </section>
      )}
    </div>
  );
}

/** EventLink leads to an event in its session. */
function EventLink({ id, app }: { id: string; app: string }) {
  const { data: e } = useLoad(`${id} ${app}`, (signal) => get<Event>(`/v1/events/${encodeURIComponent(id)}`, { params: { app }, signal }).catch(() => undefined));
  if (!e) return null;
  return <span class="row-flex wrap"><Category name={e.category} /><a class="strong" href={to(path("sessions", e.session_id), { show: e.id })}><Text text={e.name} most={80} /></a><span class="soft">at <Time at={e.occurred_at} /> in its session</span></span>;
}
