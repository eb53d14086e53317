import { signal } from "@preact/signals";
import { get } from "./api.ts";
import { applications, categories } from "./colors.ts";
import { exact } from "./format.ts";
import type { Books, Readiness, RejectionGroup, Values } from "./model.ts";

export interface Health { kind: "good" | "late" | "bad" | "soft"; text: string }

export const books = signal<Books | undefined>(undefined);
const asking: Health = { kind: "soft", text: "asking…" };
export const health = signal(asking);
/** fresh is the number of groups of rejections that are new since this browser's last visit. */
export const fresh = signal(0);

/** judge says in words whether the server works and everything is accounted for. */
export function judge(ready: Readiness | undefined, accounts: Books | undefined): Health {
  if (!ready) return { kind: "bad", text: "the server does not answer" };
  if (!ready.intake) return { kind: "bad", text: `intake refuses: ${ready.reasons[0] ?? "no reason given"}` };
  if (!ready.read) return { kind: "bad", text: `reading waits: ${ready.reasons[0] ?? "no reason given"}` };
  const sum = (of: (a: Books["apps"][number]) => number) => (accounts?.apps ?? []).reduce((n, a) => n + of(a), 0);
  if (sum((a) => a.lost) > 0) return { kind: "bad", text: `${exact(sum((a) => a.lost))} lost` };
  if (accounts && !accounts.balanced && sum((a) => a.pending) === 0) return { kind: "bad", text: "the books do not balance" };
  if (ready.reasons.length > 0) return { kind: "late", text: ready.reasons[0]! };
  if (sum((a) => a.pending) > 0) return { kind: "good", text: `${exact(sum((a) => a.pending))} pending` };
  return { kind: "good", text: "all accounted for" };
}

let logins = 0; // so that an answer to the login before is not taken for one to this

export async function learnHealth(): Promise<void> {
  const mine = logins;
  const [ready, accounts] = await Promise.all([
    fetch("/readyz", { credentials: "omit" }).then((r) => r.json() as Promise<Readiness>).catch(() => undefined),
    get<Books>("/v1/books", { polling: true }).catch(() => undefined),
  ]);
  if (mine !== logins) return;
  if (accounts) {
    applications.learn(accounts.apps.map((a) => a.app).sort());
    books.value = accounts;
  }
  health.value = judge(ready, accounts);
}

/** forget leaves nothing of what a login has seen to the next one. */
export function forget(): void {
  logins++;
  books.value = undefined;
  health.value = asking;
  fresh.value = 0;
  applications.forget();
  categories.forget();
}

const seen = "eye-rejections-seen";

/** isFresh tells whether a group occurred for the first time since then. */
export function isFresh(g: Pick<RejectionGroup, "first_seen">, since: string): boolean {
  return Date.parse(g.first_seen) >= Date.parse(since);
}

/**
 * learnFresh counts the groups of rejections that began after this browser's last visit, and that were
 * not seen in the month before it.
 */
export async function learnFresh(): Promise<void> {
  try {
    const since = localStorage.getItem(seen) ?? new Date(Date.now() - 86_400_000).toISOString();
    const ask = (params: Record<string, string>) => get<{ groups: RejectionGroup[] }>("/v1/rejections/summary", { params, polling: true });
    // Within a span, first_seen is the first of the span: so that one begins a month before.
    const recent = (await ask({ from: since, limit: "1" })).groups.length > 0;
    fresh.value = recent ? (await ask({ from: new Date(Date.parse(since) - 30 * 86_400_000).toISOString(), limit: "1000" })).groups.filter((g) => isFresh(g, since)).length : 0;
  } catch {
    // The number stays as it is.
  }
}

export function noteSeen(): void {
  fresh.value = 0;
  try {
    localStorage.setItem(seen, new Date().toISOString());
  } catch {
    // Without storage, the badge counts the last day.
  }
}

let learning: Promise<void> | undefined;

/**
 * learnColors gives the categories of the last day their colours, by order of frequency, unless a
 * screen has done so.
 */
export function learnColors(): Promise<void> {
  if (categories.known) return Promise.resolve();
  const params = { field: "category", limit: "8", from: new Date(Date.now() - 86_400_000).toISOString() };
  // When that fails, each screen tells the categories that it shows.
  return (learning ??= get<Values>("/v1/values", { params, polling: true })
    .then(({ values }) => categories.learn(values.map((v) => v.value)), () => {})
    .finally(() => (learning = undefined)));
}
