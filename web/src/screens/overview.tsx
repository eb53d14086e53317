import { useMemo } from "preact/hooks";
import { get } from "../lib/api.ts";
import { categories } from "../lib/colors.ts";
import { change as changeText, duration, exact, share } from "../lib/format.ts";
import { books } from "../lib/health.ts";
import { useLoad } from "../lib/load.ts";
import type { Overview as Numbers, RejectionGroup } from "../lib/model.ts";
import { align, steps } from "../lib/stack.ts";
import { change, params } from "../lib/state.ts";
import { BooksTable } from "../ui/books.tsx";
import { Chart, Legend } from "../ui/chart.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Screen } from "../ui/screen.tsx";
import { Notice, Skeleton } from "../ui/state.tsx";
import { Count, Time } from "../ui/text.tsx";
import { part, selection, useSeries } from "./events.tsx";
import { FirstVisit } from "./first-visit.tsx";
import { BusiestTypes, NewestProblems } from "./overview-lists.tsx";

export function Overview() {
  const query = selection();
  const byCategory = useSeries(query, "category");
  const byStatus = useSeries(query, "status");
  const problems = useLoad(`${query}`, (signal, polling) => get<{ groups: RejectionGroup[] }>("/v1/rejections/summary", { params: new URLSearchParams([...query, ["replayed", "false"]]), signal, polling }));
  const all = params.value.get("range") === "all";
  const numbers = useLoad(`${query}`, (signal, polling) => get<Numbers>("/v1/overview", { params: overviewQuery(query), signal, polling }));
  const n = numbers.data;
  const marks = useMemo(() => (n?.marks ?? []).map((m) => ({ at: Date.parse(m.published_at), text: `${m.name}: version ${m.version} published` })), [n?.marks]);
  const arranged = useMemo(() => {
    if (!byCategory.data) return undefined;
    const s = steps(byCategory.data);
    categories.learn(s.groups.map((g) => g.name));
    return s;
  }, [byCategory.data]);
  const rejected = useMemo(() => (arranged && byStatus.data ? align(byStatus.data, "rejected", arranged.at) : undefined), [arranged, byStatus.data]);
  const error = numbers.error ?? byCategory.error ?? byStatus.error ?? problems.error;
  const again = () => [numbers, byCategory, byStatus, problems].forEach((l) => l.again());
  const never = n?.events.count === 0 && n.events.before === 0 && books.value?.apps.every((a) => a.received === 0);

  return (
    <Screen title="Overview">
      {error && <Notice text={error} retry={again} />}
      {never ? <FirstVisit /> : <>
        {n && <Silent apps={n.silent} />}
        <div class="numbers">
          <Tile name="Events" value={n && <Count n={n.events.count} />} note={n && !all ? changeText(n.events.count, n.events.before) : ""} />
          <Tile name="Sessions that started" value={n && <>{n.sessions.approximate && "≈ "}<Count n={n.sessions.count} /></>} note={n && !all ? changeText(n.sessions.count, n.sessions.before) : ""} />
          <Tile name="Rejected" value={n && share(n.rejected.count, n.rejected.count + n.events.count)} bad={(n?.rejected.count ?? 0) > 0} note={n ? `${exact(n.rejected.count)} rejected${all || n.rejected.before + n.events.before === 0 ? "" : `, ${share(n.rejected.before, n.rejected.before + n.events.before)} before`}` : ""} />
          <Tile name="Visible after" value={n && (n.visible.p99_ms === null ? "–" : duration(n.visible.p99_ms))} note={n ? (n.visible.p99_ms === null ? "nothing came in the last 5 minutes" : "p99 of the last 5 minutes") : ""} />
        </div>
        <section class="card" aria-label="Events over time">
          <header><h2 class="grow">Events by category{part(query)}{rejected && <span class="soft">, rejected below the axis</span>}</h2></header>
          <div class="chart-card">
            {arranged ? <Chart label="Events by category" steps={arranged} {...(rejected ? { below: rejected } : {})} height={220} marks={marks} brush={(a, b) => change({ from: new Date(a).toISOString(), to: new Date(b).toISOString(), range: undefined })} /> : <Skeleton height={220} />}
            {arranged && <Legend steps={arranged} rejected={(n?.rejected.count ?? 0) > 0} />}
          </div>
        </section>
        <div class="two">
          <BusiestTypes query={query} categories={arranged?.groups.map((g) => g.name) ?? []} problems={problems.data?.groups} />
          <NewestProblems groups={problems.data?.groups} />
        </div>
      </>}
      {params.value.get("show") === "books" && <Dialog title="Is everything accounted for?" close={() => change({ show: undefined })}><BooksTable /></Dialog>}
    </Screen>
  );
}

function Tile({ name, value, note, bad = false }: { name: string; value: preact.ComponentChildren; note: string; bad?: boolean }) {
  return (
    <div class="card tile">
      <h2 class="soft">{name}</h2>
      <div class={`tile-value ${bad ? "bad" : ""}`}>{value ?? <Skeleton height={36} />}</div>
      <div class="soft small tile-note">{note}</div>
    </div>
  );
}

/** overviewQuery is what the numbers take: applications and a span. All time is since 1970. */
function overviewQuery(query: URLSearchParams): URLSearchParams {
  const out = new URLSearchParams();
  for (const name of ["app", "from", "to"]) for (const value of query.getAll(name)) out.append(name, value);
  if (!out.has("from") && !out.has("to")) out.set("from", "1970-01-01");
  return out;
}

function Silent({ apps }: { apps: Numbers["silent"] }) {
  if (apps.length === 0) return null;
  return (
    <div class="notice late" role="status">
      <p>{apps.map((a, i) => <span key={a.app}>{i > 0 && " "}<span class="strong">{a.app}</span> is silent: {a.last_event_at ? <>its last event came at <Time at={a.last_event_at} />.</> : "nothing has come yet."}</span>)}</p>
    </div>
  );
}
