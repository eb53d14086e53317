import { get } from "../lib/api.ts";
import { categories } from "../lib/colors.ts";
import { plural, share } from "../lib/format.ts";
import { useLoad } from "../lib/load.ts";
import type { EventType, RejectionGroup, Values } from "../lib/model.ts";
import { path } from "../lib/route.ts";
import { to } from "../lib/state.ts";
import { typeKey } from "../lib/type-rates.ts";
import { Screen } from "../ui/screen.tsx";
import { Empty, Notice } from "../ui/state.tsx";
import { Table, type Column } from "../ui/table.tsx";
import { Category, Count, Text, Time } from "../ui/text.tsx";
import { selection } from "./events.tsx";

interface Row { category: string; name: string; events: number; rejected: number; type: EventType | undefined }

const most = 20; // categories whose names are counted

/** Types lists the event types that are registered or occur. */
export function Types() {
  const query = selection();
  const { data, error, loading, again } = useLoad(`${query}`, (signal, polling) => load(query, signal, polling));
  const rows = data ?? [];
  return (
    <Screen title="Event types" full>
      {error && <Notice text={error} retry={again} />}
      <div class="last">
        <Table
          label="Event types" columns={columns} rows={rows} id={(t) => typeKey(t)} loading={loading && !data} done
          href={(t) => to(path("types", t.category, t.name))}
          empty={error ? <></> : <Empty title="No event types">An event type is a category and a name. It appears here when an event with it arrives, or when a schema is registered.</Empty>}
          foot={<span>{plural(rows.length, "type")}, {plural(rows.filter((r) => !r.type).length, "type")} without schema. Numbers are of the time above.</span>}
        />
      </div>
    </Screen>
  );
}

async function load(query: URLSearchParams, signal: AbortSignal, polling: boolean): Promise<Row[]> {
  const values = (field: string, more: Record<string, string> = {}) => get<Values>("/v1/values", { params: new URLSearchParams([...query, ["field", field], ...Object.entries(more)]), signal, polling });
  const [{ types }, found, { groups }] = await Promise.all([
    get<{ types: EventType[] }>("/v1/types", { signal, polling }),
    values("category", { limit: String(most) }),
    get<{ groups: RejectionGroup[] }>("/v1/rejections/summary", { params: new URLSearchParams([...query, ["limit", "1000"]]), signal, polling }),
  ]);
  categories.learn(found.values.map((v) => v.value));
  const rows = new Map<string, Row>(types.map((t) => [typeKey(t), { category: t.category, name: t.name, events: 0, rejected: 0, type: t }]));
  const row = (category: string, name: string) => {
    const key = typeKey({ category, name });
    const r = rows.get(key) ?? { category, name, events: 0, rejected: 0, type: undefined };
    rows.set(key, r);
    return r;
  };
  const names = await Promise.all(found.values.map(async ({ value }) => ({ category: value, names: await values("name", { category: value, limit: "200" }) })));
  for (const { category, names: list } of names) for (const v of list.values) row(category, v.value).events = v.count;
  for (const g of groups) if (g.category && g.name) row(g.category, g.name).rejected += g.count;
  return [...rows.values()].sort((a, b) => b.events - a.events || (a.name < b.name ? -1 : 1));
}

const columns: Column<Row>[] = [
  { id: "name", title: "name", width: "minmax(120px, 1fr)", cell: (t) => <a class="strong" tabIndex={-1} href={to(path("types", t.category, t.name))}><Text text={t.name} most={120} /></a> },
  { id: "category", title: "category", width: "minmax(100px, 1fr)", cell: (t) => <Category name={t.category} /> },
  { id: "events", title: "events", width: "80px", numeric: true, cell: (t) => <Count n={t.events} /> },
  { id: "rejected", title: "rejected", width: "72px", numeric: true, cell: (t) => (t.rejected ? <span class="bad">{share(t.rejected, t.rejected + t.events)}</span> : <span class="soft">0 %</span>) },
  { id: "version", title: "schema", width: "132px", wide: true, cell: (t) => (t.type ? `version ${t.type.version}` : <span class="tag">without schema</span>) },
  { id: "changed", title: "last change", width: "112px", wide: true, cell: (t) => t.type && <Time at={t.type.created_at} /> },
];

