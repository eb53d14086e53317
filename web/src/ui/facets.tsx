import { useState } from "preact/hooks";
import { get } from "../lib/api.ts";
import { select } from "../lib/filter.ts";
import { exact, plural } from "../lib/format.ts";
import { useLoad } from "../lib/load.ts";
import type { Values } from "../lib/model.ts";
import { change, params, setParams } from "../lib/state.ts";
import { Skeleton } from "./state.tsx";
import { Count, Text } from "./text.tsx";

interface Props {
  fields: string[];
  /** How many are open at first. */
  open?: number;
  /** What selects the events whose values count. */
  query: URLSearchParams;
}

/** Facets shows the most frequent values of fields. A click selects one; with alt, it is excluded. */
export function Facets({ fields, open = 3, query }: Props) {
  return <div class="facets" role="group" aria-label="Most frequent values" tabIndex={0}>{fields.map((f, i) => <Facet key={f} field={f} open={i < open} query={query} />)}</div>;
}

function Facet({ field, open: first, query }: { field: string; open: boolean; query: URLSearchParams }) {
  const [open, setOpen] = useState(first);
  const asked = new URLSearchParams(query);
  asked.set("field", field);
  asked.set("limit", "8");
  const { data, error } = useLoad(open ? asked.toString() : undefined, (signal, polling) => get<Values>("/v1/values", { params: asked, signal, polling }));
  const most = Math.max(1, ...(data?.values ?? []).map((v) => v.count));
  const pick = ({ value, type }: Values["values"][number], not: boolean) => {
    if (field === "app" && !not) change({ app: value });
    else setParams(select(params.value, field, not ? "!=" : "=", value, type === undefined));
  };
  return (
    <section class="facet">
      <h2><button type="button" aria-expanded={open} onClick={() => setOpen(!open)}><span aria-hidden="true">{open ? "▾" : "▸"}</span>{field}</button></h2>
      {open && error && <p class="hint">{error}</p>}
      {open && !data && !error && <Skeleton lines={4} height={20} />}
      {open && data && !error && (
        <ul>
          {data.values.map((v) => (
            <li key={`${v.type}${v.value}`}>
              <button type="button" class="value" title={`${exact(v.count)} events. Alt-click excludes them`} onClick={(e) => pick(v, e.altKey)}>
                <span><span class="cut">{v.value === "" ? <em>empty</em> : <Text text={v.value} most={80} />}</span><Count n={v.count} /></span>
                <span class="bar"><i style={{ width: `${Math.max(2, (100 * v.count) / most)}%` }} /></span>
              </button>
              <button type="button" class="not" aria-label={`Exclude ${v.value}`} title="exclude" onClick={() => pick(v, true)}>≠</button>
            </li>
          ))}
          {data.values.length === 0 && <li class="hint">no values</li>}
          {data.other > 0 && <li class="hint">{plural(data.other, "other value")}</li>}
        </ul>
      )}
    </section>
  );
}
