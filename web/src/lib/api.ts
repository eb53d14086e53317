// The only place that talks to the server.
import { parse, type Kept } from "./json.ts";

/** ApiError says in a sentence what went wrong, and what to do. */
export class ApiError extends Error {
  readonly status: number;
  /** The problem document of the answer. */
  readonly problem: Problem | undefined;

  constructor(message: string, status: number, problem?: Problem) {
    super(message);
    this.status = status;
    this.problem = problem;
  }
}

export interface Problem {
  title: string;
  status: number;
  detail: string;
  pointer?: string | null;
  line?: number;
  column?: number;
  reasons?: { pointer: string; reason: string }[];
}

export interface Ask {
  params?: URLSearchParams | Record<string, string | string[] | undefined>;
  body?: unknown;
  /** Sent as it is, as JSON. */
  text?: string;
  signal?: AbortSignal;
  /** Asked by the page itself: it does not keep a login from ending. */
  polling?: boolean;
}

/** Values that are kept as they were sent. */
const kept: Kept = new Set(["data", "timestamp", "schema"]);

/** onSignedOut is called when the server says that the login has ended. */
let onSignedOut: () => void = () => {};
export function whenSignedOut(f: () => void): void {
  onSignedOut = f;
}

export async function call<T>(method: string, path: string, ask: Ask = {}): Promise<T> {
  const headers: Record<string, string> = {};
  if (ask.polling) headers["Eye-Polling"] = "1";
  const body = ask.text ?? (ask.body === undefined ? undefined : JSON.stringify(ask.body));
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer: Response;
  let text: string;
  try {
    answer = await fetch(address(path, ask.params), { method, headers, ...(body === undefined ? {} : { body }), signal: ask.signal ?? null, credentials: "same-origin" });
    text = await answer.text();
  } catch (error) {
    if (ask.signal?.aborted) throw error;
    throw new ApiError("The server does not answer. It may be restarting, or the network is down.", 0);
  }
  if (answer.ok) return (text === "" ? undefined : parse(text, kept)) as T;
  const problem = problemOf(text);
  if (answer.status === 401 && path !== "/v1/logins") onSignedOut();
  throw new ApiError(sentence(answer, problem), answer.status, problem);
}

export const get = <T>(path: string, ask?: Ask) => call<T>("GET", path, ask);
export const post = <T>(path: string, ask?: Ask) => call<T>("POST", path, ask);

/** address builds the address of a request. */
export function address(path: string, params?: Ask["params"]): string {
  const query = params instanceof URLSearchParams ? params : new URLSearchParams();
  if (params && !(params instanceof URLSearchParams)) {
    for (const [name, value] of Object.entries(params)) for (const v of value === undefined ? [] : [value].flat()) query.append(name, v);
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

function problemOf(text: string): Problem | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && "detail" in value ? (value as Problem) : undefined;
  } catch {
    return undefined;
  }
}

function sentence(answer: Response, problem: Problem | undefined): string {
  const detail = problem?.detail ?? "";
  const text = detail ? capital(detail) : `The server refused the request (${answer.statusText || "no reason given"}).`;
  const after = Number(answer.headers.get("Retry-After"));
  const later = after > 0 ? ` Try again in ${after} s.` : "";
  return (/[.!?…]$/.test(text) ? text : `${text}.`) + later;
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** messageOf is the sentence of any error. */
export function messageOf(error: unknown): string {
  if (error instanceof ApiError) return error.message;
  if (error instanceof SyntaxError) return "The answer of the server is not complete. Ask again.";
  return error instanceof Error ? error.message : String(error);
}
