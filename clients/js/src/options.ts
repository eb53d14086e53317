/** An event as beforeSend sees it, and as onRejected gets it. */
export interface Event {
  /** A UUID, or any text of 1 to 200 characters. Made unless given. */
  id?: string | undefined;
  sessionId: string;
  category: string;
  name: string;
  /** Anything that JSON.stringify turns into an object. A BigInt keeps all its digits. */
  data: object;
  /** When it happened; a text is sent as it is. The time of the call unless given. */
  timestamp?: Date | string | undefined;
}

/** What track takes besides the event itself. */
export interface TrackOptions {
  /** The session of this event alone. */
  sessionId?: string | undefined;
  /** A UUID, or any text of 1 to 200 characters, by which the server recognizes a repetition. */
  id?: string | undefined;
  /** When it happened; a text is sent as it is. */
  timestamp?: Date | string | undefined;
}

/**
 * - `queue_full`: the queue had no room.
 * - `unserializable`: the event has no JSON, or beforeSend threw.
 * - `too_large`: the server refused the event alone, because of its size.
 * - `refused`: the server refused the request.
 * - `unauthorized`: the key is not valid here; reported once. Nothing is sent any more.
 * - `unsent`: the client was closed before.
 * - `closed`: the event was tracked after close.
 * - `storage`: the browser did not store events; they are in memory alone.
 * - `options`: the client was made with unknown options; without onError, the console
 *   says so.
 *
 * With `unauthorized` and `storage` the events are not lost yet, and `options` concerns none. With
 * the others they are lost; except that a browser keeps stored events that are `unsent` for the next
 * page.
 */
export type ErrorCode =
  | "queue_full" | "unserializable" | "too_large" | "refused" | "unauthorized" | "unsent" | "closed" | "storage"
  | "options";

/** What went wrong. */
export interface EyeError {
  code: ErrorCode;
  /** What happened, for people. It does not contain the key. */
  message: string;
  /** How many events it concerns. */
  events: number;
}

/** Why the server rejected an event. */
export interface Problem {
  code: string;
  /** A JSON Pointer into the event. */
  pointer: string;
  message: string;
}

/** An event that the server rejected. */
export interface Rejection {
  /** The id by which the server knows the event. */
  id: string;
  /** The event as it was sent; JSON.parse has read it, so large integers are rounded. */
  event: Record<string, unknown>;
  problems: Problem[];
}

/** What became of the events of a client so far. */
export interface Stats {
  /** Events that the server has, with those that it had already. */
  accepted: number;
  /** Events that the server rejected, reported to onRejected. */
  rejected: number;
  /** Events that were dropped, reported to onError. */
  dropped: number;
  /** Events that wait or are being sent. */
  queued: number;
  /** Their size as JSON, in bytes. */
  queuedBytes: number;
  /** Why the latest request is repeated, for people; undefined when none is. */
  lastFailure: string | undefined;
}

/** How long flush and close wait, in milliseconds. */
export interface Wait {
  timeout?: number | null;
}

/** Which events a page records by itself. */
export interface Autocapture {
  /** "page interaction" / "pageview", also after a change of history. */
  pageviews?: boolean;
  /** Clicks in elements with data-eye-name. */
  clicks?: boolean;
  /** "page interaction" / "form submit", with the names of the fields. */
  forms?: boolean;
  /** "error" / "uncaught error" and "unhandled rejection"; ten in a page at most. */
  errors?: boolean;
  /** "performance" / "web vitals", once for each page, when it is first hidden. */
  vitals?: boolean;
  /** Names of query parameters that may be part of a recorded url. None by default. */
  query?: string[];
}

/** Options of a client. */
export interface Options {
  /** The address of the server, such as "https://eye.example.com". */
  url: string;
  /** A write key. In a page it should name the origins of the site. */
  key: string;
  /** How many events wait at most. Default 10,000. */
  queueEvents?: number;
  /** How large they are together at most, in bytes. Default 16 MiB. */
  queueBytes?: number;
  /** How many events a request has at most. Default 200. */
  batchEvents?: number;
  /**
   * How large a request is at most, in bytes; a larger event goes alone. Default 1 MiB, in a browser
   * 60,000.
   */
  batchBytes?: number;
  /** How long an event waits for others, in milliseconds. Default 500. */
  batchDelay?: number;
  /** After how many milliseconds without an answer a request has failed. Default 30,000. */
  requestTimeout?: number;
  /**
   * The session of events that name none, made by default. In a browser it implies
   * `session: "memory"`.
   */
  sessionId?: string;
  /** Merged into the data of each event, whose own members win. Read at every call. */
  commonData?: Record<string, unknown>;
  /** Changes an event, or drops it by returning null. It is called within track. */
  beforeSend?: (event: Event) => Event | null;
  /** Called after an error, never within track. */
  onError?: (error: EyeError) => void;
  /**
   * Called with the reason when a request has failed and is repeated, again when the reason changes,
   * and with undefined when the server answers again. No event is lost.
   */
  onOutage?: (reason: string | undefined) => void;
  /** Called for each event that the server rejected. */
  onRejected?: (rejection: Rejection) => void;

  /**
   * Browsers: who shares a session. "browser" (the default): all tabs of the site; "tab": the pages
   * of a tab; either ends after 30 minutes without an event, and after 24 hours. "memory": a page.
   */
  session?: "browser" | "tab" | "memory";
  /**
   * Browsers: keeps the session in a cookie theeye_session of this domain, so that subdomains and
   * servers share it; with `session: "browser"`.
   */
  cookieDomain?: string;
  /**
   * Browsers: the name of the IndexedDB database that keeps events until they are settled; false
   * for memory alone. Default "theeye". Clients of one site that send to several applications need
   * a name each.
   */
  storage?: string | false;
  /** Browsers: events that the page records by itself. True for all kinds; none by default. */
  autocapture?: boolean | Autocapture;
  /** Browsers: true to record also when a program drives the browser (navigator.webdriver). */
  webdriver?: boolean;
}
