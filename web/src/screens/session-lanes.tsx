import { useMemo } from "preact/hooks";
import { categories } from "../lib/colors.ts";
import { clock, duration, plural } from "../lib/format.ts";
import { axis, marks } from "../lib/lanes.ts";
import type { Event, Session } from "../lib/model.ts";
import { pauseMs } from "../lib/session-rows.ts";
import { AppName } from "../ui/text.tsx";

interface Props { events: Event[]; session: Session; selected: string | undefined; select: (id: string) => void }

/** Lanes is a time axis with one lane for each application. */
export function Lanes({ events, session, selected, select }: Props) {
  const lanes = useMemo(() => {
    const times = events.map((e) => Date.parse(e.occurred_at));
    const whole = events.length < session.events ? [...times, Date.parse(session.ended_at)] : times;
    const a = axis(whole, pauseMs);
    const at = a.place(times[events.findIndex((e) => e.id === selected)] ?? NaN);
    const byApp = session.apps.map((app) => {
      const own = events.flatMap((e, i) => (e.app === app ? [{ at: times[i]!, id: e.id, category: e.category }] : []));
      return { app, marks: marks(own, a.place, 240), category: new Map(own.map((e) => [e.id, e.category])), count: own.length };
    });
    return { byApp, folds: a.folds, at, from: whole[0], to: whole.at(-1) };
  }, [events, session, selected]);
  const percent = (n: number) => `${(n * 100).toFixed(3)}%`;
  return (
    <div class="lanes card" role="group" aria-label="Time axis">
      {lanes.byApp.map((lane) => (
        <div key={lane.app} class="lane">
          <AppName app={lane.app} />
          <div class="track">
            <div class="track-line" />
            {lanes.folds.map((f) => <span key={f.at} class="fold-mark" style={{ left: percent(f.at) }} title={`${duration(f.ms)} without events`}>⁄⁄</span>)}
            {lane.marks.map((m) => (
              <button
                key={m.id} type="button" tabIndex={-1} class={`mark c${categories.of(lane.category.get(m.id) ?? "")} ${m.count > 1 ? "many" : ""}`} style={{ left: percent(m.at) }}
                title={`${plural(m.count, "event")} at ${timeAt(events, m.id)}`} aria-label={`${plural(m.count, "event")} of ${lane.app} at ${timeAt(events, m.id)}`} onClick={() => select(m.id)}
              />
            ))}
            {!Number.isNaN(lanes.at) && <span class="now-mark" style={{ left: percent(lanes.at) }} />}
          </div>
        </div>
      ))}
      <div class="lane lane-times soft small"><span /><div class="row-flex"><span>{lanes.from ? clock(new Date(lanes.from)) : ""}</span><span class="grow" /><span>{lanes.to ? clock(new Date(lanes.to)) : ""}</span></div></div>
    </div>
  );
}

function timeAt(events: Event[], id: string): string {
  const e = events.find((x) => x.id === id);
  return e ? clock(e.occurred_at, 3) : "";
}
