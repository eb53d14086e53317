/** Route is the screen that an address names, with what its path contains. */
export interface Route {
  screen: Screen;
  id?: string;
  category?: string;
  name?: string;
}

export type Screen =
  | "signin" | "overview" | "live" | "sessions" | "session" | "events" | "rejections" | "rejection"
  | "types" | "type" | "find" | "apps" | "audit" | "unreadable" | "unknown";

const plain: readonly Screen[] = ["signin", "overview", "live", "sessions", "events", "rejections", "types", "find", "apps", "audit", "unreadable"];

/** route reads the path of an address. */
export function route(path: string): Route {
  const parts = path.split("/").slice(1);
  let decoded: string[];
  try {
    decoded = parts.map(decodeURIComponent);
  } catch {
    return { screen: "unknown" };
  }
  const [head = "", one = "", two = ""] = decoded;
  if (decoded.length === 1) {
    if (head === "") return { screen: "overview" };
    const screen = plain.find((s) => s === head);
    return { screen: screen ?? "unknown" };
  }
  if (decoded.length === 2 && one !== "" && head === "sessions") return { screen: "session", id: one };
  if (decoded.length === 2 && one !== "" && head === "rejections") return { screen: "rejection", id: one };
  if (decoded.length === 3 && head === "types" && one !== "" && two !== "") return { screen: "type", category: one, name: two };
  return { screen: "unknown" };
}

/** path builds a path from its parts. */
export function path(...parts: string[]): string {
  return `/${parts.map(encodeURIComponent).join("/")}`;
}

/** kept are the parameters that stay when one goes from screen to screen. */
const kept = ["app", "range", "from", "to", "live"];

/** carry returns those parameters of an address that another screen keeps, with others. */
export function carry(params: URLSearchParams, more: Record<string, string | string[] | undefined> = {}): URLSearchParams {
  const out = new URLSearchParams();
  for (const name of kept) for (const value of params.getAll(name)) out.append(name, value);
  return merge(out, more);
}

/** merge returns parameters of which some are replaced; undefined removes one. */
export function merge(params: URLSearchParams, more: Record<string, string | string[] | undefined>): URLSearchParams {
  const out = new URLSearchParams(params);
  for (const [name, value] of Object.entries(more)) {
    out.delete(name);
    for (const v of value === undefined ? [] : [value].flat()) out.append(name, v);
  }
  return out;
}

export function href(path: string, params: URLSearchParams): string {
  const query = params.toString();
  return query ? `${path}?${query}` : path;
}

/** safeReturn accepts only addresses of this page, for the way back from signing in. */
export function safeReturn(to: string | null): string {
  if (!to || !/^\/[^/\\]/.test(to)) return "/overview";
  const r = route(to.split(/[?#]/)[0] ?? "");
  return r.screen === "unknown" || r.screen === "signin" ? "/overview" : to;
}
