/** Named spans of time, which end now. */
export const spans = [
  { id: "15m", name: "Last 15 minutes", ms: 15 * 60_000 },
  { id: "1h", name: "Last hour", ms: 3_600_000 },
  { id: "24h", name: "Last 24 hours", ms: 86_400_000 },
  { id: "7d", name: "Last 7 days", ms: 7 * 86_400_000 },
  { id: "30d", name: "Last 30 days", ms: 30 * 86_400_000 },
] as const;

export const defaultSpan = "24h";

/** Span is what a screen shows: from, inclusive, to to, exclusive. Absent: without a bound. */
export interface Span {
  from?: string;
  to?: string;
}

/**
 * span returns the span of an address. `range` names one that ends now, or all; from and to are
 * passed on as they are, for the server reads all forms of times.
 */
export function span(params: URLSearchParams, now: number): Span {
  const from = params.get("from");
  const to = params.get("to");
  if (from || to) return { ...(from ? { from } : {}), ...(to ? { to } : {}) };
  const id = params.get("range") ?? defaultSpan;
  if (id === "all") return {};
  const named = spans.find((s) => s.id === id) ?? spans.find((s) => s.id === defaultSpan)!;
  return { from: new Date(now - named.ms).toISOString() };
}

/** before returns the span of equal length before a span, or undefined if it has no beginning. */
export function before(s: Span, now: number): Span | undefined {
  if (!s.from) return undefined;
  const from = Date.parse(s.from);
  const to = s.to ? Date.parse(s.to) : now;
  if (Number.isNaN(from) || Number.isNaN(to) || to <= from) return undefined;
  return { from: new Date(from - (to - from)).toISOString(), to: s.from };
}

export type Interval = "minute" | "hour" | "day";

/** interval returns the step of a series, so that it has neither few nor too many steps. */
export function interval(ms: number): Interval {
  if (ms <= 3 * 3_600_000) return "minute";
  return ms <= 8 * 86_400_000 ? "hour" : "day";
}

export const stepMs = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;
