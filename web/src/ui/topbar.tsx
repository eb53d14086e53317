import { signal } from "@preact/signals";
import { useState } from "preact/hooks";
import { books } from "../lib/health.ts";
import { defaultSpan, instant, local, spans } from "../lib/range.ts";
import { change, current, go, one, params, refresh, to } from "../lib/state.ts";
import type { Screen } from "../lib/route.ts";

/** asked is what was typed into the search field. It stays out of addresses, for it may be a payload. */
export const asked = signal("");

/** Screens that do not depend on the application that is chosen. */
const whole: Screen[] = ["session", "rejection", "type", "find", "apps"];
const timeless: Screen[] = ["session", "rejection", "type", "find", "apps", "live", "unreadable"];

export function TopBar() {
  const screen = current.value.screen;
  const timed = !timeless.includes(screen);
  const live = params.value.get("live") === "1";
  return (
    <div class="topbar" role="region" aria-label="What is shown">
      {!whole.includes(screen) && <Apps />}
      {timed && <Range />}
      {timed && <>
        <button type="button" aria-pressed={live} title="ask again every 10 seconds" onClick={() => change({ live: live ? undefined : "1" })}>⟲ live</button>
        {!live && <button type="button" class="quiet not-narrow" onClick={() => refresh()}>refresh</button>}
      </>}
      <form class="search" role="search" onSubmit={(e) => {
        e.preventDefault();
        const field = e.currentTarget.elements.namedItem("q") as HTMLInputElement;
        asked.value = field.value.trim();
        field.value = "";
        if (asked.value) go(to("/find"));
      }}>
        <input type="search" name="q" id="search" aria-label="Search by id, session, payload or error" placeholder="search id, session…" autocomplete="off" spellcheck={false} />
        <kbd aria-hidden="true">/</kbd>
      </form>
    </div>
  );
}

function Apps() {
  const chosen = params.value.get("app") ?? "";
  if (one.value) return <span class="strong cut">{one.value}</span>;
  const names = (books.value?.apps ?? []).map((a) => a.app);
  if (chosen && !names.includes(chosen)) names.push(chosen);
  return (
    <select aria-label="Application" value={chosen} onChange={(e) => change({ app: e.currentTarget.value || undefined, cursor: undefined })}>
      <option value="">all applications</option>
      {names.map((name) => <option key={name} value={name}>{name}</option>)}
    </select>
  );
}

const zoned = `in the time zone ${Intl.DateTimeFormat().resolvedOptions().timeZone}`;

/** readable tells at a field what is wrong with its time. */
function readable(field: HTMLInputElement): boolean {
  const good = field.value.trim() === "" || instant(field.value) !== undefined;
  field.setCustomValidity(good ? "" : "This is not a time. Write 2026-01-31, 2026-01-31 10:00 or 2026-01-31 10:00:30.");
  return field.reportValidity();
}

function Range() {
  const p = params.value;
  const own = p.has("from") || p.has("to");
  const [editing, setEditing] = useState(false);
  const chosen = own || editing ? "own" : (p.get("range") ?? defaultSpan);
  return (
    <>
      <select aria-label="Time range" value={chosen} onChange={(e) => {
        const value = e.currentTarget.value;
        setEditing(value === "own");
        if (value !== "own") change({ range: value === defaultSpan ? undefined : value, from: undefined, to: undefined });
      }}>
        {spans.map((s) => <option key={s.id} value={s.id}>{s.name}</option>)}
        <option value="all">All time</option>
        <option value="own">From … to …</option>
      </select>
      {(own || editing) && (
        <form class="own-range" onSubmit={(e) => {
          e.preventDefault();
          const fields = ["from", "to"].map((name) => e.currentTarget.elements.namedItem(name) as HTMLInputElement);
          if (!fields.every(readable)) return;
          const [from, to] = fields.map((f) => instant(f.value));
          setEditing(false);
          change({ from, to, range: undefined });
        }} onInput={(e) => (e.target as HTMLInputElement).setCustomValidity("")}>
          <input key={`f${p.get("from")}`} type="text" name="from" aria-label="From" title={zoned} placeholder="2026-01-31 10:00" defaultValue={local(p.get("from") ?? "")} />
          <span class="soft">to</span>
          <input key={`t${p.get("to")}`} type="text" name="to" aria-label="To" title={zoned} placeholder="now" defaultValue={local(p.get("to") ?? "")} />
          <button type="submit">show</button>
        </form>
      )}
    </>
  );
}
