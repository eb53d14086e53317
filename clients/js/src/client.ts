import { Clock, type Era } from "./clock.js";
import { byteLength, encode } from "./encode.js";
import { randomHex, uuid } from "./ids.js";
import type { ErrorCode, Event, EyeError, Options, Rejection, Stats } from "./options.js";
import type { Answer, Platform, Post } from "./platform.js";

/** How many sessions a client counts before it takes a new sender and counts anew. */
const maxSessions = 100_000;

/** The longest Retry-After that is followed, in milliseconds. */
const maxRetryAfter = 300_000;

/** Entry is an event that waits. */
export interface Entry {
  readonly key: string; // names it in a store
  readonly json: string;
  readonly bytes: number;
  readonly era: Era;
  readonly since: number; // on the monotonic clock
}

/** Keeper keeps events beyond the life of a client. */
export interface Keeper {
  put(entry: Entry): void;
  remove(keys: string[]): void;
}

/** The options of a client with their defaults. */
export type Settings = Required<Pick<Options, "url" | "key" | "queueEvents" | "queueBytes" | "batchEvents" | "batchBytes" | "batchDelay" | "requestTimeout">>
  & { [name in "onError" | "onRejected" | "onOutage"]: Options[name] | undefined };

/** envelope returns the body of a request. */
export const envelope = (sentAt: string, entries: Entry[]) =>
  `{"sent_at":"${sentAt}","events":[${entries.map((e) => e.json).join()}]}`;

const envelopeBytes = envelope(" ".repeat(27), []).length;

/** bodyBytes returns how large the body of entries is, or a little more. */
export const bodyBytes = (entries: Entry[]) => entries.reduce((sum, e) => sum + e.bytes + 1, envelopeBytes);

/** Client queues encoded events and sends them in their order, one request at a time. */
export class Client {
  readonly clock: Clock;
  readonly #settings: Settings;
  readonly #platform: Platform;
  readonly #post: Post;
  #keeper: Keeper | undefined;

  sender = randomHex(8);
  readonly #seqs = new Map<string, number>(); // by session

  // The queue: the batch that is being sent, batches that follow it because of 413, and the rest.
  #sending: Entry[] | undefined;
  #split: Entry[][] = [];
  #waiting: Entry[] = [];
  #waitingBytes = envelopeBytes;

  // Events enter and leave the queue in the same order; these count them.
  #entered = 0;
  #left = 0;
  #flushTo = 0; // events up to this number are sent without delay
  readonly #flushes = new Set<{ to: number; end: (settled: boolean) => void }>();

  #running = false;
  #failures = 0; // of requests, since one succeeded
  #answered = false; // whether the latest request was
  #closed = false; // takes no more events
  #ended: Promise<boolean> | undefined;
  #stopped = false; // sends no more
  #unauthorized = false;
  #cancelTimer = () => {};
  #endPause = () => {};
  #abort = () => {};

  #overflow = 0; // events dropped and not yet reported
  readonly #stats = { accepted: 0, rejected: 0, dropped: 0, queuedBytes: 0, lastFailure: undefined as string | undefined };

  constructor(settings: Settings, platform: Platform) {
    this.#settings = settings;
    this.#platform = platform;
    this.#post = platform.post(settings.url, settings.key);
    this.clock = new Clock(platform);
  }

