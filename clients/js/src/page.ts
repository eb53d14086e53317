import { bodyBytes, envelope, type Client, type Entry } from "./client.js";
import { renewal, Store } from "./store.js";
import type { Wire } from "./wire.js";

/** How often events of other pages are looked for, in milliseconds, while there are such pages. */
const soon = 5000;

/** The same while there are none. */
const seldom = 60_000;

/** What a page does with its events. */
export interface PageOptions {
  /** The name of the database, undefined for none. */
  storage: string | undefined;
  /** How many events the database holds. */
  bound: number;
  /** Whether the address of the page is kept from the server. */
  discreet: boolean;
  /** Reports whether nothing may be sent because of optOut, in this page or in another. */
  quiet: () => boolean;
}

/** Page carries the events of a client over the end of its page. */
export class Page {
  readonly #client: Client;
  readonly #wire: Wire;
  readonly #options: PageOptions;
  readonly #store: Store | undefined;
  readonly #listening = new AbortController();
  #beaconed = new Set<Entry>(); // since the page was last shown
  #timer: ReturnType<typeof setTimeout> | undefined;
  #busy = false; // whether the next tick renews the lease

  constructor(client: Client, wire: Wire, options: PageOptions) {
    this.#client = client;
    this.#wire = wire;
    this.#options = options;
    if (options.storage !== undefined) {
      const store = new Store(options.storage, client.sender, options.bound, (message) => client.report("storage", message, client.stats.queued));
      this.#store = store;
      client.keep({
        put: (entry) => {
          store.put(entry);
          if (!this.#busy) this.#tickIn(renewal);
          this.#busy = true;
        },
        remove: (keys) => store.remove(keys),
      });
      void this.#adopt();
    }
  }

  /** listen follows the page from now on. Listeners of its end that track events come before it. */
  listen(): void {
    const listen = (target: EventTarget, type: string, f: (event: Event) => void) =>
      target.addEventListener(type, f, { signal: this.#listening.signal });
    listen(document, "visibilitychange", () => (document.visibilityState === "hidden" ? this.#hide() : this.#show(false)));
    listen(window, "pagehide", () => {
      this.#hide();
      this.#store?.release();
    });
    listen(window, "pageshow", (event) => (event as PageTransitionEvent).persisted && this.#show(true));
    listen(window, "online", () => this.#client.wake());
    listen(window, "storage", () => this.#options.quiet() && this.#client.discard());
  }

  /** forget removes stored events, those of other pages too. */
  forget(): void {
    void this.#store?.clear();
  }

  /** close leaves what is stored to other pages. */
  close(): void {
    this.#listening.abort();
    clearTimeout(this.#timer);
    this.#store?.release();
  }

  /** hide beacons what fits: the page may end without another word. */
  #hide(): void {
    const batch: Entry[] = [];
    for (const entry of this.#client.unsettled(!this.#wire.outlives)) {
      if (this.#beaconed.has(entry)) continue;
      if (entry.era !== (batch[0] ?? entry).era || bodyBytes([...batch, entry]) > this.#wire.room) break;
      batch.push(entry);
    }
    if (batch.length === 0) return;
    for (const entry of batch) this.#beaconed.add(entry);
    this.#wire.beacon(envelope(this.#client.clock.sentAt(batch[0]!.era), batch), this.#options.discreet);
  }

  /** show goes on, after the back/forward cache with requests that it may have cut. */
  #show(restored: boolean): void {
    this.#wire.rest();
    this.#beaconed.clear();
    this.#client.wake(restored);
    this.#store?.renew();
    if (this.#store) this.#tickIn(0);
  }

  #tickIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tick(), ms);
  }

  #tick(): void {
    this.#busy = this.#client.stats.queued > 0;
    if (this.#busy) {
      this.#store?.renew();
      this.#tickIn(renewal);
    } else {
      void this.#adopt();
    }
  }

  async #adopt(): Promise<void> {
    const others = await this.#store?.adopt((key, json) => !this.#options.quiet() && this.#client.adopt(key, json));
    if (this.#listening.signal.aborted) return;
    this.#busy = this.#client.stats.queued > 0;
    this.#tickIn(this.#busy ? renewal : others ? soon : seldom);
  }
}
