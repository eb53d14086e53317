import { get } from "../lib/api.ts";
import { usePages } from "../lib/load.ts";
import type { AuditEntry, Page } from "../lib/model.ts";
import { change, params, shown } from "../lib/state.ts";
import { Panel } from "../ui/dialog.tsx";
import { JsonTree } from "../ui/json-tree.tsx";
import { Screen } from "../ui/screen.tsx";
import { Empty, Notice } from "../ui/state.tsx";
import { Table, type Column } from "../ui/table.tsx";
import { Text, Time } from "../ui/text.tsx";
import { stamp } from "./events.tsx";

/** Audit lists who changed what. */
export function Audit() {
  const query = new URLSearchParams();
  for (const [name, value] of [["app", params.value.get("app")], ["key_id", params.value.get("key_id")], ["act", params.value.get("act")], ["from", shown.value.from], ["to", shown.value.to]] as const) if (value) query.set(name, value);
  const list = usePages<AuditEntry>(`${query}`, async (cursor, signal, polling) => {
    const p = new URLSearchParams(query);
    if (cursor) p.set("cursor", cursor);
    const page = await get<Page & { entries: AuditEntry[] }>("/v1/audit", { params: p, signal, polling });
    return { items: page.entries, next: page.next_cursor };
  });
  const selected = list.items.find((e) => e.id === params.value.get("show"));
  return (
    <Screen title="Audit log" full>
      <Chosen />
      {list.error && <Notice text={list.error} retry={list.again} />}
      <div class="with-panel">
        <div class="grow">
          <Table
            label="Audit log" columns={columns(selected !== undefined)} rows={list.items} id={(e) => e.id} selected={selected?.id} loading={list.loading} done={list.done} more={list.more}
            open={(e) => change({ show: e.id }, params.value.has("show"))}
            empty={list.error ? <></> : <Empty title="Nothing was changed in this span"><p>Each change of an application, a key, a type or stored data is recorded here.</p><button type="button" onClick={() => change({ range: "all", from: undefined, to: undefined })}>look at all time</button></Empty>}
          />
        </div>
        {selected && <Panel title={words(selected.act)} close={() => change({ show: undefined })}><Details entry={selected} /></Panel>}
      </div>
    </Screen>
  );
}

function Chosen() {
  const names = ["act", "key_id"].filter((n) => params.value.get(n));
  if (names.length === 0) return null;
  return <div class="filters">{names.map((n) => <span key={n} class="chip">{n} <span class="soft">=</span> <span class="strong">{params.value.get(n)}</span><button type="button" aria-label={`Remove ${n}`} onClick={() => change({ [n]: undefined })}>✕</button></span>)}</div>;
}

/** words writes an operation such as createAppKey as people read it. */
export function words(act: string): string {
  return act.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
}

function about(e: AuditEntry): string {
  const parts = [...(e.app ? [e.app] : []), ...Object.values(e.subject)];
  return parts.join(" / ");
}

function columns(beside: boolean): Column<AuditEntry>[] {
  return [
    { id: "at", title: "when", width: "112px", cell: (e) => <Time at={e.at}>{stamp(e.at)}</Time> },
    { id: "act", title: "what", width: "minmax(120px, 220px)", cell: (e) => <span class="strong">{words(e.act)}</span> },
    { id: "about", title: "of", width: "minmax(100px, 1fr)", cell: (e) => <Text text={about(e)} most={160} /> },
    ...(beside ? [] : [{ id: "key", title: "by", width: "minmax(90px, 180px)", wide: true, cell: (e: AuditEntry) => <span class="mono"><Text text={e.key_id} /></span> }, { id: "remote", title: "from", width: "120px", wide: true, cell: (e: AuditEntry) => <span class="soft">{e.remote ?? ""}</span> }]),
    { id: "outcome", title: "outcome", width: "80px", cell: (e) => <span class={e.outcome === "done" ? "" : e.outcome === "begun" ? "late" : "bad"}>{e.outcome}</span> },
  ];
}

function Details({ entry: e }: { entry: AuditEntry }) {
  return (
    <>
      <dl class="facts">
        <dt>when</dt><dd><Time at={e.at} /></dd>
        <dt>by</dt><dd><button type="button" class="link mono" onClick={() => change({ key_id: e.key_id })}>{e.key_id}</button></dd>
        {e.app && <><dt>application</dt><dd>{e.app}</dd></>}
        {Object.entries(e.subject).map(([name, value]) => [<dt key={name}>{name.replaceAll("_", " ")}</dt>, <dd key={`${name} value`}><Text text={value} most={200} /></dd>])}
        <dt>outcome</dt><dd>{e.outcome}</dd>
        {e.remote && <><dt>from</dt><dd>{e.remote}</dd></>}
      </dl>
      {Object.keys(e.detail).length > 0 && <JsonTree text={JSON.stringify(e.detail)} label="details" />}
      <button type="button" class="tiny" onClick={() => change({ act: e.act, show: undefined })}>only “{words(e.act)}”</button>
    </>
  );
}
