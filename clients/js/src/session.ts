import { timeOf, uuid } from "./ids.js";

/** Sessions knows the session that a page is in. */
export interface Sessions {
  current(): string;
  set(id: string): void;
}

/** memorySessions returns the session of a process or of a page. */
export const memorySessions = (id: string): Sessions => ({
  current: () => id,
  set: (other) => void (id = other),
});

const name = "theeye_session";
const minute = 60_000;
const idle = 30 * minute;
const longest = 24 * 60 * minute;

/** How often the last use of a session is written down, in milliseconds. */
const precision = 5000;

/**
 * The session in a storage, and in a cookie when it has a domain. Where neither can be used, it is
 * in memory.
 */
export class StoredSessions implements Sessions {
  readonly #storage: Storage | undefined;
  readonly #domain: string | undefined;
  #id = "";
  #began = 0;
  #used = 0;

  constructor(storage: Storage | undefined, domain: string | undefined) {
    this.#storage = storage;
    this.#domain = domain;
  }

  current(): string {
    const now = Date.now();
    this.#read();
    if (Math.abs(now - this.#used) < precision) return this.#id;
    const shared = this.#cookie();
    if (shared !== undefined) {
      if (shared !== this.#id) this.#began = timeOf(shared) ?? now;
      this.#id = shared;
      this.#used = now; // the cookie lasts as long as a session may be idle
    }
    if (!this.#id || now - this.#used > idle || now - this.#began > longest) {
      this.#id = uuid(now);
      this.#began = now;
    }
    this.#write(now);
    return this.#id;
  }

  set(id: string): void {
    this.#id = id;
    this.#began = Date.now();
    this.#write(this.#began);
  }

  #read(): void {
    try {
      const found = /^(\d+) (\d+) (.+)$/s.exec(this.#storage?.getItem(name) ?? "");
      if (!found) return;
      this.#began = Number(found[1]);
      this.#used = Number(found[2]);
      this.#id = found[3]!;
    } catch {
      // in memory
    }
  }

  #write(now: number): void {
    this.#used = now;
    try {
      this.#storage?.setItem(name, `${this.#began} ${now} ${this.#id}`);
    } catch {
      // in memory
    }
    if (this.#domain === undefined) return;
    const secure = location.protocol === "https:" ? ";secure" : "";
    document.cookie = `${name}=${encodeURIComponent(this.#id)};domain=${this.#domain};path=/;max-age=${idle / 1000};samesite=lax${secure}`;
  }

  #cookie(): string | undefined {
    if (this.#domain === undefined) return undefined;
    const value = new RegExp(`(?:^|; )${name}=([^;]+)`).exec(document.cookie)?.[1];
    try {
      return value && decodeURIComponent(value);
    } catch {
      return undefined; // not written by a client
    }
  }
}
