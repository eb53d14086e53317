// What all screens share: the address, who is signed in, and the moment that "now" means.
import { computed, signal } from "@preact/signals";
import { ApiError, call, get, messageOf, whenSignedOut } from "./api.ts";
import type { Login } from "./model.ts";
import { span } from "./range.ts";
import { carry, href, merge, route } from "./route.ts";

export const url = signal(new URL(globalThis.location.href));
export const current = computed(() => route(url.value.pathname));
/** params are those of the address. A key of one application has no choice of it. */
export const params = computed(() => {
  const all = url.value.searchParams;
  return one.value && all.has("app") ? merge(all, { app: undefined }) : all;
});

/** now is the end of spans such as the last hour. It moves when somebody asks for newer data. */
export const now = signal(Date.now());
/** polled tells that the page itself asked for newer data, and that nobody has touched it since. */
export const polled = signal(false);

/** watchWork notes that somebody works with the page, so that what it asks for then keeps the login. */
export function watchWork(): void {
  const work = () => (polled.value = false);
  for (const kind of ["pointerdown", "keydown", "wheel", "click", "input", "change"]) document.addEventListener(kind, work, { capture: true, passive: true });
  addEventListener("popstate", work);
}

export function refresh(byItself = false): void {
  polled.value = byItself;
  now.value = Date.now();
}

const rangeText = computed(() => ["from", "to", "range"].map((n) => params.value.get(n) ?? "").join("\n"));
/** shown is the span of time of the address. */
export const shown = computed(() => {
  void rangeText.value;
  return span(params.peek(), now.value);
});

/** login is undefined until the server has told who is signed in, then null for nobody. */
export const login = signal<Login | null | undefined>(undefined);
export const isAdmin = computed(() => login.value?.kind === "admin");
/** one is the application of a key that sees only one. */
export const one = computed(() => login.value?.app ?? undefined);

whenSignedOut(() => {
  login.value = null;
});

export async function learnLogin(): Promise<void> {
  try {
    login.value = await get<Login>("/v1/logins/current", { polling: true });
  } catch {
    login.value = null;
  }
}

/** stillIn says why signing out has failed. */
export const stillIn = signal("");

/** signOut ends the login. If that fails, one is still signed in, and the page says so. */
export async function signOut(): Promise<void> {
  stillIn.value = "";
  try {
    await call("DELETE", "/v1/logins/current");
  } catch (e) {
    if (!(e instanceof ApiError) || e.status !== 401) {
      stillIn.value = `You are still signed in. ${messageOf(e)}`;
      return;
    }
  }
  login.value = null;
  go("/signin");
}

/** go shows another address. */
export function go(to: string, replace = false): void {
  const next = new URL(to, url.value);
  if (next.href === url.value.href) return;
  history[replace ? "replaceState" : "pushState"](null, "", next);
  if (next.pathname !== url.value.pathname) now.value = Date.now();
  url.value = next;
}

/** change replaces parameters of this address; those that are undefined go away. */
export function change(more: Record<string, string | string[] | undefined>, replace = false): void {
  go(href(url.value.pathname, merge(params.value, more)), replace);
}

export function setParams(next: URLSearchParams): void {
  go(href(url.value.pathname, next));
}

/** to is the address of another screen, which keeps the application and the time. */
export function to(path: string, more: Record<string, string | string[] | undefined> = {}): string {
  return href(path, carry(params.value, more));
}

/** follow makes links and the buttons of the browser change the address without a new document. */
export function follow(): void {
  addEventListener("popstate", () => {
    url.value = new URL(location.href);
  });
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element).closest?.("a[href]");
    if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (route(link.pathname).screen === "unknown" && link.pathname !== "/") return;
    event.preventDefault();
    go(link.pathname + link.search + link.hash);
  });
}
