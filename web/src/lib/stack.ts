import { stepMs, type Interval } from "./range.ts";
import type { Series } from "./model.ts";

/** Group is one colour of a chart: a number for each step. */
export interface Group {
  name: string;
  counts: number[];
}

/** Steps are the beginnings of the steps of a chart, in milliseconds, with the counts of groups. */
export interface Steps {
  step: number;
  at: number[];
  groups: Group[];
}

/** steps arranges a series: the largest groups first, all those beyond most as one. */
export function steps(s: Series, most = 7): Steps {
  const times = new Set<number>();
  for (const g of s.series) for (const p of g.points) times.add(Date.parse(p.at));
  const at = [...times].sort((a, b) => a - b);
  const place = new Map(at.map((t, i) => [t, i]));
  const groups = s.series.map((g) => {
    const counts = new Array<number>(at.length).fill(0);
    for (const p of g.points) counts[place.get(Date.parse(p.at))!] = p.count;
    return { name: g.group, counts };
  });
  groups.sort((a, b) => total(b) - total(a) || (a.name < b.name ? -1 : 1));
  const shown = groups.slice(0, most);
  const rest = groups.slice(most);
  if (rest.length > 0) shown.push({ name: `${rest.length} others`, counts: at.map((_, i) => rest.reduce((sum, g) => sum + g.counts[i]!, 0)) });
  return { step: stepMs[s.interval as Interval] ?? 3_600_000, at, groups: shown };
}

export function total(g: Group): number {
  return g.counts.reduce((a, b) => a + b, 0);
}

/** stacked returns the upper edges of groups that stand on each other, the topmost first. */
export function stacked(groups: Group[], length: number): number[][] {
  const sum = new Array<number>(length).fill(0);
  const edges = groups.map((g) => g.counts.map((c, i) => (sum[i] = sum[i]! + c)));
  return edges.reverse();
}

/** align puts counts of one series on the steps of another. */
export function align(s: Series, group: string, at: number[]): number[] {
  const counts = new Map(s.series.find((g) => g.group === group)?.points.map((p) => [Date.parse(p.at), p.count]));
  return at.map((t) => counts.get(t) ?? 0);
}
