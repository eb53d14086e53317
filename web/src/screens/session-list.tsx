import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { clock, duration, plural } from "../lib/format.ts";
import type { Event } from "../lib/model.ts";
import { path } from "../lib/route.ts";
import { delta, timeOf, type Row } from "../lib/session-rows.ts";
import { go, to } from "../lib/state.ts";
import { narrow } from "../lib/theme.ts";
import { pick } from "../lib/tree.ts";
import { useVirtual } from "../lib/virtual.ts";
import { Sentence } from "../ui/sentence.tsx";
import { Skeleton } from "../ui/state.tsx";
import { AppName, Category, Text, Time } from "../ui/text.tsx";

interface Props {
  rows: Row[];
  select: (e: Event) => void;
  selected: string | undefined;
  loading: boolean;
  /** Asks for the event at an index. */
  need: (index: number) => void;
  /** Asks for an event, wherever it is. */
  needEvent: (id: string) => void;
  /** Set to a function that brings an event into sight. */
  jump: RefObject<(id: string) => void>;
  /** The event that the address names. */
  asked: string | undefined;
  pauseMs: number;
}

const heights = { event: 32, pause: 28, missing: 32, rejection: 48, waiting: 32 } as const;

/** SessionList is the list of a session: as long as the session, read as far as one has looked. */
export function SessionList({ rows, select, selected, loading, need, needEvent, jump, asked }: Props) {
  const scroll = useRef<HTMLDivElement>(null);
  const [at, setAt] = useState(0);
  const list = useVirtual({ count: rows.length, size: (i) => heights[rows[i]?.kind ?? "event"], scroll, version: rows });
  const indexOf = (id: string) => rows.findIndex((r) => r.kind === "event" && r.event.id === id);
  jump.current = (id) => {
    const i = indexOf(id);
    if (i >= 0) list.scrollTo(i, "center");
  };
  const waiting = list.items.findLast((item) => rows[item.index]?.kind === "waiting");
  const needed = waiting ? (rows[waiting.index] as { index: number }).index : -1;
  useEffect(() => {
    if (needed >= 0) need(needed);
  }, [needed]);
  // The event of the address is looked for until it is found.
  const arrived = useRef(false);
  const looked = useRef("");
  useEffect(() => {
    if (!asked || arrived.current || rows.length === 0) return;
    if (indexOf(asked) >= 0) {
      arrived.current = true;
      setAt(indexOf(asked));
      jump.current(asked);
    } else if (looked.current !== asked && rows.some((r) => r.kind === "waiting")) {
      looked.current = asked;
      needEvent(asked);
    }
  }, [asked, rows]);

  const focusRow = (index: number, step: number) => {
    let next = index;
    while (rows[next] && rows[next]!.kind !== "event" && rows[next]!.kind !== "rejection") next += step || 1;
    const row = rows[next];
    if (!row) return;
    setAt(next);
    list.scrollTo(next);
    const element = () => scroll.current?.querySelector<HTMLElement>(`[data-index="${next}"]`);
    const there = element();
    if (there) there.focus({ preventScroll: true });
    else requestAnimationFrame(() => element()?.focus({ preventScroll: true }));
    if (row.kind === "event" && selected !== undefined) select(row.event);
  };
  const open = (row: Row | undefined) => {
    if (row?.kind === "event") select(row.event);
    if (row?.kind === "rejection") go(to(path("rejections", row.rejection.id)));
  };
  const keys = (e: KeyboardEvent) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 12, PageUp: -12 }[e.key];
    if (step !== undefined) {
      e.preventDefault();
      e.stopPropagation();
      const from = (e.target as Element).closest<HTMLElement>("[data-index]")?.dataset["index"];
      focusRow(from === undefined ? at : Number(from) + step, Math.sign(step));
    } else if (e.key === "Home") focusRow(0, 1);
    else if (e.key === "Enter" && (e.target as HTMLElement).dataset["index"] !== undefined) open(rows[Number((e.target as HTMLElement).dataset["index"])]);
  };
  return (
    <div class="table fill">
      <div class="scroll" ref={scroll} onKeyDown={keys} data-rows role="region" aria-label="Events of the session" tabIndex={rows.length === 0 ? 0 : -1}>
        {loading && <div class="body-pad"><Skeleton lines={8} height={24} /></div>}
        <div role="list" class="session-rows rows" style={{ height: `${list.total}px` }}>
          {list.items.map((item) => {
            const row = rows[item.index]!;
            const current = row.kind === "event" && row.event.id === selected;
            return (
              <div
                key={item.index} role="listitem" data-index={item.index} tabIndex={item.index === at ? 0 : -1} aria-current={current ? "true" : undefined}
                class={`row srow ${row.kind} ${current ? "chosen" : ""} ${row.kind === "event" || row.kind === "rejection" ? "opens" : ""}`}
                style={{ height: `${item.size}px`, transform: `translateY(${item.start}px)` }}
                onClick={(e) => { setAt(item.index); if (!(e.target as Element).closest("a, button")) open(row); }} onFocus={() => setAt(item.index)}
              >
                <Content row={row} />
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

function Content({ row }: { row: Row }) {
  switch (row.kind) {
    case "event": {
      const e = row.event;
      return (
        <>
          <span class={`stime mono ${row.after === undefined ? "" : "soft"}`}><Time at={e.occurred_at}>{row.after === undefined ? clock(e.occurred_at, narrow.value ? 3 : 6) : delta(row.after)}</Time></span>
          <span class="sapp"><AppName app={e.app} /></span>
          <span class="scat"><Category name={e.category} /></span>
          <span class="sname strong"><Text text={e.name} most={120} /></span>
          <span class="sdata soft mono"><Text text={pick(e.data.text, "path") ?? e.data.text} most={200} /></span>
          {e.late && <span class="tag late">late</span>}
        </>
      );
    }
    case "pause": return <span class="spause soft">{duration(row.ms)} without events</span>;
    case "missing": return <span class="late strong">{plural(row.gap.count, "event")} of {row.gap.sender ? <>sender “<Text text={row.gap.sender} most={60} />”</> : "this session"} {row.gap.count === 1 ? "is" : "are"} missing (seq {row.gap.from_seq === row.gap.to_seq ? row.gap.from_seq : `${row.gap.from_seq} to ${row.gap.to_seq}`})</span>;
    case "rejection": {
      const r = row.rejection;
      const p = r.problems[0];
      const at = new Date(timeOf(r) / 1000).toISOString();
      return (
        <>
          <span class="stime mono bad"><Time at={at}>{clock(at, 3)}</Time></span>
          <span class="sapp"><AppName app={r.app} /></span>
          <span class="two-lines grow">
            <span class="row-flex"><a class="strong bad cut" href={to(path("rejections", r.id))} tabIndex={-1}><Text text={r.name || "no name"} most={80} /></a><span class="soft small">rejected</span></span>
            <span class="bad cut">{p && <Sentence problem={p} />}</span>
          </span>
        </>
      );
    }
    case "waiting": return <span class="skeleton wait-row" />;
  }
}
