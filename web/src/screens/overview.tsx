import { useMemo } from "preact/hooks";
import { get } from "../lib/api.ts";
import { categories } from "../lib/colors.ts";
import { ago, change as changeText, share } from "../lib/format.ts";
import { books } from "../lib/health.ts";
import { useLoad } from "../lib/load.ts";
import type { Event, RejectionGroup } from "../lib/model.ts";
import { before } from "../lib/range.ts";
import { align, steps, total } from "../lib/stack.ts";
import { change, now, params, shown } from "../lib/state.ts";
import { BooksTable } from "../ui/books.tsx";
import { Chart, Legend } from "../ui/chart.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Screen } from "../ui/screen.tsx";
import { Notice, Skeleton } from "../ui/state.tsx";
import { Count, Time } from "../ui/text.tsx";
import { selection, useSeries } from "./events.tsx";
import { FirstVisit } from "./first-visit.tsx";
import { BusiestTypes, NewestProblems } from "./overview-lists.tsx";

export function Overview() {
  const query = selection();
  const byCategory = useSeries(query, "category");
  const byStatus = useSeries(query, "status");
  const problems = useLoad(`${query}`, (signal, polling) => get<{ groups: RejectionGroup[] }>("/v1/rejections/summary", { params: new URLSearchParams([...query, ["replayed", "false"]]), signal, polling }));
  const past = useBefore();
  const newest = useNewest();
  const arranged = useMemo(() => {
    if (!byCategory.data) return undefined;
    const s = steps(byCategory.data);
    categories.learn(s.groups.map((g) => g.name));
    return s;
  }, [byCategory.data]);
  const rejected = useMemo(() => (arranged && byStatus.data ? align(byStatus.data, "rejected", arranged.at) : undefined), [arranged, byStatus.data]);
  const events = arranged?.groups.reduce((n, g) => n + total(g), 0);
  const refused = rejected?.reduce((a, b) => a + b, 0);
  const error = byCategory.error ?? byStatus.error ?? problems.error;
  const again = () => [byCategory, byStatus, problems].forEach((l) => l.again());
  const never = newest.data === null && books.value?.apps.every((a) => a.received === 0);

  return (
    <Screen title="Overview">
      {error && <Notice text={error} retry={again} />}
      {never ? <FirstVisit /> : <>
        <div class="numbers">
          <Tile name="Events" value={events === undefined ? undefined : <Count n={events} />} note={past.data && events !== undefined ? changeText(events, past.data.events) : ""} />
          <Tile name="Rejected" value={refused === undefined ? undefined : <Count n={refused} />} bad={(refused ?? 0) > 0} note={past.data && refused !== undefined ? changeText(refused, past.data.rejected) : ""} />
          <Tile
            name="Rejected share" value={events === undefined || refused === undefined ? undefined : share(refused, refused + events)} bad={(refused ?? 0) > 0}
            note={past.data && past.data.events > 0 ? `${share(past.data.rejected, past.data.rejected + past.data.events)} before` : ""}
          />
          <Tile name="Newest event" value={newest.data === undefined ? undefined : newest.data ? <Time at={newest.data.received_at}>{ago(newest.data.received_at, Math.max(now.value, Date.now()))}</Time> : "none"} note={newest.data ? `from ${newest.data.app}` : ""} />
        </div>
        <section class="card" aria-label="Events over time">
          <header><h2 class="grow">Events by category{rejected && <span class="soft">, rejected below the axis</span>}</h2></header>
          <div class="chart-card">
            {arranged ? <Chart label="Events by category" steps={arranged} {...(rejected ? { below: rejected } : {})} height={220} brush={(a, b) => change({ from: new Date(a).toISOString(), to: new Date(b).toISOString(), range: undefined })} /> : <Skeleton height={220} />}
            {arranged && <Legend steps={arranged} rejected={(refused ?? 0) > 0} />}
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

/** useBefore counts the span of equal length before. */
function useBefore() {
  const span = before(shown.value, now.value);
  const query = selection();
  query.delete("from");
  query.delete("to");
  if (span?.from) query.set("from", span.from);
  if (span?.to) query.set("to", span.to);
  return useLoad(span ? `${query}` : undefined, async (signal, polling) => {
    const [{ count }, { groups }] = await Promise.all([
      get<{ count: number }>("/v1/count", { params: query, signal, polling }),
      get<{ groups: RejectionGroup[] }>("/v1/rejections/summary", { params: query, signal, polling }),
    ]);
    return { events: count, rejected: groups.reduce((n, g) => n + g.count, 0) };
  });
}

function useNewest() {
  const app = params.value.get("app") ?? undefined;
  return useLoad(`${app} ${now.value}`, async (signal, polling) => {
    const { events } = await get<{ events: Event[] }>("/v1/events", { params: { order: "desc", limit: "1", app }, signal, polling });
    return events[0] ?? null;
  });
}

