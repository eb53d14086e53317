import { get } from "../lib/api.ts";
import { plural } from "../lib/format.ts";
import { useLoad } from "../lib/load.ts";
import type { Unreadable as Answer, UnreadableRequest } from "../lib/model.ts";
import { refusal } from "../lib/refusal.ts";
import { change, now, params } from "../lib/state.ts";
import { Panel } from "../ui/dialog.tsx";
import { Screen } from "../ui/screen.tsx";
import { Empty, Notice } from "../ui/state.tsx";
import { Table, type Column } from "../ui/table.tsx";
import { Count, Text, Time } from "../ui/text.tsx";
import { stamp } from "./events.tsx";

/** Unreadable lists the newest requests to the intake that were refused before they were read. */
export function Unreadable() {
  const app = params.value.get("app") ?? undefined;
  const reason = params.value.get("reason") ?? undefined;
  const { data, error, loading, again } = useLoad(`${app} ${reason} ${now.value}`, (signal, polling) => get<Answer>("/v1/unreadable", { params: { app, reason, limit: "100" }, signal, polling }));
  const rows = (data?.requests ?? []).map((request, i) => ({ request, id: `${request.at} ${i}` }));
  const selected = rows.find((r) => r.id === params.value.get("show"));
  return (
    <Screen title="Unreadable requests" full actions={<button type="button" onClick={again}>refresh</button>}>
      <p class="soft">Requests to the intake that were refused before an event could be read, counted since the server started. They are not in the books.</p>
      {error && <Notice text={error} retry={again} />}
      {data && data.groups.length > 0 && (
        <div class="filters" role="group" aria-label="Reasons">
          {data.groups.map((g) => (
            <button key={`${g.app} ${g.reason}`} type="button" aria-pressed={reason === g.reason} onClick={() => change({ reason: reason === g.reason ? undefined : g.reason, show: undefined })}>
              <span>{g.app ? `${g.app}: ` : ""}{refusal(g.reason)}</span><span class="bad"><Count n={g.count} /></span>
            </button>
          ))}
        </div>
      )}
      <div class="with-panel">
        <div class="grow">
          <Table
            label="Unreadable requests" columns={columns} rows={rows} id={(r) => r.id} selected={selected?.id} loading={loading && !data} done
            open={(r) => change({ show: r.id }, params.value.has("show"))}
            empty={error ? <></> : <Empty title="Every request could be read">A request with a wrong key, or whose body is not what it says, appears here.</Empty>}
            foot={<span>{plural(rows.length, "request")}; the newest 100 of each application and reason are kept.</span>}
          />
        </div>
        {selected && <Panel title={refusal(selected.request.reason)} close={() => change({ show: undefined })}><Details request={selected.request} /></Panel>}
      </div>
    </Screen>
  );
}

const columns: Column<{ request: UnreadableRequest; id: string }>[] = [
  { id: "at", title: "when", width: "112px", cell: ({ request: r }) => <Time at={r.at}>{stamp(r.at)}</Time> },
  { id: "app", title: "application", width: "minmax(70px, 110px)", cell: ({ request: r }) => r.app ?? <span class="soft">unknown</span>, wide: true },
  { id: "reason", title: "sent", width: "minmax(120px, 220px)", cell: ({ request: r }) => <span class="strong">{refusal(r.reason)}</span> },
  { id: "detail", title: "answer", width: "minmax(140px, 1fr)", cell: ({ request: r }) => <Text text={r.detail} most={240} /> },
  { id: "remote", title: "from", width: "120px", cell: ({ request: r }) => r.remote ?? "", wide: true },
];

function Details({ request: r }: { request: UnreadableRequest }) {
  return (
    <>
      <p class="break"><Text text={r.detail} most={600} /></p>
      <dl class="facts">
        <dt>when</dt><dd><Time at={r.at} /></dd>
        <dt>path</dt><dd class="mono"><Text text={r.path} most={300} /></dd>
        <dt>key</dt><dd>{r.key_in === "none" ? "none" : `in ${r.key_in}`}{r.key_id && <span class="mono"> {r.key_id}</span>}</dd>
        {r.remote && <><dt>from</dt><dd>{r.remote}</dd></>}
        {Object.entries(r.headers).map(([name, value]) => [<dt key={name}>{name}</dt>, <dd key={`${name} value`} class="mono"><Text text={value} most={300} /></dd>])}
      </dl>
      {r.body !== undefined && <pre class="source"><Text text={r.body} most={4096} /></pre>}
      {r.body_base64 !== undefined && <p class="mono break small">{r.body_base64}</p>}
    </>
  );
}
