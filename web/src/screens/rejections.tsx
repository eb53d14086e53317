import { useEffect, useState } from "preact/hooks";
import { capital, get } from "../lib/api.ts";
import { api, chips, rejectionFilters } from "../lib/filter.ts";
import { ago, exact, plural, share } from "../lib/format.ts";
import { noteSeen } from "../lib/health.ts";
import { useLoad } from "../lib/load.ts";
import type { Rejection, RejectionGroup } from "../lib/model.ts";
import { path } from "../lib/route.ts";
import { total } from "../lib/stack.ts";
import { change, isAdmin, params, shown, to } from "../lib/state.ts";
import { useTypeRates, typeKey, type TypeRate } from "../lib/type-rates.ts";
import { Spark } from "../ui/chart.tsx";
import { Panel } from "../ui/dialog.tsx";
import { FilterBar } from "../ui/filter-bar.tsx";
import { Screen } from "../ui/screen.tsx";
import { inWords } from "../ui/sentence.tsx";
import { ShareMenu } from "../ui/share.tsx";
import { Empty, Notice, Skeleton } from "../ui/state.tsx";
import { Table, type Column } from "../ui/table.tsx";
import { AppName, Count, Text, Time } from "../ui/text.tsx";
import { ReplayDialog } from "./replay.tsx";

/** groupQuery selects the rejections of a group. */
export function groupQuery(g: RejectionGroup): URLSearchParams {
  return new URLSearchParams([["app", g.app], ["category", g.category], ["name", g.name], ["code", g.code], ["pointer", g.pointer]]);
}

export function Rejections() {
  const query = api(params.value, rejectionFilters);
  if (shown.value.from) query.set("from", shown.value.from);
  if (shown.value.to) query.set("to", shown.value.to);
  const asked = new URLSearchParams([...query, ["replayed", "false"], ["limit", "200"], ...(query.has("from") ? [["parts", "48"]] : [])]);
  const { data, error, loading, again } = useLoad(`${asked}`, (signal, polling) => get<{ groups: RejectionGroup[] }>("/v1/rejections/summary", { params: asked, signal, polling }));
  useEffect(() => noteSeen(), [data]);
  const groups = data?.groups ?? [];
  const rates = useTypeRates(query, groups);
  const selected = groups.find((g) => String(groupQuery(g)) === params.value.get("show"));
  const [replaying, setReplaying] = useState<RejectionGroup>();
  const sum = groups.reduce((n, g) => n + g.count, 0);
  return (
    <Screen title="Rejections" full actions={<ShareMenu query={query} list="rejections" />}>
      <FilterBar more={["code", "pointer", "event_id"]} />
      {error && <Notice text={error} retry={again} />}
      <div class="with-panel">
        <div class="grow">
          <Table
            label="Groups of rejections" columns={columns(rates, selected !== undefined)} rows={groups} id={(g) => String(groupQuery(g))} selected={selected && String(groupQuery(selected))} rowHeight={56}
            open={(g) => change({ show: String(groupQuery(g)) }, params.value.has("show"))} loading={loading && !data} done
            empty={error ? <></> : <NoRejections />}
            foot={<span>{plural(sum, "problem")} in {plural(groups.length, "group")}. An event with several problems is in several groups.</span>}
          />
        </div>
        {selected && (
          <Panel title="Examples" close={() => change({ show: undefined })}>
            <Examples group={selected} replay={() => setReplaying(selected)} />
          </Panel>
        )}
      </div>
      {replaying && <ReplayDialog filter={Object.fromEntries(groupQuery(replaying))} title={capital(replaying.message)} close={() => { setReplaying(undefined); again(); }} />}
    </Screen>
  );
}

function columns(rates: Map<string, TypeRate>, beside: boolean): Column<RejectionGroup>[] {
  const rate = (g: RejectionGroup) => rates.get(typeKey(g));
  return [
    {
      id: "problem", title: "problem", width: "minmax(180px, 1fr)", cell: (g) => (
        <span class="two-lines">
          <span class="cut strong"><Text text={capital(g.message)} most={300} /></span>
          <span class="row-flex small soft"><span class="cut"><Text text={g.name || "no name"} most={60} /></span>{g.pointer && <span class="mono cut"><Text text={g.pointer} most={80} /></span>}<span class="cut">{inWords(g.code)}</span></span>
        </span>
      ),
    },
    ...(beside ? [] : [
      { id: "app", title: "application", width: "minmax(70px, 110px)", cell: (g: RejectionGroup) => <AppName app={g.app} />, wide: true },
      { id: "spark", title: "over time", width: "112px", wide: true, cell: (g: RejectionGroup) => (g.parts ? <Spark counts={g.parts} red label={`${exact(g.count)} over time`} /> : null) },
      { id: "share", title: "of the type", width: "72px", numeric: true, wide: true, cell: (g: RejectionGroup) => { const r = rate(g); return r ? share(g.count, total(r.rejected) + total(r.stored)) : ""; } },
      { id: "first", title: "first seen", width: "104px", wide: true, cell: (g: RejectionGroup) => <Time at={g.first_seen} /> },
    ]),
    { id: "last", title: "last seen", width: "88px", cell: (g) => <Time at={g.last_seen}>{ago(g.last_seen)}</Time> },
    { id: "count", title: "count", width: "64px", numeric: true, cell: (g) => <span class="bad strong"><Count n={g.count} /></span> },
  ];
}

function Examples({ group: g, replay }: { group: RejectionGroup; replay: () => void }) {
  const query = new URLSearchParams([...groupQuery(g), ["limit", "10"], ["replayed", "false"]]);
  if (shown.value.from) query.set("from", shown.value.from);
  if (shown.value.to) query.set("to", shown.value.to);
  const { data, error, again } = useLoad(`${query}`, (signal, polling) => get<{ rejections: Rejection[] }>("/v1/rejections", { params: query, signal, polling }));
  const canFix = g.code === "schema_violation" || g.code === "unknown_event_type";
  return (
    <>
      <p class="break"><Text text={g.text} most={600} /></p>
      {isAdmin.value && (
        <div class="row-flex wrap">
          {canFix && g.category && g.name && <a class="button primary" href={to(path("types", g.category, g.name), { draft: g.example })}>draft a fix</a>}
          <button type="button" onClick={replay}>replay…</button>
        </div>
      )}
      {error && <Notice text={error} retry={again} />}
      {!data && !error && <Skeleton lines={4} height={56} />}
      <ul class="examples">
        {data?.rejections.map((r) => (
          <li key={r.id}>
            <a href={to(path("rejections", r.id))} class="example">
              <span class="row-flex"><span class="strong nowrap"><Time at={r.received_at} /></span><span class="cut soft mono small">{r.session_id ? <Text text={r.session_id} most={80} /> : "no session"}</span></span>
              <span class="mono small soft cut"><Text text={r.raw ?? "not text"} most={200} /></span>
            </a>
          </li>
        ))}
      </ul>
    </>
  );
}

function NoRejections() {
  const filtered = chips(params.value).length > 0;
  return (
    <Empty title="Nothing was rejected here">
      <p>{filtered ? "No rejection in this span matches all of the filters." : "Every event of this span was accepted."}</p>
      <div class="row-flex">
        {filtered && <button type="button" onClick={() => change({ category: undefined, name: undefined, session_id: undefined, where: undefined, code: undefined, pointer: undefined, event_id: undefined })}>remove the filters</button>}
        {params.value.get("range") !== "all" && <button type="button" onClick={() => change({ range: "all", from: undefined, to: undefined })}>look at all time</button>}
      </div>
    </Empty>
  );
}

