import { useState } from "preact/hooks";
import { get, messageOf, post } from "../lib/api.ts";
import { applications } from "../lib/colors.ts";
import { ago, plural } from "../lib/format.ts";
import { books } from "../lib/health.ts";
import { useLoad } from "../lib/load.ts";
import type { App, Overview } from "../lib/model.ts";
import { change, now, params } from "../lib/state.ts";
import { Dialog, Panel } from "../ui/dialog.tsx";
import { Screen } from "../ui/screen.tsx";
import { Empty, Notice } from "../ui/state.tsx";
import { Table, type Column } from "../ui/table.tsx";
import { AppName, Count, Time } from "../ui/text.tsx";
import { AppSettings } from "./app-settings.tsx";
import { Keys } from "./app-keys.tsx";

interface Row extends App { silent: boolean; rate5: number | undefined; last: string | null | undefined }

const asked = 40; // applications whose events of the last minutes are counted

/** Apps lists the applications, with their keys and settings. */
export function Apps() {
  const { data, error, loading, again } = useLoad(`${now.value}`, load);
  const [making, setMaking] = useState(false);
  const rows = data ?? [];
  const shown = params.value.get("show");
  const selected = rows.find((a) => a.app === shown);
  return (
    <Screen title="Applications" full actions={<><button type="button" onClick={() => change({ show: "*" })}>keys for all applications</button><button type="button" class="primary" onClick={() => setMaking(true)}>new application</button></>}>
      {error && <Notice text={error} retry={again} />}
      <div class="with-panel">
        <div class="grow">
          <Table
            label="Applications" columns={columns(selected !== undefined || shown === "*")} rows={rows} id={(a) => a.app} selected={selected?.app} loading={loading && !data} done
            open={(a) => change({ show: a.app }, params.value.has("show"))}
            empty={error ? <></> : <Empty title="No applications">An application is a sender of events. Each has keys of its own.</Empty>}
            foot={<span>{plural(rows.length, "application")}</span>}
          />
        </div>
        {selected && (
          <Panel title={<AppName app={selected.app} />} close={() => change({ show: undefined })}>
            <Keys key={selected.app} app={selected.app} />
            <AppSettings key={`${selected.app} settings`} app={selected} changed={again} />
          </Panel>
        )}
        {shown === "*" && <Panel title="Keys for all applications" close={() => change({ show: undefined })}><Keys app={undefined} /></Panel>}
      </div>
      {making && <NewApp close={() => setMaking(false)} made={(app) => { setMaking(false); again(); change({ show: app }); }} />}
    </Screen>
  );
}

async function load(signal: AbortSignal, polling: boolean): Promise<Row[]> {
  const [{ apps }, { silent }] = await Promise.all([get<{ apps: App[] }>("/v1/apps", { signal, polling }), get<Overview>("/v1/overview", { signal, polling })]);
  const quiet = new Set(silent.map((s) => s.app));
  applications.learn(apps.map((a) => a.app).sort());
  const since = new Date(Date.now() - 300_000).toISOString();
  return Promise.all(apps.map(async (a, i): Promise<Row> => {
    const row = { ...a, silent: quiet.has(a.app), last: a.last_event_at };
    if (i >= asked) return { ...row, rate5: undefined };
    const { count } = await get<{ count: number }>("/v1/count", { params: { app: a.app, from: since }, signal, polling });
    return { ...row, rate5: count / 300 };
  }));
}

function columns(beside: boolean): Column<Row>[] {
  const account = (a: Row) => books.value?.apps.find((b) => b.app === a.app);
  return [
    { id: "app", title: "application", width: "minmax(100px, 1fr)", cell: (a) => <span class="strong"><AppName app={a.app} /></span> },
    { id: "last", title: "last event", width: "112px", cell: (a) => (a.last ? <span class={a.silent ? "late strong" : ""}>{a.silent && "silent since "}<Time at={a.last}>{ago(a.last)}</Time></span> : a.last === null ? <span class="soft">none yet</span> : "") },
    { id: "rate", title: "now", width: "80px", numeric: true, cell: (a) => (a.rate5 === undefined ? "" : `${a.rate5 < 10 ? a.rate5.toFixed(1) : Math.round(a.rate5)} / s`) },
    { id: "stored", title: "stored", width: "80px", numeric: true, cell: (a) => { const n = account(a)?.stored; return n === undefined ? <span class="soft">0</span> : <Count n={n} />; } },
    ...(beside ? [] : [
      { id: "rejected", title: "rejected", width: "80px", numeric: true, wide: true, cell: (a: Row) => { const n = account(a)?.rejected ?? 0; return <span class={n > 0 ? "bad" : "soft"}><Count n={n} /></span>; } },
      { id: "zone", title: "time zone", width: "140px", wide: true, cell: (a: Row) => a.time_zone },
      { id: "unknown", title: "unknown types", width: "112px", wide: true, cell: (a: Row) => (a.unknown_types === "reject" ? "rejected" : "accepted") },
    ]),
  ];
}

function NewApp({ close, made }: { close: () => void; made: (app: string) => void }) {
  const [name, setName] = useState("");
  const [error, setError] = useState("");
  const make = async (e: SubmitEvent) => {
    e.preventDefault();
    try {
      await post<App>("/v1/apps", { body: { app: name } });
      made(name);
    } catch (err) {
      setError(messageOf(err));
    }
  };
  return (
    <Dialog title="New application" close={close}>
      <form class="stack" onSubmit={make}>
        <div class="field"><label for="app-name">Name</label><input id="app-name" value={name} required autocomplete="off" spellcheck={false} placeholder="shop" onInput={(e) => setName(e.currentTarget.value)} /><span class="hint">1 to 64 of a–z, 0–9, dot, underscore and hyphen</span></div>
        {error && <Notice text={error} />}
        <div class="row-flex"><button type="submit" class="primary">Create</button><button type="button" onClick={close}>cancel</button></div>
      </form>
    </Dialog>
  );
}
