import { byteLength } from "./encode.js";
import { request, type Answer, type Platform } from "./platform.js";

/**
 * How much a page may have under way when it ends, in bytes. Browsers allow 64 KiB over all
 * keepalive requests and beacons together.
 */
export const keepaliveBytes = 60_000;

/**
 * Wire sends the requests of a page so that no preflight is needed, and so that they outlive the
 * page where browsers allow it. At most one fetch with keepalive is under way.
 */
export class Wire {
  #address = "";
  #fetching = 0; // bytes under way with keepalive
  #beaconed = 0; // bytes of beacons that may be under way
  #failed = false; // whether the latest request failed

  readonly post: Platform["post"] = (url, key) => {
    this.#address = `${url}/v1/events?quiet=1&key=${encodeURIComponent(key)}`;
    return (body, signal) => this.#fetch(body, signal);
  };

  async #fetch(body: string, signal?: AbortSignal): Promise<Answer> {
    const bytes = byteLength(body);
    // Where others have used up what browsers allow, a request with keepalive fails.
    const keepalive = !this.#failed && this.#beaconed === 0 && bytes <= keepaliveBytes;
    if (keepalive) this.#fetching = bytes;
    this.#failed = true;
    try {
      const answer = await request(this.#address, init(body, keepalive, signal));
      this.#failed = false;
      return answer;
    } finally {
      if (keepalive) this.#fetching = 0;
    }
  }

  /** outlives reports whether the request that is under way survives the page. */
  get outlives(): boolean {
    return this.#fetching > 0;
  }

  /** room returns how many bytes beacon takes. */
  get room(): number {
    return keepaliveBytes - this.#fetching - this.#beaconed;
  }

  /**
   * beacon sends a body that outlives the page. Nothing is known of its fate. With discreet, the
   * address of the page is not sent either.
   */
  beacon(body: string, discreet: boolean): void {
    this.#beaconed += byteLength(body);
    if (discreet) fetch(this.#address, { ...init(body, true), method: "POST" }).catch(() => {});
    else navigator.sendBeacon(this.#address, body);
  }

  /** rest forgets earlier beacons: the page has gone on. */
  rest(): void {
    this.#beaconed = 0;
  }
}

function init(body: string, keepalive: boolean, signal?: AbortSignal): RequestInit {
  return { body, keepalive, credentials: "omit", referrerPolicy: "no-referrer", ...(signal && { signal }) };
}
