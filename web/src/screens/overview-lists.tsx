import { useMemo } from "preact/hooks";
import { capital, get } from "../lib/api.ts";
import { exact, share } from "../lib/format.ts";
import { useLoad } from "../lib/load.ts";
import type { RejectionGroup, Series } from "../lib/model.ts";
import { charted } from "../lib/range.ts";
import { steps, total } from "../lib/stack.ts";
import { now, to } from "../lib/state.ts";
import { Spark } from "../ui/chart.tsx";
import { inWords } from "../ui/sentence.tsx";
import { Skeleton } from "../ui/state.tsx";
import { AppName, Category, Count, Text, Time } from "../ui/text.tsx";
import { part } from "./events.tsx";
import { groupQuery } from "./rejections.tsx";

interface BusyType { category: string; name: string; count: number; counts: number[]; rejected: number }

/** BusiestTypes lists the event types with the most events. */
export function BusiestTypes({ query, categories, problems }: { query: URLSearchParams; categories: string[]; problems: RejectionGroup[] | undefined }) {
  const asked = categories.filter((c) => !/^\d+ others$/.test(c));
  const { data } = useLoad(asked.length ? `${query} ${asked.join("\n")}` : undefined, async (signal, polling) => {
    const { from, step } = charted(query.get("from"), query.get("to"), now.peek());
    return Promise.all(asked.map(async (category) => {
      const p = new URLSearchParams(query);
      p.set("from", from);
      p.delete("category");
      p.set("category", category);
      p.set("interval", step);
      p.set("group_by", "name");
      return { category, series: await get<Series>("/v1/series", { params: p, signal, polling }) };
    }));
  });
  const types = useMemo(() => {
    const rejected = new Map<string, number>();
    for (const g of problems ?? []) {
      const key = JSON.stringify([g.category, g.name]);
      rejected.set(key, (rejected.get(key) ?? 0) + g.count);
    }
    return data?.flatMap(({ category, series }) => steps(series, 50).groups.map((g): BusyType => ({
      category, name: g.name, count: total(g), counts: g.counts, rejected: rejected.get(JSON.stringify([category, g.name])) ?? 0,
    }))).sort((a, b) => b.count - a.count).slice(0, 8);
  }, [data, problems]);
  return (
    <section class="card" aria-label="Busiest types">
      <header><h2 class="grow">Busiest types{part(query)}</h2><a href={to("/events")}>all events</a></header>
      {!types ? (categories.length === 0 ? <p class="soft card-empty">No events in this span.</p> : <div class="body"><Skeleton lines={5} height={28} /></div>) : (
        <table class="plain">
          <thead><tr><th>type</th><th class="not-narrow">over time</th><th class="num">events</th><th class="num">rejected</th></tr></thead>
          <tbody>
            {types.map((t) => (
              <tr key={t.category + t.name}>
                <td><a class="strong" href={to("/events", { category: t.category, name: t.name })}><Text text={t.name} most={80} /></a><div class="small soft"><Category name={t.category} /></div></td>
                <td class="not-narrow tight"><Spark counts={t.counts} label={`${t.name}: ${exact(t.count)} events`} /></td>
                <td class="num"><Count n={t.count} /></td>
                <td class={`num ${t.rejected ? "bad" : "soft"}`}>{t.rejected ? <a class="bad" href={to("/rejections", { category: t.category, name: t.name })}>{share(t.rejected, t.rejected + t.count)}</a> : "0 %"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

/** NewestProblems lists the groups of rejections that occurred last. */
export function NewestProblems({ groups }: { groups: RejectionGroup[] | undefined }) {
  const newest = useMemo(() => [...(groups ?? [])].sort((a, b) => (a.last_seen < b.last_seen ? 1 : -1)).slice(0, 6), [groups]);
  return (
    <section class="card" aria-label="Newest problems">
      <header><h2 class="grow">Newest problems</h2><a href={to("/rejections")}>all rejections</a></header>
      {!groups && <div class="body"><Skeleton lines={4} height={36} /></div>}
      {groups && newest.length === 0 && <p class="soft card-empty">Nothing was rejected in this span.</p>}
      <ul class="problems">
        {newest.map((g) => (
          <li key={g.app + g.category + g.name + g.code + g.pointer}>
            <a href={groupAddress(g)} class="problem-link">
              <span class="strong break"><Text text={capital(g.message)} most={160} /></span>
              <span class="small soft row-flex wrap"><AppName app={g.app} /><span>{inWords(g.code)}</span>{g.pointer && <span class="mono break"><Text text={g.pointer} most={80} /></span>}</span>
            </a>
            <span class="num"><span class="bad strong"><Count n={g.count} /></span><br /><span class="small soft"><Time at={g.last_seen} /></span></span>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** groupAddress is the address of a group among the rejections. */
export function groupAddress(g: RejectionGroup): string {
  return to("/rejections", { show: String(groupQuery(g)) });
}
