import { autocapture } from "./autocapture.js";
import { Client, type Settings } from "./client.js";
import { uuid } from "./ids.js";
import type { Autocapture, Event, Options, Stats, TrackOptions, Wait } from "./options.js";
import { Page } from "./page.js";
import { browser, server, type Platform } from "./platform.js";
import { memorySessions, StoredSessions, type Sessions } from "./session.js";
import { keepaliveBytes, Wire } from "./wire.js";

const optedOut = "theeye_optout";

/**
 * Eye sends events to a server of The Eye. It works in pages and in Node.js. No method throws, and
 * none but flush and close takes longer than its own work.
 */
export class Eye {
  readonly #client: Client;
  readonly #sessions: Sessions;
  readonly #options: Options;
  readonly #page: Page | undefined;
  readonly #storage: Storage | undefined;
  readonly #automated: boolean;
  readonly #endCapture: () => void;
  readonly #endExit: () => void;
  #silent = false;

  /** Throws a TypeError or a RangeError when an option is not valid. */
  constructor(options: Options);
  /** @internal */
  constructor(options: Options, platform: Platform);
  constructor(options: Options, platform: Platform | undefined = globalThis.document ? undefined : server()) {
    const inPage = !platform;
    const wire = new Wire();
    platform ??= browser(wire.post);
    this.#options = { ...options };
    const [checked, unknown] = settings(options, inPage);
    this.#client = new Client(checked, platform);
    if (unknown) {
      if (options.onError) this.#client.report("options", unknown, 0);
      else console.warn(`theeye: ${unknown}`);
    }
    // Global Privacy Control: nothing is stored, and the page says nothing by itself.
    const discreet = inPage && Boolean((navigator as { globalPrivacyControl?: boolean }).globalPrivacyControl);
    this.#automated = inPage && navigator.webdriver && !options.webdriver;
    this.#storage = inPage ? local("localStorage") : undefined;

    const kind = options.session ?? "browser";
    if (!inPage || discreet || kind === "memory" || options.sessionId !== undefined) {
      this.#sessions = memorySessions(options.sessionId ?? uuid(platform.now()));
    } else if (kind === "tab") {
      this.#sessions = new StoredSessions(local("sessionStorage"), undefined);
    } else {
      this.#sessions = new StoredSessions(this.#storage, options.cookieDomain);
    }

    if (inPage && !this.#automated) {
      const storage = options.storage ?? "theeye";
      this.#page = new Page(this.#client, wire, {
        storage: discreet || storage === false ? undefined : storage,
        bound: options.queueEvents ?? 10_000,
        discreet,
        quiet: () => this.#quiet(),
      });
    }
    const captured = options.autocapture === true ? {} : options.autocapture;
    this.#endCapture = inPage && !discreet && captured && !this.#automated ? autocapture(this, captured) : () => {};
    this.#page?.listen();
    this.#endExit = platform.beforeExit(() => void this.close());
  }

  /** The session of events that name none. */
  get session(): string {
    return this.#sessions.current();
  }

  /** Makes id, of 1 to 200 characters, the session of the events that follow. */
  setSession(id: string): void {
    this.#sessions.set(id);
  }

  /** What became of the events so far. */
  get stats(): Stats {
    return this.#client.stats;
  }

  /**
   * Records an event. It is encoded and queued before the call returns; what the caller changes
   * later does not matter. An event that cannot be encoded, or for which the queue has no room, is
   * dropped and reported to onError.
   */
  track(category: string, name: string, data: object = {}, options: TrackOptions = {}): void {
    if (this.#quiet()) return;
    const { commonData, beforeSend } = this.#options;
    try {
      const { id, sessionId = this.#sessions.current(), timestamp } = options;
      let event: Event | null = { id, sessionId, category, name, data, timestamp };
      if (commonData && isObject(data)) event.data = { ...commonData, ...data };
      if (beforeSend) {
        event = beforeSend(event);
        if (!event) return;
      }
      this.#client.track(event);
    } catch (error) {
      this.#client.unserializable(error);
    }
  }

  /**
   * Sends what is queued without delay, and waits until it is settled. It resolves to false when the
   * timeout in milliseconds (none by default) ends before, when the key is not valid here, and when
   * the client is closed.
   */
  flush({ timeout }: Wait = {}): Promise<boolean> {
    return this.#client.flush(timeout);
  }

  /**
   * Flushes for at most timeout milliseconds (30,000 by default), reports what is left as `unsent`,
   * and ends the client. Stored events are left to the next page. A second call returns the result
   * of the first.
   */
  async close({ timeout = 30_000 }: Wait = {}): Promise<boolean> {
    this.#endExit();
    this.#endCapture();
    const settled = await this.#client.close(timeout);
    this.#page?.close();
    return settled;
  }

  /** Drops what is queued and stored, and records nothing until optIn; a browser remembers it. */
  optOut(): void {
    this.#silent = true;
    this.#client.discard();
    this.#page?.forget();
    attempt(() => this.#storage?.setItem(optedOut, "1"));
  }

  /** Ends optOut. */
  optIn(): void {
    this.#silent = false;
    attempt(() => this.#storage?.removeItem(optedOut));
  }

  /** quiet reports whether nothing is recorded. Another page may have opted out since. */
  #quiet(): boolean {
    return this.#silent || this.#automated || attempt(() => this.#storage?.getItem(optedOut)) === "1";
  }
}

/** settings checks options, and says which of them it does not know. */
function settings(options: Options, inPage: boolean): [Settings, string] {
  const {
    url, key, onError, onRejected, onOutage,
    queueEvents = 10_000, queueBytes = 16 << 20,
    batchEvents = 200, batchBytes = inPage ? keepaliveBytes : 1 << 20, batchDelay = 500,
    requestTimeout = 30_000,
    sessionId, commonData, beforeSend, session = "browser", cookieDomain, storage, autocapture, webdriver,
    ...others
  } = options;
  if (!/^https?:\/\/[^/]/i.test(url)) throw new TypeError("url is not a valid URL of a server");
  if (typeof key !== "string" || key === "") throw new TypeError("key is missing");
  const bounds = { queueEvents, queueBytes, batchEvents, batchBytes, batchDelay, requestTimeout };
  for (const [name, value] of Object.entries(bounds)) {
    const least = name === "batchDelay" ? 0 : 1;
    if (!(value >= least)) throw new RangeError(`${name} must be at least ${least}`);
  }
  const { pageviews, clicks, forms, errors, vitals, query, ...kinds } = Object(autocapture) as Autocapture;
  const unknown = [...Object.keys(others), ...Object.keys(kinds).map((kind) => `autocapture.${kind}`)];
  if (!["browser", "tab", "memory"].includes(session)) unknown.push(`session "${session}"`);
  return [
    { url: url.replace(/\/+$/, ""), key, ...bounds, onError, onRejected, onOutage },
    unknown.length > 0 ? `unknown options: ${unknown.join(", ")}` : "",
  ];
}

const isObject = (value: unknown) => Object(value) === value && !Array.isArray(value);

/** attempt returns undefined when a storage throws. */
function attempt<T>(f: () => T): T | undefined {
  try {
    return f();
  } catch {
    return undefined;
  }
}

const local = (name: "localStorage" | "sessionStorage") => attempt(() => window[name]);
