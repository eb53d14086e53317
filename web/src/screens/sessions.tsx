import { get } from "../lib/api.ts";
import { chips } from "../lib/filter.ts";
import { duration, plural } from "../lib/format.ts";
import { usePages } from "../lib/load.ts";
import type { Page, Session, Step } from "../lib/model.ts";
import { path } from "../lib/route.ts";
import { change, params, to } from "../lib/state.ts";
import { narrow } from "../lib/theme.ts";
import { FilterBar } from "../ui/filter-bar.tsx";
import { Screen } from "../ui/screen.tsx";
import { ShareMenu } from "../ui/share.tsx";
import { Empty, Notice } from "../ui/state.tsx";
import { Table, type Column } from "../ui/table.tsx";
import { AppName, Count, Text, Time } from "../ui/text.tsx";
import { selection, stamp } from "./events.tsx";

export function Sessions() {
  const query = selection();
  const list = usePages<Session>(`${query}`, async (cursor, signal, polling) => {
    const p = new URLSearchParams(query);
    if (cursor) p.set("cursor", cursor);
    const page = await get<Page & { sessions: Session[] }>("/v1/sessions", { params: p, signal, polling });
    return { items: page.sessions, next: page.next_cursor };
  });
  const extended = list.items.some((s) => s.first !== undefined);
  return (
    <Screen title="Sessions" full actions={<ShareMenu query={query} list="sessions" />}>
      <FilterBar />
      {list.error && <Notice text={list.error} retry={list.again} />}
      <div class="last">
        <Table
          label="Sessions" columns={columns(extended)} rows={list.items} id={(s) => s.session_id} loading={list.loading} done={list.done} more={list.more}
          href={(s) => to(path("sessions", s.session_id))}
          empty={list.error ? <></> : <NoSessions />}
          foot={<span>{plural(list.items.length, "session")}{list.done ? "" : " so far"}{list.loading ? ", loading…" : ""}</span>}
        />
      </div>
    </Screen>
  );
}

function columns(extended: boolean): Column<Session>[] {
  return [
    { id: "started", title: "started", width: narrow.value ? "72px" : "112px", cell: (s) => <Time at={s.started_at}>{stamp(s.started_at)}</Time> },
    { id: "length", title: "length", width: narrow.value ? "84px" : "92px", numeric: true, cell: (s) => (s.ended_at === s.started_at ? "" : duration(Date.parse(s.ended_at) - Date.parse(s.started_at))) },
    { id: "events", title: "events", width: "52px", numeric: true, cell: (s) => <Count n={s.events} /> },
    ...(extended ? [{ id: "rejections", title: "rejected", width: "64px", numeric: true, wide: true, cell: (s: Session) => (s.rejections ? <span class="bad strong"><Count n={s.rejections} /></span> : <span class="soft">0</span>) }] : []),
    { id: "apps", title: "applications", width: "minmax(80px, 140px)", wide: true, cell: (s) => <span class="row-flex">{s.apps.map((a) => <AppName key={a} app={a} />)}</span> },
    ...(extended ? [
      { id: "first", title: "first", width: "minmax(120px, 1fr)", wide: true, cell: (s: Session) => <Where step={s.first} /> },
      { id: "last", title: "last", width: "minmax(120px, 1fr)", wide: true, cell: (s: Session) => <Where step={s.last} /> },
    ] : []),
    { id: "session", title: "session", width: "minmax(100px, 1fr)", cell: (s) => <a class="mono" tabIndex={-1} href={to(path("sessions", s.session_id))}><Text text={s.session_id} most={120} /></a> },
  ];
}

function Where({ step }: { step: Step | undefined }) {
  if (!step) return null;
  return <><Text text={step.name} most={80} />{step.path ? <span class="soft mono"> <Text text={step.path} most={120} /></span> : null}</>;
}

function NoSessions() {
  const filtered = chips(params.value).length > 0;
  return (
    <Empty title="No sessions here">
      <p>A session is all events with the same session_id. {filtered ? "None has an event in this span that matches the filters." : "None has an event in this span."}</p>
      <button type="button" onClick={() => change({ range: "all", from: undefined, to: undefined })}>look at all time</button>
    </Empty>
  );
}
