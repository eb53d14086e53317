import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { address, get } from "../lib/api.ts";
import { categories } from "../lib/colors.ts";
import { learnColors } from "../lib/health.ts";
import { clock, day, duration, exact, plural } from "../lib/format.ts";
import { useLoad } from "../lib/load.ts";
import type { Event, Page, Rejection, Session } from "../lib/model.ts";
import { pauseMs, rows } from "../lib/session-rows.ts";
import { change, isAdmin, now, params, to } from "../lib/state.ts";
import { narrow } from "../lib/theme.ts";
import { useSession } from "../lib/use-session.ts";
import { Panel } from "../ui/dialog.tsx";
import { EventDetail } from "../ui/event-detail.tsx";
import { Screen } from "../ui/screen.tsx";
import { Empty, Notice, Skeleton } from "../ui/state.tsx";
import { Copy, Text } from "../ui/text.tsx";
import { EraseSession } from "./session-erase.tsx";
import { Lanes } from "./session-lanes.tsx";
import { SessionList } from "./session-list.tsx";

/** SessionScreen shows all events of a session in order, whichever applications sent them. */
export function SessionScreen({ id }: { id: string }) {
  const s = useSession(id, `${now.value}`);
  const refused = useLoad(`${id} ${now.value}`, (signal, polling) => get<Page & { rejections: Rejection[] }>("/v1/rejections", { params: { session_id: id, replayed: "false", limit: "1000", order: "asc" }, signal, polling }));
  const [erasing, setErasing] = useState(false);
  const asked = params.value.get("show");
  const rejections = useMemo(() => (refused.data?.rejections ?? []).filter((r) => r.session_id === id && !r.became), [refused.data]);
  const list = useMemo(() => rows(s.blocks, s.gaps, rejections, s.total), [s.blocks, s.gaps, rejections, s.total]);
  const count = `${exact(rejections.length)}${refused.data?.next_cursor ? " or more" : ""} rejected`;
  useEffect(() => {
    void learnColors().then(() => categories.learn(s.events.slice(0, 1000).map((e) => e.category)));
  }, [s.session]);
  const jump = useRef<(id: string) => void>(() => {});
  const selected = s.events.find((e) => e.id === asked) ?? (asked || narrow.value ? undefined : s.events[0]);
  const select = (e: Event) => change({ show: e.id }, asked !== null);

  if (s.missing && list.length === 0 && !refused.loading && !refused.error) {
    return (
      <Screen title="Session">
        <Empty title="Nothing is known of this session">
          <p>No event with the session_id <span class="mono break"><Text text={id} most={200} /></span> is stored, as far as your key sees. It may have been rejected, erased, or be on its way.</p>
          <p><a href={to("/sessions", { range: "all" })}>All sessions</a></p>
        </Empty>
      </Screen>
    );
  }
  return (
    <Screen
      title={`Session ${id}`} full heading={<span class="mono session-id"><Text text={id} most={200} /></span>}
      actions={<>
        <Copy class="" label="copy link" text={() => location.href} />
        {!s.missing && <a class="button" download="session.ndjson" href={address("/v1/export", { session_id: id, format: "ndjson" })}>export</a>}
        {isAdmin.value && <button type="button" class="danger" onClick={() => setErasing(true)}>erase…</button>}
      </>}
    >
      {s.error && <Notice text={s.error} retry={s.again} />}
      {refused.error && <Notice text={`The rejected events of this session could not be read. ${refused.error}`} kind="late" retry={refused.again} />}
      {s.missing && rejections.length > 0 && <p class="summary"><span class="soft">No event of this session is stored, as far as your key sees.</span> <Refused id={id} text={count} /></p>}
      {s.session ? <Summary session={s.session} refused={rejections.length > 0 && <Refused id={id} text={count} />} /> : !s.missing && <Skeleton height={20} />}
      {s.session ? <Lanes events={s.events} session={s.session} selected={selected?.id} select={(eventID) => { change({ show: eventID }, true); jump.current(eventID); }} /> : !s.missing && <Skeleton height={64} />}
      <div class="with-panel">
        <div class="grow">
          <SessionList rows={list} select={select} selected={selected?.id} loading={s.missing ? refused.loading && !refused.data : !s.session} need={s.need} needEvent={s.needEvent} jump={jump} asked={asked ?? undefined} pauseMs={pauseMs} />
        </div>
        {selected && (
          <Panel title={<Text text={selected.name} most={120} />} close={() => change({ show: undefined })} actions={<a class="button tiny" href={to("/events", { session_id: id, show: selected.id, range: "all" })}>in events</a>}>
            <EventDetail event={selected} filters={false} inSession />
          </Panel>
        )}
      </div>
      {erasing && <EraseSession id={id} close={() => setErasing(false)} />}
    </Screen>
  );
}

function Refused({ id, text }: { id: string; text: string }) {
  return <a class="bad strong" href={to("/rejections", { session_id: id, range: "all" })}>{text}</a>;
}

function Summary({ session: s, refused }: { session: Session; refused: ComponentChildren }) {
  const start = new Date(s.started_at);
  const end = new Date(s.ended_at);
  const sameDay = start.toDateString() === end.toDateString();
  return (
    <p class="soft summary">
      <span>{plural(s.events, "event")}</span>
      <span>{plural(s.apps.length, "application")}</span>
      <span>{day(start)} {start.getFullYear()}, {clock(start)} – {sameDay ? "" : `${day(end)}, `}{clock(end)}</span>
      <span>{duration(end.getTime() - start.getTime())}</span>
      {refused}
      {s.missing !== undefined && s.missing > 0 && <span class="late strong">{s.missing} missing</span>}
      {s.late !== undefined && s.late > 0 && <span class="late">{s.late} late</span>}
    </p>
  );
}