  get stats(): Stats {
    return { ...this.#stats, queued: this.#entered - this.#left };
  }

  /** keep gives every event from now on to a keeper until it is settled. */
  keep(keeper: Keeper): void {
    this.#keeper = keeper;
  }

  track(event: Event): void {
    if (this.#closed) {
      this.#drop("closed", "the client was closed", 1);
      return;
    }
    const era = this.clock.era();
    const now = this.#platform.now();
    let entry: Entry;
    try {
      const key = uuid(now);
      const json = this.#encode(event, key);
      entry = { key, json, bytes: byteLength(json), era, since: this.#platform.monotonic() };
    } catch (error) {
      this.unserializable(error);
      return;
    }
    if (!this.#enter(entry)) {
      this.#stats.dropped++;
      if (this.#overflow++ === 0) this.#platform.after(1000, () => this.#reportOverflow());
      return;
    }
    this.#keeper?.put(entry);
    this.#schedule();
  }

  /** unserializable reports an event that could not be encoded. */
  unserializable(error: unknown): void {
    this.#drop("unserializable", `the event could not be encoded: ${(error as Error | undefined)?.message}`, 1);
  }

  /** adopt queues a stored event of another client. It reports whether there was room. */
  adopt(key: string, json: string): boolean {
    if (this.#closed) return false;
    const entered = this.#enter({ key, json, bytes: byteLength(json), era: this.clock.era(), since: this.#platform.monotonic() });
    this.#schedule();
    return entered;
  }

  /**
   * unsettled returns the queue, with or without the batch that is being sent; nothing when nothing
   * may be sent.
   */
  unsettled(withSending: boolean): Entry[] {
    return this.#unauthorized ? [] : this.#all(withSending);
  }

  /**
   * wake ends the delay before a retry, unless the server has answered, so that it may want the
   * delay. With restart it ends a request that is under way, too.
   */
  wake(restart = false): void {
    if (restart) this.#abort();
    if (!this.#answered) this.#endPause();
    this.#schedule();
  }

  /** discard forgets everything in the queue without a report. */
  discard(): void {
    const entries = this.#all(true);
    this.#sending = undefined;
    this.#split = [];
    this.#waiting = [];
    this.#waitingBytes = envelopeBytes;
    this.#abort();
    this.#endPause();
    this.#settle(entries);
  }

  async flush(timeout?: number | null): Promise<boolean> {
    if (this.#entered === this.#left) return true;
    if (this.#unauthorized || this.#stopped) return false;
    const to = (this.#flushTo = this.#entered);
    return new Promise((resolve) => {
      const release = this.#platform.hold();
      const flush = {
        to,
        end: (settled: boolean) => {
          this.#flushes.delete(flush);
          cancel();
          release();
          resolve(settled);
        },
      };
      const cancel = timeout == null ? () => {} : this.#platform.after(timeout, () => flush.end(false));
      this.#flushes.add(flush);
      this.#schedule();
    });
  }

  close(timeout: number | null): Promise<boolean> {
    this.#closed = true;
    return (this.#ended ??= this.flush(timeout).then((settled) => {
      this.#stopped = true;
      this.#cancelTimer();
      this.#reportOverflow();
      const unsent = this.#entered - this.#left;
      for (const flush of this.#flushes) flush.end(false);
      this.#keeper = undefined; // it keeps what is left for another client
      this.discard();
      if (unsent > 0) this.#drop("unsent", this.#stats.lastFailure ?? "the client was closed", unsent);
      return settled;
    }));
  }

  #encode({ id, sessionId, category, name, data, timestamp }: Event, key: string): string {
    const head = encode({ id: id ?? key, session_id: sessionId, category, name }).slice(0, -1);
    const body = encode(data);
    if (body[0] !== "{") throw TypeError("data is not an object");
    const time = timestamp === undefined ? `"${this.clock.timestamp()}"` : encode(timestamp);
    // What cannot be encoded has thrown by now, and takes no number.
    return `${head},"data":${body},"timestamp":${time},"seq":${this.#next(sessionId)},"sender":"${this.sender}"}`;
  }

  /** next returns the number of the next event of a session. */
  #next(session: string): number {
    let seq = this.#seqs.get(session);
    if (seq === undefined && this.#seqs.size >= maxSessions) {
      this.#seqs.clear();
      this.sender = randomHex(8);
    }
    seq = (seq ?? 0) + 1;
    this.#seqs.set(session, seq);
    return seq;
  }

  #all(withSending: boolean): Entry[] {
    return [...((withSending && this.#sending) || []), ...[...this.#split].reverse().flat(), ...this.#waiting];
  }

  #enter(entry: Entry): boolean {
    const { queueEvents, queueBytes } = this.#settings;
    if (this.#entered - this.#left >= queueEvents || this.#stats.queuedBytes + entry.bytes > queueBytes) return false;
    this.#entered++;
    this.#stats.queuedBytes += entry.bytes;
    this.#waiting.push(entry);
    this.#waitingBytes += entry.bytes + 1;
    return true;
  }

  #settle(entries: Entry[]): void {
    this.#left += entries.length;
    for (const entry of entries) this.#stats.queuedBytes -= entry.bytes;
    if (entries.length > 0) this.#keeper?.remove(entries.map((e) => e.key));
    for (const flush of this.#flushes) if (flush.to <= this.#left) flush.end(true);
  }

  /** schedule sends when a batch is due, now or after the delay. */
  #schedule(): void {
    if (this.#running || this.#stopped || this.#unauthorized) return;
    const due = this.#due();
    if (due === undefined) return;
    this.#cancelTimer();
    if (due > 0) {
      this.#cancelTimer = this.#platform.after(due, () => this.#schedule());
      return;
    }
    this.#running = true;
    void this.#run();
  }

  /** due returns in how many milliseconds the next batch is to be sent, if there is one. */
  #due(): number | undefined {
    const first = this.#waiting[0];
    if (this.#split.length > 0) return 0;
    if (!first) return undefined;
    const { batchEvents, batchBytes, batchDelay } = this.#settings;
    if (this.#flushTo > this.#left || this.#waiting.length >= batchEvents || this.#waitingBytes > batchBytes) return 0;
    return first.since + batchDelay - this.#platform.monotonic();
  }

  async #run(): Promise<void> {
    while (!this.#stopped && !this.#unauthorized && (this.#sending || (this.#due() ?? 1) <= 0)) {
      await this.#deliver((this.#sending ??= this.#split.pop() ?? this.#cut()));
    }
    this.#running = false;
    this.#schedule();
  }

  /** cut takes the next batch from the queue: events of one era within the bounds of a request. */
  #cut(): Entry[] {
    const { batchEvents, batchBytes } = this.#settings;
    const era = this.#waiting[0]!.era;
    let n = 0;
    let bytes = envelopeBytes;
    for (const entry of this.#waiting) {
      bytes += entry.bytes + 1;
      if (n === batchEvents || entry.era !== era || (n > 0 && bytes > batchBytes)) break;
      n++;
    }
    const batch = this.#waiting.splice(0, n);
    for (const entry of batch) this.#waitingBytes -= entry.bytes + 1;
    return batch;
  }

  /** deliver makes one attempt to send a batch, and waits when there is to be another. */
  async #deliver(batch: Entry[]): Promise<void> {
    const answer = await this.#attempt(batch);
    if (this.#sending !== batch) return; // discarded
    const { status, body } = answer;
    this.#answered = status > 0;
    const document = parse(body);
    const receipt = status < 300 && typeof document?.received === "number" ? document : undefined;
    const again = !receipt && (status < 400 || status === 408 || status === 429 || status >= 500);
    const said = status ? `the server answered ${status}: ${document?.detail ?? "no reason given"}` : body;
    const message = said.replaceAll(this.#settings.key, "[key]");
    const failure = again ? message : undefined;
    if (failure !== this.#stats.lastFailure) call(this.#settings.onOutage, (this.#stats.lastFailure = failure));
    if (again) return this.#pause(this.#delay(answer));
    this.#failures = 0;
    this.#sending = undefined;
    if (receipt) {
      this.#accept(batch, receipt);
    } else if (status === 401 || status === 403) {
      this.#split.push(batch);
      this.#unauthorized = true;
      this.report("unauthorized", `the key was refused: ${message}`, this.#entered - this.#left);
      for (const flush of this.#flushes) flush.end(false);
    } else if (status === 413 && batch.length > 1) {
      const half = batch.length >> 1;
      this.#split.push(batch.slice(half), batch.slice(0, half));
    } else {
      this.#settle(batch);
      this.#drop(status === 413 ? "too_large" : "refused", message, batch.length);
    }
  }

  /** attempt returns the answer to one request. Without one, its status is 0 and its body the reason. */
  async #attempt(batch: Entry[]): Promise<Answer> {
    const controller = new AbortController();
    this.#abort = () => controller.abort();
    const cancel = this.#platform.after(this.#settings.requestTimeout, this.#abort);
    try {
      const body = envelope(this.clock.sentAt(batch[0]!.era), batch);
      return await new Promise<Answer>((resolve, reject) => {
        controller.signal.onabort = reject;
        this.#post(body, controller.signal).then(resolve, reject);
      });
    } catch (error) {
      return { status: 0, body: (error as Error).message ?? "no answer", header: () => null };
    } finally {
      cancel();
      this.#abort = () => {};
    }
  }

  /** delay returns how long to wait before the next attempt, in milliseconds. */
  #delay(answer: Answer): number {
    const delay = Math.min(10_000, 200 * 2 ** this.#failures++) * (0.5 + this.#platform.random() / 2);
    const after = answer.header("retry-after");
    if (!after) return delay;
    let ms = Number(after) * 1000;
    if (Number.isNaN(ms)) ms = Date.parse(after) - (Date.parse(answer.header("date") ?? "") || this.#platform.now());
    return ms > 0 ? Math.min(ms, maxRetryAfter) : delay;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#endPause = resolve;
      this.#platform.after(ms, resolve);
    });
  }

  #accept(batch: Entry[], receipt: Document): void {
    let rejected = 0;
    for (const item of Array.isArray(receipt.events) ? receipt.events : []) {
      const entry = batch[item?.index];
      if (!entry || item.status !== "rejected") continue;
      rejected++;
      call(this.#settings.onRejected, { id: item.id, event: JSON.parse(entry.json), problems: item.problems ?? [] });
    }
    this.#stats.rejected += rejected;
    this.#stats.accepted += batch.length - rejected;
    this.#settle(batch);
  }

  #drop(code: ErrorCode, message: string, events: number): void {
    this.#stats.dropped += events;
    this.report(code, message, events);
  }

  #reportOverflow(): void {
    if (this.#overflow > 0) this.report("queue_full", "the queue had no room", this.#overflow);
    this.#overflow = 0;
  }

  /** report calls onError. */
  report(code: ErrorCode, message: string, events: number): void {
    call<EyeError>(this.#settings.onError, { code, message, events });
  }
}

/** What the server answers: what became of the events of a request, or what is wrong with it. */
interface Document {
  received?: unknown;
  events?: { index: number; id: string; status: string; problems?: Rejection["problems"] }[];
  detail?: unknown;
}

/** parse reads the body of an answer, undefined when it is not JSON: that of a proxy. */
function parse(body: string): Document | undefined {
  try {
    return JSON.parse(body) as Document;
  } catch {
    return undefined;
  }
}

/** call calls a callback, if there is one, after the current work. What it throws is nobody's concern here. */
function call<T>(callback: ((value: T) => unknown) | undefined, value: T): void {
  Promise.resolve(value).then(callback).catch(() => {});
}
