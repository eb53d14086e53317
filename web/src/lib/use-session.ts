import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, get, messageOf } from "./api.ts";
import type { Event, Gap, Page, Session } from "./model.ts";

interface Answer extends Page { session: Session; events: Event[]; missing: Gap[] }

export interface SessionState {
  session: Session | undefined;
  events: Event[];
  gaps: Gap[];
  error: string | undefined;
  /** The server knows nothing of the session. */
  missing: boolean;
  /** need asks for the events up to an index. */
  need: (index: number) => void;
  again: () => void;
}

/** useSession reads the events of a session page by page, as far as they are needed. */
export function useSession(id: string, version: string): SessionState {
  const [state, set] = useState<Pick<SessionState, "session" | "events" | "gaps" | "error" | "missing">>({ session: undefined, events: [], gaps: [], error: undefined, missing: false });
  const [turn, setTurn] = useState(0);
  const reading = useRef<{ until: number; busy: boolean; next: string | null; count: number; events: Event[]; gaps: Gap[]; drawn: number; abort: AbortController }>(undefined);

  const read = async (r: NonNullable<typeof reading.current>, cursor: string | undefined) => {
    r.busy = true;
    try {
      const page = await get<Answer>("/v1/sessions", { params: { session_id: id, exact: "1", limit: cursor ? "1000" : "200", cursor }, signal: r.abort.signal });
      if (r.abort.signal.aborted) return;
      r.next = page.next_cursor;
      r.count += page.events.length;
      r.events.push(...page.events);
      r.gaps.push(...page.missing);
      // On the way to a distant event, the list is drawn again only now and then.
      const arrived = r.next === null || r.count > r.until;
      if (arrived || Date.now() - r.drawn > 1500) {
        r.drawn = Date.now();
        set({ session: page.session, error: undefined, missing: false, events: r.events.slice(), gaps: r.gaps.slice() });
      }
    } catch (error) {
      if (r.abort.signal.aborted) return;
      const missing = error instanceof ApiError && error.status === 404;
      set((s) => ({ ...s, missing, error: missing ? undefined : messageOf(error) }));
      r.next = null;
    }
    r.busy = false;
    if (r.next !== null && r.count <= r.until) void read(r, r.next);
  };

  useEffect(() => {
    const r = { until: 0, busy: false, next: null, count: 0, events: [], gaps: [], drawn: 0, abort: new AbortController() };
    reading.current = r;
    void read(r, undefined);
    return () => r.abort.abort();
  }, [id, version, turn]);

  return {
    ...state,
    need: (index) => {
      const r = reading.current;
      if (!r) return;
      r.until = Math.max(r.until, index);
      if (!r.busy && r.next !== null && r.count <= r.until) void read(r, r.next);
    },
    again: () => setTurn((t) => t + 1),
  };
}
