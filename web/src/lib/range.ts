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
 * instants or local times. What is neither is passed on, for the server says what is wrong with it.
 */
export function span(params: URLSearchParams, now: number): Span {
  const from = params.get("from");
  const to = params.get("to");
  if (from || to) return { ...(from ? { from: instant(from) ?? from } : {}), ...(to ? { to: instant(to) ?? to } : {}) };
  const id = params.get("range") ?? defaultSpan;
  if (id === "all") return {};
  const named = spans.find((s) => s.id === id) ?? spans.find((s) => s.id === defaultSpan)!;
  return { from: new Date(now - named.ms).toISOString() };
}

/**
 * instant reads a time as people write it, in the zone of the browser: a date, which is its first
 * moment, or a date with hours and minutes, and seconds if need be. A time with a zone stays as it is.
 */
export function instant(text: string): string | undefined {
  const m = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(\.\d{1,9})?)?)?$/.exec(text.trim());
  if (!m) return /^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/i.test(text.trim()) && !Number.isNaN(Date.parse(text)) ? text.trim() : undefined;
  const [year, month, day, hour, minute, second] = m.slice(1, 7).map((part) => Number(part ?? 0)) as [number, number, number, number, number, number];
  const at = new Date(year, month - 1, day, hour, minute, second, Number(m[7] ?? 0) * 1000);
  // The 30th of February is no day; a moment that a change of the clock leaves out is the next one.
  const valid = at.getFullYear() === year && at.getMonth() === month - 1 && at.getDate() === day && hour < 24 && minute < 60 && second < 60;
  return valid ? at.toISOString() : undefined;
}

/** local writes an instant in the zone of the browser, as instant reads it. */
export function local(text: string): string {
  const at = new Date(instant(text) ?? NaN);
  if (Number.isNaN(at.getTime())) return text;
  const two = (n: number) => String(n).padStart(2, "0");
  const ms = at.getMilliseconds();
  const seconds = at.getSeconds() || ms ? `:${two(at.getSeconds())}${ms ? `.${String(ms).padStart(3, "0")}` : ""}` : "";
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}${seconds}`;
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

/** charted is what a chart shows of a span: if that has no beginning, its last 30 days. */
export function charted(from: string | null, to: string | null, now: number): { from: string; step: Interval } {
  const given = to ? Date.parse(to) : now;
  const end = Number.isNaN(given) ? now : given;
  const start = from ?? new Date(end - 30 * stepMs.day).toISOString();
  const length = end - Date.parse(start);
  return { from: start, step: interval(Number.isNaN(length) ? stepMs.day : length) };
}

export const stepMs = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;
