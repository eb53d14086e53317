import { useEffect, useRef, useState } from "preact/hooks";
import { messageOf } from "./api.ts";
import { polled } from "./state.ts";

export interface Loaded<T> {
  data: T | undefined;
  error: string | undefined;
  /** Asked again, while data is that of before. */
  loading: boolean;
  again: () => void;
}

/**
 * useLoad asks for data whenever the key changes, and ends the request before. While it waits, data
 * is still that of before; after an error only if the key is the same, or if the page refreshes itself.
 * An undefined key asks for nothing.
 */
export function useLoad<T>(key: string | undefined, load: (signal: AbortSignal, polling: boolean) => Promise<T>): Loaded<T> {
  const [state, set] = useState<{ of?: string; data: T | undefined; error: string | undefined; loading: boolean }>({ data: undefined, error: undefined, loading: key !== undefined });
  const [turn, setTurn] = useState(0);
  const fresh = useRef(load);
  fresh.current = load;
  useEffect(() => {
    if (key === undefined) {
      set({ data: undefined, error: undefined, loading: false });
      return;
    }
    const abort = new AbortController();
    set((s) => ({ ...s, loading: true }));
    const polling = polled.peek();
    fresh.current(abort.signal, polling).then(
      (data) => abort.signal.aborted || set({ of: key, data, error: undefined, loading: false }),
      (error: unknown) => abort.signal.aborted || set((s) => ({ of: key, data: s.of === key || polling ? s.data : undefined, error: messageOf(error), loading: false })),
    );
    return () => abort.abort();
  }, [key, turn]);
  return { ...state, again: () => setTurn((t) => t + 1) };
}

export interface Pages<T> extends Loaded<T[]> {
  items: T[];
  /** Whether there is more; more asks for it. */
  done: boolean;
  more: () => void;
}

/** usePages asks for the pages of a list, one after the other as they are needed. */
export function usePages<T>(key: string | undefined, page: (cursor: string | undefined, signal: AbortSignal, polling: boolean) => Promise<{ items: T[]; next: string | null }>): Pages<T> {
  const [state, set] = useState<{ of?: string | undefined; items: T[] | undefined; next: string | null; error: string | undefined; loading: boolean }>({ items: undefined, next: null, error: undefined, loading: key !== undefined });
  const [turn, setTurn] = useState(0);
  const fresh = useRef(page);
  fresh.current = page;
  const abort = useRef<AbortController>(undefined);
  const busy = useRef(false);

  const ask = (cursor: string | undefined, signal: AbortSignal) => {
    busy.current = true;
    set((s) => ({ ...s, loading: true }));
    const polling = polled.peek();
    fresh.current(cursor, signal, polling).then(
      ({ items, next }) => {
        if (signal.aborted) return;
        busy.current = false;
        set((s) => ({ of: key, items: cursor === undefined ? items : [...(s.items ?? []), ...items], next, error: undefined, loading: false }));
      },
      (error: unknown) => {
        if (signal.aborted) return;
        busy.current = false;
        set((s) => ({ ...(s.of === key || polling ? s : { of: key, items: undefined, next: null }), error: messageOf(error), loading: false }));
      },
    );
  };

  useEffect(() => {
    if (key === undefined) return;
    abort.current = new AbortController();
    ask(undefined, abort.current.signal);
    return () => abort.current?.abort();
  }, [key, turn]);

  return {
    items: state.items ?? [],
    data: state.items,
    error: state.error,
    loading: state.loading,
    done: !state.loading && state.next === null,
    again: () => setTurn((t) => t + 1),
    more: () => {
      if (!busy.current && state.next !== null && abort.current && !state.error) ask(state.next, abort.current.signal);
    },
  };
}
