import { useState } from "preact/hooks";
import { get } from "../lib/api.ts";
import { select } from "../lib/filter.ts";
import { clock, duration, exact, plural } from "../lib/format.ts";
import { useLoad } from "../lib/load.ts";
import type { Event, Receipt } from "../lib/model.ts";
import { path } from "../lib/route.ts";
import { params, setParams, to } from "../lib/state.ts";
import { pretty } from "../lib/tree.ts";
import { JsonTree } from "./json-tree.tsx";
import { Sentence } from "./sentence.tsx";
import { Notice, Skeleton } from "./state.tsx";
import { AppName, Category, Copy, Text, Time } from "./text.tsx";

/** eventText is the event as the API gives it; what the sender wrote is as it was sent. */
export function eventText(e: Event): string {
  const members = Object.entries(e).map(([key, value]) => `${JSON.stringify(key)}:${value && typeof value === "object" && "text" in value ? (value as { text: string }).text : JSON.stringify(value)}`);
  return `{${members.join(",")}}`;
}

type View = "data" | "raw" | "receipt";

/** EventDetail shows all that is known of an event. */
export function EventDetail({ event: e, column, filters = true, inSession = false }: { event: Event; column?: (field: string) => void; filters?: boolean; inSession?: boolean }) {
  const [view, setView] = useState<View>("data");
  const filter = (field: string, value: string, text: boolean) => setParams(select(params.value, field, "=", value, text));
  const command = `curl -s '${location.origin}${path("v1", "events", e.id)}?app=${encodeURIComponent(e.app)}' -H "Authorization: Bearer $EYE_KEY"`;
  const tab = (id: View, name: string) => <button type="button" role="tab" aria-selected={view === id} onClick={() => setView(id)}>{name}</button>;
  return (
    <>
      <div class="row-flex wrap">
        <div class="tabs" role="tablist" aria-label="What to show">{tab("data", "data")}{tab("raw", "raw")}{tab("receipt", "receipt")}</div>
        <span class="grow" />
        <Copy text={command} label="copy curl" />
        <Copy text={() => eventText(e)} label="copy event" />
      </div>
      {view === "data" && <>
        <JsonTree text={e.data.text} root="/data" label="data" {...(filters ? { filter } : {})} {...(column ? { column } : {})} />
        <Facts event={e} inSession={inSession} />
      </>}
      {view === "raw" && <pre class="source"><Text text={pretty(eventText(e))} most={200_000} /></pre>}
      {view === "receipt" && <ReceiptOf id={e.id} app={e.app} />}
    </>
  );
}

function Facts({ event: e, inSession }: { event: Event; inSession: boolean }) {
  const delay = Date.parse(e.received_at) - Date.parse(e.occurred_at);
  return (
    <dl class="facts">
      <dt>application</dt><dd><AppName app={e.app} /></dd>
      <dt>category</dt><dd><Category name={e.category} /></dd>
      <dt>name</dt><dd><Text text={e.name} most={400} /></dd>
      <dt>occurred</dt><dd><Time at={e.occurred_at}>{clock(e.occurred_at, 6)}, {new Date(e.occurred_at).toLocaleDateString("en-GB", { dateStyle: "medium" })}</Time></dd>
      {e.corrected_by_ms !== undefined && <><dt>corrected by</dt><dd class="late">{duration(e.corrected_by_ms)}: the clock of the sender was wrong</dd></>}
      <dt>received</dt><dd><Time at={e.received_at}>{clock(e.received_at, 3)}</Time> <span class="soft">{delay >= 0 ? `${duration(delay)} later` : ""}</span>{e.late && <span class="tag late">late</span>}</dd>
      {e.sent_at && <><dt>sent</dt><dd><Time at={e.sent_at}>{clock(e.sent_at, 3)}</Time></dd></>}
      <dt>timestamp as sent</dt><dd class="mono"><Text text={e.timestamp.text} most={200} /></dd>
      {e.sender !== null && <><dt>sender</dt><dd class="mono"><Text text={e.sender} /></dd></>}
      {e.seq !== null && <><dt>seq</dt><dd>{exact(e.seq)}</dd></>}
      <dt>type</dt><dd>{e.schema_version > 0 ? <a href={to(path("types", e.category, e.name))}>version {e.schema_version}</a> : <span class="soft">no schema</span>}</dd>
      {!inSession && <><dt>session</dt><dd><a class="mono" href={to(path("sessions", e.session_id), { show: e.id })}><Text text={e.session_id} most={200} /></a></dd></>}
      <dt>id</dt><dd class="mono">{e.id}{e.client_id !== undefined && <> <span class="soft">sent as</span> <Text text={e.client_id} /></>}</dd>
    </dl>
  );
}

/** ReceiptOf shows every arrival of an event id, and what became of it. */
export function ReceiptOf({ id, app }: { id: string; app?: string }) {
  const { data, error, again } = useLoad(`${id} ${app}`, (signal) => get<Receipt>(`/v1/receipts/${encodeURIComponent(id)}`, { params: { app }, signal }));
  if (error) return <Notice text={error} retry={again} />;
  if (!data) return <Skeleton lines={3} height={24} />;
  return <ReceiptView receipt={data} />;
}

export function ReceiptView({ receipt: r }: { receipt: Receipt }) {
  return (
    <div class="stack-8">
      <p>{plural(r.arrivals.length, "arrival")}; the event is <span class={`strong ${r.status === "rejected" ? "bad" : ""}`}>{r.status}</span> in {r.app}.{r.also_in && r.also_in.length > 0 && ` Also used in ${r.also_in.join(", ")}.`}</p>
      <div class="scroll-x"><table class="plain">
        <thead><tr><th>received</th><th>what became of it</th><th class="num">frame</th></tr></thead>
        <tbody>
          {r.arrivals.map((a) => (
            <tr key={`${a.position.frame}.${a.position.index}`}>
              <td class="tight"><Time at={a.received_at} /></td>
              <td><span class={a.fate === "rejected" ? "bad" : ""}>{a.fate}</span>{a.replay && <span class="soft"> by a replay{a.replay.at && <> at <Time at={a.replay.at} /></>}</span>}{a.problems.map((p, i) => <div key={i}><Sentence problem={p} /></div>)}</td>
              <td class="num">{exact(a.position.frame)}.{a.position.index}</td>
            </tr>
          ))}
        </tbody>
      </table></div>
    </div>
  );
}
