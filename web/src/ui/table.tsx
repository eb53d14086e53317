import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { go } from "../lib/state.ts";
import { narrow } from "../lib/theme.ts";
import { useVirtual } from "../lib/virtual.ts";
import { Empty, Skeleton } from "./state.tsx";

export interface Column<T> {
  id: string;
  title: string;
  /** A track of a CSS grid. */
  width: string;
  cell: (row: T, index: number) => ComponentChildren;
  numeric?: boolean;
  /** Not shown on a narrow screen. */
  wide?: boolean;
  sort?: { now: "asc" | "desc" | undefined; toggle: () => void };
}

export interface TableProps<T> {
  label: string;
  columns: Column<T>[];
  rows: T[];
  id: (row: T) => string;
  /** The address of a row; or what happens when it is opened. */
  href?: (row: T) => string;
  open?: (row: T) => void;
  selected?: string | undefined;
  rowClass?: (row: T) => string;
  loading?: boolean;
  /** Whether the end is reached; more asks for the next rows. */
  done?: boolean;
  more?: () => void;
  empty?: ComponentChildren;
  foot?: ComponentChildren;
  rowHeight?: number;
}

/** Table shows rows of which only those in sight are in the document. Keys: arrows, j, k, Enter. */
export function Table<T>(p: TableProps<T>) {
  const scroll = useRef<HTMLDivElement>(null);
  const [at, setAt] = useState(0);
  const height = p.rowHeight ?? 36;
  const shown = p.columns.filter((c) => !(c.wide && narrow.value));
  const list = useVirtual({ count: p.rows.length, size: () => height, scroll, version: height });
  const last = list.items.at(-1)?.index ?? 0;
  const active = Math.min(at, Math.max(0, p.rows.length - 1));

  useEffect(() => {
    if (!p.done && !p.loading && p.rows.length > 0 && last >= p.rows.length - 20) p.more?.();
  }, [last, p.done, p.loading, p.rows.length]);

  const opens = p.href !== undefined || p.open !== undefined;
  const openRow = (row: T | undefined) => {
    if (!row) return;
    if (p.open) p.open(row);
    else if (p.href) go(p.href(row));
  };
  const focusRow = (index: number) => {
    const next = Math.max(0, Math.min(p.rows.length - 1, index));
    setAt(next);
    list.scrollTo(next);
    const row = () => scroll.current?.querySelector<HTMLElement>(`[data-index="${next}"]`);
    const there = row();
    if (there) there.focus({ preventScroll: true });
    else requestAnimationFrame(() => row()?.focus({ preventScroll: true }));
  };
  const keys = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 12, PageUp: -12, Home: -Infinity, End: Infinity }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      const from = (event.target as Element).closest<HTMLElement>("[data-index]")?.dataset["index"];
      focusRow(from === undefined ? active : step === Infinity ? p.rows.length - 1 : Number(from) + step);
    } else if (event.key === "Enter" && (event.target as HTMLElement).dataset["index"] !== undefined) {
      event.preventDefault();
      openRow(p.rows[Number((event.target as HTMLElement).dataset["index"])]);
    }
  };
  const click = (event: MouseEvent, row: T, index: number) => {
    setAt(index);
    if ((event.target as Element).closest("a, button, input") || String(getSelection()) !== "") return;
    if ((event.metaKey || event.ctrlKey) && p.href) window.open(p.href(row), "_blank", "noopener");
    else openRow(row);
  };
  const cols = shown.map((c) => c.width).join(" ");
  const least = shown.reduce((sum, c) => sum + Number(/\d+/.exec(c.width)?.[0] ?? 0) + 16, 16);
  return (
    <div class="table fill" style={{ "--cols": cols, "--min": `${least}px` }}>
      <div class="scroll" ref={scroll} onKeyDown={keys} tabIndex={p.rows.length === 0 ? 0 : -1} role="region" aria-label={p.label} data-rows>
        <div role="table" aria-label={p.label} aria-rowcount={p.done === false ? -1 : p.rows.length + 1} aria-busy={p.loading === true}>
          <div role="rowgroup" class="head">
            <div role="row" class="cells head" aria-rowindex={1}>
              {shown.map((c) => (
                <div key={c.id} role="columnheader" class={c.numeric ? "num" : ""} aria-sort={c.sort?.now === "asc" ? "ascending" : c.sort?.now === "desc" ? "descending" : undefined}>
                  {c.sort ? <button type="button" onClick={c.sort.toggle}>{c.title}<span aria-hidden="true">{c.sort.now === "asc" ? "↑" : c.sort.now === "desc" ? "↓" : "↕"}</span></button> : c.title}
                </div>
              ))}
            </div>
          </div>
          <div role="rowgroup" class="rows" style={{ height: `${list.total}px` }}>
            {list.items.map((item) => {
              const row = p.rows[item.index];
              if (row === undefined) return null;
              const key = p.id(row);
              return (
                <div
                  key={key} role="row" aria-rowindex={item.index + 2} data-index={item.index} tabIndex={item.index === active ? 0 : -1}
                  class={`row cells ${opens ? "opens" : ""} ${p.rowClass?.(row) ?? ""}`} aria-selected={p.selected === undefined ? undefined : p.selected === key}
                  style={{ height: `${height}px`, transform: `translateY(${item.start}px)` }}
                  onClick={(e) => click(e, row, item.index)} onFocus={() => setAt(item.index)}
                >
                  {shown.map((c) => <div key={c.id} role="cell" class={c.numeric ? "num" : ""}>{c.cell(row, item.index)}</div>)}
                </div>
              );
            })}
          </div>
        </div>
        {p.rows.length === 0 && (p.loading ? <div class="stack-8 body-pad"><Skeleton lines={12} height={24} /></div> : (p.empty ?? <Empty title="Nothing here" />))}
      </div>
      {p.foot && <div class="table-foot">{p.foot}</div>}
    </div>
  );
}
