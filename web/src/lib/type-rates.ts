import { get } from "./api.ts";
import { useLoad } from "./load.ts";
import type { Series } from "./model.ts";
import { charted } from "./range.ts";
import { align, steps, type Group } from "./stack.ts";
import { now } from "./state.ts";

export interface TypeRate { stored: Group; rejected: Group }

export function typeKey(t: { category: string; name: string }): string {
  return JSON.stringify([t.category, t.name]);
}

const most = 12; // types that are asked for

/** useTypeRates counts the stored and rejected events of the first types, over a time with a beginning. */
export function useTypeRates(query: URLSearchParams, types: { category: string; name: string }[]): Map<string, TypeRate> {
  const distinct = new Map(types.filter((t) => t.category && t.name).map((t) => [typeKey(t), t]));
  const asked = [...distinct].slice(0, most);
  const span = new URLSearchParams();
  for (const name of ["app", "from", "to"]) if (query.get(name)) span.set(name, query.get(name)!);
  const { data } = useLoad(asked.length && span.has("from") ? `${span} ${asked.map(([k]) => k).join()}` : undefined, async (signal, polling) => {
    const { step } = charted(span.get("from"), span.get("to"), now.peek());
    const entries = await Promise.all(asked.map(async ([key, t]) => {
      const p = new URLSearchParams([...span, ["category", t.category], ["name", t.name], ["group_by", "status"], ["interval", step]]);
      const s = await get<Series>("/v1/series", { params: p, signal, polling });
      const { at } = steps(s);
      return [key, { stored: { name: "stored", counts: align(s, "stored", at) }, rejected: { name: "rejected", counts: align(s, "rejected", at) } }] as const;
    }));
    return new Map(entries);
  });
  return data ?? new Map();
}
