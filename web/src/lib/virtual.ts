import { elementScroll, observeElementOffset, observeElementRect, Virtualizer, type VirtualItem } from "@tanstack/virtual-core";
import { type RefObject } from "preact";
import { useEffect, useLayoutEffect, useReducer, useRef } from "preact/hooks";

export interface Virtual {
  items: VirtualItem[];
  total: number;
  scrollTo: (index: number, align?: "auto" | "center" | "start") => void;
}

export interface VirtualOptions {
  count: number;
  size: (index: number) => number;
  scroll: RefObject<HTMLDivElement | null>;
  /** What sizes depend on, except the index. */
  version?: unknown;
  paddingStart?: number;
}

/** useVirtual tells which rows of a long list are in sight. */
export function useVirtual({ count, size, scroll, version, paddingStart = 0 }: VirtualOptions): Virtual {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const ref = useRef<Virtualizer<HTMLElement, HTMLElement>>(undefined);
  const options = {
    count,
    estimateSize: size,
    getScrollElement: (): HTMLElement | null => scroll.current,
    observeElementRect,
    observeElementOffset,
    scrollToFn: elementScroll,
    overscan: 12,
    scrollMargin: paddingStart,
    scrollPaddingStart: 36,
    onChange: () => redraw(0),
  };
  ref.current ??= new Virtualizer(options);
  const v = ref.current;
  v.setOptions(options);
  useLayoutEffect(() => v._didMount(), []);
  useLayoutEffect(() => v._willUpdate());
  useEffect(() => v.measure(), [version]);
  return { items: v.getVirtualItems(), total: v.getTotalSize(), scrollTo: (i, align = "auto") => v.scrollToIndex(i, { align }) };
}
