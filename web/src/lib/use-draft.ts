import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, call, messageOf, post } from "./api.ts";
import type { Reason, Try, TypePut, Warning } from "./model.ts";
import { path } from "./route.ts";

export interface Draft {
  /** What the draft would do to the newest events. */
  tried: Try | undefined;
  /** Why the server refuses the draft. */
  refusal: { message: string; pointer: string } | undefined;
  reasons: Reason[];
  warnings: Warning[];
  error: string | undefined;
  busy: boolean;
}

export interface DraftState extends Draft {
  again: () => void;
}

const empty: Draft = { tried: undefined, refusal: undefined, reasons: [], warnings: [], error: undefined, busy: false };

/** useDraft asks the server about a draft half a second after it has changed last. */
export function useDraft(category: string, name: string, text: string | undefined, allowed: boolean): DraftState {
  const [draft, set] = useState<Draft>(empty);
  const [asked, ask] = useState(0);
  const turn = useRef(0);
  useEffect(() => {
    if (text === undefined || !allowed) return;
    const mine = ++turn.current;
    const abort = new AbortController();
    set((d) => ({ ...d, busy: true }));
    const timer = setTimeout(async () => {
      try {
        const tried = await post<Try>(`${path("v1", "types", category, name)}/try`, { params: { last: "10000" }, text, signal: abort.signal });
        if (mine === turn.current) set({ ...empty, tried, reasons: tried.reasons, warnings: tried.warnings });
      } catch (e) {
        if (abort.signal.aborted || mine !== turn.current) return;
        const p = e instanceof ApiError && e.status < 500 && e.status > 0 ? e.problem : undefined;
        set(p ? { ...empty, refusal: { message: messageOf(e), pointer: p.pointer ?? "" } } : { ...empty, error: messageOf(e) });
      }
    }, 500);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [category, name, text, allowed, asked]);
  return { ...draft, again: () => ask((n) => n + 1) };
}

/** publish makes a version. A change that is not compatible needs force. */
export function publish(category: string, name: string, text: string, force: boolean): Promise<TypePut> {
  return call<TypePut>("PUT", path("v1", "types", category, name), { params: force ? { force: "1" } : {}, text });
}
