import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, get, messageOf } from "./api.ts";
import type { Event, Gap, Session } from "./model.ts";
import { polled } from "./state.ts";
import { SessionReading, type Block, type SessionPage } from "./session-reading.ts";

interface Known {
  session: Session | undefined;
  blocks: Block[];
  /** All events that were read, in order. */
  events: Event[];
  gaps: Gap[];
  total: number;
  error: string | undefined;
  /** The server knows nothing of the session. */
  missing: boolean;
}

export interface SessionState extends Known {
  /** need asks for the event at an index. */
  need: (index: number) => void;
  /** needEvent asks for an event, wherever it is. */
  needEvent: (id: string) => void;
  again: () => void;
}

const nothing: Known = { session: undefined, blocks: [], events: [], gaps: [], total: 0, error: undefined, missing: false };

/** useSession reads the events of a session as far as they are needed; see SessionReading. */
export function useSession(id: string, version: string): SessionState {
  const [state, set] = useState(nothing);
  const [turn, setTurn] = useState(0);
  const current = useRef<{ reading: SessionReading; abort: AbortController; guard: (read: Promise<void>) => void }>(undefined);

  useEffect(() => {
    const abort = new AbortController();
    const reading = new SessionReading(
      (params) => get<SessionPage>("/v1/sessions", { params: { session_id: id, exact: "1", ...params }, signal: abort.signal, polling: polled.peek() }),
      () => {
        if (abort.signal.aborted) return;
        const blocks = reading.blocks.map((b) => ({ at: b.at, events: b.events.slice() }));
        set({ session: reading.session, blocks, events: blocks.flatMap((b) => b.events), gaps: reading.gaps.slice(), total: reading.total, error: undefined, missing: false });
      },
    );
    const guard = (read: Promise<void>) => {
      read.catch((error: unknown) => {
        if (abort.signal.aborted) return;
        const missing = error instanceof ApiError && error.status === 404;
        set((s) => (missing ? { ...nothing, missing } : { ...s, error: messageOf(error) }));
      });
    };
    current.current = { reading, abort, guard };
    guard(reading.need(0));
    return () => abort.abort();
  }, [id, version, turn]);

  return {
    ...state,
    need: (index) => {
      const c = current.current;
      c?.guard(c.reading.need(index));
    },
    needEvent: (eventID) => {
      const c = current.current;
      c?.guard(get<Event>(`/v1/events/${encodeURIComponent(eventID)}`, { signal: c.abort.signal, polling: polled.peek() }).then((e) => c.reading.needEvent(eventID, e.occurred_at)));
    },
    again: () => setTurn((t) => t + 1),
  };
}
