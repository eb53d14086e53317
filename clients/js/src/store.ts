import type { Entry, Keeper } from "./client.js";

/** How long a page counts as alive after it was last heard of, in milliseconds. */
const lease = 10_000;

/** How often a page renews its lease while it has events, in milliseconds. */
export const renewal = 3000;

/** How many events of other pages are adopted at a time. */
const portion = 1000;

const events = "events"; // [owner, key of the entry] → JSON
const owners = "owners"; // owner → the end of its lease, in milliseconds since 1970

/**
 * Store keeps the events of a page in IndexedDB until they are settled. Each page load is an owner
 * with a lease. The events of an owner whose lease has ended are adopted by another page, which
 * takes the lease over, so that two pages seldom send the same events. When they do, the server
 * recognizes them by their ids.
 *
 * After a failure the store is not used again: events are then in memory alone.
 */
export class Store implements Keeper {
  readonly #owner: string;
  readonly #bound: number;
  readonly #failed: (message: string) => void;
  readonly #opening: Promise<void>;
  #database: IDBDatabase | undefined;
  #usable = true;
  #transaction: IDBTransaction | undefined; // of the current task
  #early: Entry[] = []; // put before the database was open
  #room: number; // for how many events more
  #renewed = 0; // when the lease was renewed, Infinity after release
  readonly #stored = new Map<string, string>(); // key of an entry, also of adopted ones → owner

  /**
   * bound is about how many events are stored at most, with those of other pages. failed is called
   * once, when events are not stored any more.
   */
  constructor(name: string, owner: string, bound: number, failed: (message: string) => void) {
    this.#owner = owner;
    this.#bound = this.#room = bound;
    this.#failed = failed;
    this.#opening = open(name).then((database) => {
      this.#database = database;
      database.onversionchange = () => database.close();
      for (const entry of this.#early.splice(0)) this.put(entry);
    }).catch((error: unknown) => this.#fail(error));
  }

  /** put stores an event in the current task. */
  put(entry: Entry): void {
    if (!this.#usable || this.#room <= 0) return;
    if (!this.#database) return void this.#early.push(entry);
    this.#room--;
    this.#stored.set(entry.key, this.#owner);
    this.#write((tx) => {
      tx.objectStore(events).put(entry.json, [this.#owner, entry.key]);
      if (Date.now() - this.#renewed > renewal) this.#lease(tx, Date.now() + lease);
    });
  }

  /** remove removes settled events. */
  remove(keys: string[]): void {
    const gone = new Set(keys);
    this.#early = this.#early.filter(({ key }) => !gone.has(key));
    this.#write((tx) => {
      for (const key of keys) {
        const owner = this.#stored.get(key);
        if (!owner) continue; // there was no room
        tx.objectStore(events).delete([owner, key]);
        this.#stored.delete(key);
        this.#room++;
      }
    });
  }

  /** clear removes the events of all pages. */
  async clear(): Promise<void> {
    this.#early = [];
    this.#stored.clear();
    this.#room = this.#bound;
    await this.#opening;
    this.#write((tx) => {
      tx.objectStore(events).clear();
      tx.objectStore(owners).clear();
    });
  }

  /** renew says that the page is alive. */
  renew(): void {
    this.#renewed = 0;
    this.#write((tx) => this.#lease(tx, Date.now() + lease));
  }

  /** release ends the leases until renew, so that another page may adopt what is left. */
  release(): void {
    this.#renewed = Infinity;
    this.#write((tx) => this.#lease(tx, 0));
  }

  /**
   * adopt passes stored events of pages that have ended to enter, which reports whether it has
   * taken one. It reports whether there may be more soon: whether there are other pages.
   */
  async adopt(enter: (key: string, json: string) => boolean): Promise<boolean> {
    await this.#opening;
    let others = false;
    let taken = 0;
    await new Promise<void>((resolve) => {
      const tx = this.#begin();
      if (!tx) return resolve();
      tx.oncomplete = tx.onabort = () => resolve();
      const [stored, leases] = [tx.objectStore(events), tx.objectStore(owners)];
      const count = stored.count();
      count.onsuccess = () => (this.#room = this.#bound - count.result);
      const now = Date.now();
      leases.openCursor().onsuccess = (event) => {
        const cursor = (event.target as IDBRequest<IDBCursorWithValue | null>).result;
        if (!cursor || taken >= portion) return;
        const owner = cursor.key as string;
        if (owner === this.#owner) return cursor.continue();
        others = true;
        if (cursor.value > now && cursor.value <= now + lease) return cursor.continue();
        const range = IDBKeyRange.bound([owner], [owner, []]);
        const keys = stored.getAllKeys(range, portion);
        const texts = stored.getAll(range, portion);
        texts.onsuccess = () => {
          texts.result.forEach((json: string, i) => {
            const key = (keys.result[i] as string[])[1]!;
            if (this.#stored.has(key) || !enter(key, json)) return;
            this.#stored.set(key, owner);
            taken++;
          });
          if (texts.result.length > 0) leases.put(now + lease, owner);
          else leases.delete(owner);
          cursor.continue();
        };
      };
    }).catch((error: unknown) => this.#fail(error));
    return others;
  }

  #lease(tx: IDBTransaction, until: number): void {
    if (until > 0) this.#renewed = Math.max(this.#renewed, Date.now());
    for (const owner of new Set([this.#owner, ...this.#stored.values()])) tx.objectStore(owners).put(until, owner);
  }

  /** write works in the transaction of the current task, which is committed when the task ends. */
  #write(work: (tx: IDBTransaction) => void): void {
    try {
      if (!this.#transaction) {
        const tx = this.#begin();
        if (!tx) return;
        this.#transaction = tx;
        queueMicrotask(() => {
          this.#transaction = undefined;
          // A page that ends cannot wait for a transaction to commit itself.
          if (this.#usable) tx.commit();
        });
      }
      work(this.#transaction);
    } catch (error) {
      this.#fail(error);
    }
  }

  #begin(): IDBTransaction | undefined {
    const tx = this.#usable ? this.#database?.transaction([events, owners], "readwrite") : undefined;
    tx?.addEventListener("abort", () => this.#fail(tx.error));
    return tx;
  }

  #fail(error: unknown): void {
    if (!this.#usable) return;
    this.#usable = false;
    this.#early = [];
    this.#failed(`events are in memory alone: ${(error as Error | null)?.name}`);
  }
}

function open(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(events);
      request.result.createObjectStore(owners);
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
