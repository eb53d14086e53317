import { useEffect, useRef, useState } from "preact/hooks";
import { api, eventFilters } from "../lib/filter.ts";
import { clock, exact, plural } from "../lib/format.ts";
import { path } from "../lib/route.ts";
import { change, params, to } from "../lib/state.ts";
import { listen, newest, Rates, type Item } from "../lib/tail.ts";
import { pick } from "../lib/tree.ts";
import { Panel } from "../ui/dialog.tsx";
import { EventDetail } from "../ui/event-detail.tsx";
import { FilterBar } from "../ui/filter-bar.tsx";
import { Screen } from "../ui/screen.tsx";
import { Sentence } from "../ui/sentence.tsx";
import { Empty } from "../ui/state.tsx";
import { AppName, Category, Text, Time } from "../ui/text.tsx";

/** Live shows what becomes visible, the newest on top. It stands still under the pointer. */
export function Live() {
  const query = api(params.value, eventFilters);
  const key = query.toString();
  const [items, setItems] = useState<Item[]>([]);
  const [waiting, setWaiting] = useState(0);
  const [paused, setPaused] = useState(false);
  const [hovered, setHovered] = useState(false);
  const [connected, setConnected] = useState<boolean>();
  const [bars, setBars] = useState<number[]>([]);
  const held = useRef<Item[]>([]);
  const still = useRef(false);
  const rates = useRef(new Rates());
  still.current = paused || hovered;

  useEffect(() => {
    setItems([]);
    held.current = [];
    setWaiting(0);
    rates.current = new Rates();
    const take = (added: Item[]) => {
      rates.current.note(Date.now(), added.reduce((n, i) => n + (i.kind === "missed" ? i.count : 1), 0));
      if (still.current) {
        held.current = [...held.current, ...added].slice(-1000);
        setWaiting((n) => n + added.length);
      } else setItems((old) => newest(old, added));
    };
    const tail = listen(query, take, setConnected);
    const timer = setInterval(() => document.visibilityState === "visible" && setBars(rates.current.last(Date.now() - 1000)), 1000);
    return () => {
      tail.close();
      clearInterval(timer);
    };
  }, [key]);
  useEffect(() => {
    if (paused || hovered || held.current.length === 0) return;
    const added = held.current;
    held.current = [];
    setWaiting(0);
    setItems((old) => newest(old, added));
  }, [paused, hovered]);
  useEffect(() => {
    const press = (e: KeyboardEvent) => {
      if (e.key !== " " || (e.target as Element).closest?.("input, select, textarea, button, a, dialog")) return;
      e.preventDefault();
      setPaused((p) => !p);
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);

  const shown = params.value.get("show");
  const selected = items.find((i) => i.kind === "event" && i.event.id === shown);
  const perSecond = bars.slice(-10).reduce((a, b) => a + b, 0) / 10;
  return (
    <Screen title="Live" full actions={<button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>{paused ? "go on" : "pause"}</button>}>
      <FilterBar />
      <div class="with-panel">
        <div class="grow">
          <div class="card live-head">
            <Bars counts={bars} />
            <div class="row-flex wrap soft small">
              <span class={`health ${connected ? "" : connected === undefined ? "soft" : "late"}`}>{connected ? "connected" : connected === undefined ? "connecting…" : "the connection is interrupted; it is opened again"}</span>
              <span>{perSecond < 10 ? perSecond.toFixed(1) : exact(Math.round(perSecond))} per second</span>
              <span class="grow" />
              <span aria-live="polite">{paused || hovered ? `stands still${waiting > 0 ? `, ${plural(waiting, "new one")}` : ""}` : "space stops it"}</span>
            </div>
          </div>
          <div class="table fill">
            <div class="scroll" role="region" aria-label="What becomes visible" tabIndex={0} onMouseEnter={() => setHovered(true)} onMouseLeave={() => setHovered(false)}>
              {items.length === 0 && <Empty title="Nothing yet">Events appear here as soon as they are stored.</Empty>}
              <ul class="live">{items.map((i) => <Row key={i.key} item={i} chosen={i === selected} />)}</ul>
            </div>
          </div>
        </div>
        {selected?.kind === "event" && (
          <Panel title={<Text text={selected.event.name} most={120} />} close={() => change({ show: undefined })} actions={<a class="button tiny" href={to(path("sessions", selected.event.session_id), { show: selected.event.id })}>its session</a>}>
            <EventDetail event={selected.event} />
          </Panel>
        )}
      </div>
    </Screen>
  );
}

function Row({ item: i, chosen }: { item: Item; chosen: boolean }) {
  switch (i.kind) {
    case "event":
      return (
        <li class={`srow opens ${chosen ? "chosen" : ""}`} onClick={(e) => (e.target as Element).closest("a, button") || change({ show: i.event.id }, true)}>
          <span class="ltime mono"><Time at={i.event.occurred_at}>{clock(i.event.occurred_at, 3)}</Time></span>
          <span class="sapp"><AppName app={i.event.app} /></span>
          <span class="scat"><Category name={i.event.category} /></span>
          <button type="button" class="link sname strong cut" onClick={() => change({ show: i.event.id }, true)}><Text text={i.event.name} most={80} /></button>
          <span class="sdata soft mono cut"><Text text={pick(i.event.data.text, "path") ?? i.event.data.text} most={160} /></span>
        </li>
      );
    case "rejection":
      return (
        <li class="srow rejection">
          <span class="ltime mono bad"><Time at={i.rejection.received_at}>{clock(i.rejection.received_at, 3)}</Time></span>
          <span class="sapp"><AppName app={i.rejection.app} /></span>
          <span class="scat"><Category name={i.rejection.category || "no category"} /></span>
          <a class="sname strong bad cut" href={to(path("rejections", i.rejection.id))}><Text text={i.rejection.name || "rejected"} most={80} /></a>
          <span class="sdata bad cut">{i.rejection.problems[0] && <Sentence problem={i.rejection.problems[0]} />}</span>
        </li>
      );
    case "erased": return <li class="srow pause soft">{i.app === "*" ? "A session of all applications" : `Data of ${i.app}`} was erased</li>;
    case "missed": return <li class="srow missing late strong">missed {exact(i.count)}: more than this page can show</li>;
  }
}

/** Bars shows the last minute, a bar for each second. */
function Bars({ counts }: { counts: number[] }) {
  const top = Math.max(1, ...counts);
  return (
    <svg class="live-bars" viewBox="0 0 600 48" preserveAspectRatio="none" role="img" aria-label={`Per second, in the last minute: at most ${exact(Math.max(0, ...counts))}`}>
      {counts.map((n, i) => n > 0 && <rect key={i} x={i * 10} width={8} y={48 - (46 * n) / top} height={(46 * n) / top} />)}
    </svg>
  );
}
