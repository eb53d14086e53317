// Numbers and times as people read them.

const whole = new Intl.NumberFormat("en", { useGrouping: true });

/** exact writes all digits, with separators. */
export function exact(n: number): string {
  return whole.format(n).replaceAll(",", "\u202f");
}

/** short writes large numbers with one decimal: 12.4 k. */
export function short(n: number): string {
  const sign = n < 0 ? "−" : "";
  let value = Math.abs(n);
  if (value < 10_000) return sign + exact(value);
  for (const unit of ["k", "M", "G"]) {
    value /= 1000;
    if (value < 999.5 || unit === "G") return `${sign}${value < 100 ? value.toFixed(1) : value.toFixed(0)} ${unit}`;
  }
  return sign + exact(value);
}

/** share writes a part of a whole in percent; small parts are not written as nothing. */
export function share(part: number, total: number): string {
  if (total === 0) return "–";
  const percent = (100 * part) / total;
  if (part === 0) return "0 %";
  if (percent < 0.01) return "< 0.01 %";
  if (percent < 1) return `${percent.toFixed(2)} %`;
  return `${percent < 10 ? percent.toFixed(1) : percent.toFixed(0)} %`;
}

/** change compares a number with the one before. */
export function change(now: number, before: number): string {
  if (before === 0) return now === 0 ? "as before" : "none before";
  const percent = Math.round((100 * (now - before)) / before);
  if (percent === 0) return "as before";
  return percent > 999 ? `${short(before)} before` : `${percent > 0 ? "+" : "−"}${Math.abs(percent)} % from ${short(before)}`;
}

/** plural writes a count with its noun. */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${exact(n)} ${n === 1 ? one : many}`;
}

/** micros reads an RFC 3339 time with up to six decimals, in microseconds since 1970. */
export function micros(time: string): number {
  const dot = /\.(\d+)/.exec(time);
  const base = Date.parse(dot ? time.replace(dot[0], "") : time);
  return base * 1000 + Number((dot?.[1] ?? "").padEnd(6, "0").slice(0, 6));
}

const pad = (n: number, width = 2) => String(n).padStart(width, "0");

/** clock writes the time of day in the reader's zone. */
export function clock(time: string | Date, decimals: 0 | 3 | 6 = 0): string {
  const d = typeof time === "string" ? new Date(time) : time;
  const base = `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
  if (decimals === 0) return base;
  const us = typeof time === "string" ? micros(time) % 1_000_000 : d.getMilliseconds() * 1000;
  return `${base}.${pad(us, 6).slice(0, decimals)}`;
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export function day(d: Date): string {
  return `${d.getDate()} ${months[d.getMonth()]}`;
}

/** when writes a time as briefly as it is clear today. */
export function when(time: string, now = new Date()): string {
  const d = new Date(time);
  if (d.toDateString() === now.toDateString()) return clock(d);
  const year = d.getFullYear() === now.getFullYear() ? "" : ` ${d.getFullYear()}`;
  return `${day(d)}${year}, ${pad(d.getHours())}:${pad(d.getMinutes())}`;
}

/** utc writes a time for the tooltip: UTC, with microseconds. */
export function utc(time: string): string {
  const d = new Date(time);
  if (Number.isNaN(d.getTime())) return time;
  return `${d.toISOString().slice(0, 19).replace("T", " ")}.${pad(((micros(time) % 1e6) + 1e6) % 1e6, 6)} UTC`;
}

/** duration writes a number of milliseconds in its two largest units. */
export function duration(ms: number): string {
  if (ms < 0) return `−${duration(-ms)}`;
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  const parts: [number, string][] = [[Math.floor(s / 86400), "d"], [Math.floor(s / 3600) % 24, "h"], [Math.floor(s / 60) % 60, "min"], [Math.floor(s) % 60, "s"]];
  const first = parts.findIndex(([n]) => n > 0);
  return parts.slice(first, first + 2).filter(([n]) => n > 0).map(([n, unit]) => `${n} ${unit}`).join(" ");
}

/** ago writes how long ago a time was. */
export function ago(time: string, now = Date.now()): string {
  const ms = now - Date.parse(time);
  if (ms < 5000) return "just now";
  if (ms < 60_000) return `${Math.round(ms / 1000)} s ago`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min ago`;
  if (ms < 86_400_000) return `${Math.round(ms / 3_600_000)} h ago`;
  return `${Math.round(ms / 86_400_000)} d ago`;
}
