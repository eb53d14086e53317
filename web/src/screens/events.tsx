import { useMemo } from "preact/hooks";
import { get } from "../lib/api.ts";
import { categories } from "../lib/colors.ts";
import { fieldsIn, keysOf } from "../lib/fields.ts";
import { api, chips, eventFilters } from "../lib/filter.ts";
import { clock, plural, when } from "../lib/format.ts";
import { useLoad, usePages } from "../lib/load.ts";
import type { Event, Page, Series } from "../lib/model.ts";
import { charted } from "../lib/range.ts";
import { path } from "../lib/route.ts";
import { steps } from "../lib/stack.ts";
import { change, now, one, params, shown, to } from "../lib/state.ts";
import { narrow } from "../lib/theme.ts";
import { pick } from "../lib/tree.ts";
import { Chart, Legend } from "../ui/chart.tsx";
import { Panel } from "../ui/dialog.tsx";
import { EventDetail } from "../ui/event-detail.tsx";
import { Facets } from "../ui/facets.tsx";
import { FilterBar } from "../ui/filter-bar.tsx";
import { Screen } from "../ui/screen.tsx";
import { ShareMenu } from "../ui/share.tsx";
import { Empty, Notice, Skeleton } from "../ui/state.tsx";
import { Table, type Column } from "../ui/table.tsx";
import { AppName, Category, Text, Time } from "../ui/text.tsx";

/** selection returns what the filters and the time of the address select. */
export function selection(): URLSearchParams {
  const query = api(params.value, eventFilters);
  if (shown.value.from) query.set("from", shown.value.from);
  if (shown.value.to) query.set("to", shown.value.to);
  return query;
}

export function Events() {
  const query = selection();
  const key = query.toString();
  const asc = params.value.get("order") === "asc";
  const list = usePages<Event>(`${key} ${asc}`, async (cursor, signal, polling) => {
    const p = new URLSearchParams(query);
    p.set("order", asc ? "asc" : "desc");
    p.set("limit", "100");
    if (cursor) p.set("cursor", cursor);
    const page = await get<Page & { events: Event[] }>("/v1/events", { params: p, signal, polling });
    return { items: page.events, next: page.next_cursor };
  });
  const found = useMemo(() => fieldsIn(list.items, 6), [list.items.length > 0, key]);
  const selected = list.items.find((e) => e.id === params.value.get("show"));
  const extra = params.value.getAll("col");
  const columns = columnsOf(extra, asc, selected !== undefined);
  const facets = ["category", "name", ...(one.value || params.value.get("app") ? [] : ["app"]), ...found];
  return (
    <Screen title="Events" full actions={<ShareMenu query={query} />}>
      <FilterBar more={found} />
      {list.error && <Notice text={list.error} retry={list.again} />}
      <div class="with-panel">
        <Facets fields={facets} open={3} query={query} />
        <div class="grow">
          <Volume query={query} />
          <Table
            label="Events" columns={columns} rows={list.items} id={(e) => e.id} selected={selected?.id} loading={list.loading} done={list.done} more={list.more}
            open={(e) => change({ show: e.id }, params.value.has("show"))}
            empty={list.error ? <></> : <NoEvents />}
            foot={<><span>{plural(list.items.length, "event")}{list.done ? "" : " so far"}{list.loading ? ", loading…" : ""}</span></>}
          />
        </div>
        {selected && (
          <Panel title={<Text text={selected.name} most={120} />} close={() => change({ show: undefined })} actions={<a class="button tiny" href={to(path("sessions", selected.session_id), { show: selected.id })}>its session</a>}>
            <EventDetail event={selected} column={(field) => change({ col: [...new Set([...extra, field])] })} />
          </Panel>
        )}
      </div>
    </Screen>
  );
}

function columnsOf(extra: string[], asc: boolean, beside: boolean): Column<Event>[] {
  return [
    { id: "at", title: "occurred", width: narrow.value ? "88px" : "112px", cell: (e) => <Time at={e.occurred_at}>{stamp(e.occurred_at)}</Time>, sort: { now: asc ? "asc" : "desc", toggle: () => change({ order: asc ? undefined : "asc" }, true) } },
    ...(one.value || beside ? [] : [{ id: "app", title: "application", width: "minmax(70px, 100px)", cell: (e: Event) => <AppName app={e.app} />, wide: true }]),
    ...(beside ? [] : [{ id: "category", title: "category", width: "minmax(80px, 160px)", cell: (e: Event) => <Category name={e.category} />, wide: true }]),
    { id: "name", title: "name", width: "minmax(90px, 130px)", cell: (e) => <span class="strong"><Text text={e.name} most={120} /></span> },
    ...extra.map((field) => ({ id: field, title: field.replace(/^data\./, ""), width: "minmax(100px, 180px)", cell: (e: Event) => <Text text={pick(e.data.text, ...keysOf(field)) ?? ""} most={120} /> })),
    { id: "data", title: "data", width: "minmax(120px, 1fr)", cell: (e) => <span class="mono soft"><Text text={e.data.text} most={240} /></span> },
  ];
}

/** stamp is the time in a list: the day only if it is not today. */
export function stamp(at: string): string {
  return new Date(at).toDateString() === new Date().toDateString() ? clock(at, narrow.value ? 0 : 3) : when(at);
}

function NoEvents() {
  const filtered = chips(params.value).length > 0;
  return (
    <Empty title="No events here">
      <p>{filtered ? "Nothing in this span matches all of the filters." : "Nothing occurred in this span."}</p>
      <div class="row-flex">
        {filtered && <button type="button" onClick={() => change({ category: undefined, name: undefined, session_id: undefined, where: undefined })}>remove the filters</button>}
        {params.value.get("range") !== "all" && <button type="button" onClick={() => change({ range: "all", from: undefined, to: undefined })}>look at all time</button>}
      </div>
    </Empty>
  );
}

/** part tells in a title that a chart shows only the end of a time without a beginning. */
export function part(query: URLSearchParams): string {
  return query.has("from") ? "" : query.has("to") ? ", the last 30 days of this time" : ", the last 30 days";
}

/** useSeries asks for counts over the time that is shown; without a beginning, for its last 30 days. */
export function useSeries(query: URLSearchParams, group: string) {
  const p = new URLSearchParams(query);
  const { from, step } = charted(p.get("from"), p.get("to"), now.value);
  p.set("from", from);
  p.set("interval", step);
  p.set("group_by", group);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && p.get("interval") === "day") p.set("time_zone", zone);
  return useLoad(p.toString(), (signal, polling) => get<Series>("/v1/series", { params: p, signal, polling }));
}

function Volume({ query }: { query: URLSearchParams }) {
  const { data, error, again } = useSeries(query, "category");
  const arranged = useMemo(() => {
    if (!data) return undefined;
    const s = steps(data);
    categories.learn(s.groups.map((g) => g.name));
    return s;
  }, [data]);
  if (error) return <Notice text={error} retry={again} kind="late" />;
  return (
    <div class="card chart-card">
      {part(query) && <p class="soft small">Events over time{part(query)}</p>}
      {arranged ? <Chart label="Events over time" steps={arranged} height={120} brush={(a, b) => change({ from: new Date(a).toISOString(), to: new Date(b).toISOString(), range: undefined })} /> : <Skeleton height={120} />}
      {arranged && <Legend steps={arranged} />}
    </div>
  );
}
