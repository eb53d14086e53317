import type { Platform } from "./platform.js";

/** How far a clock may be set back before it counts as another clock, in milliseconds. */
const tolerance = 60_000;

/**
 * Era is a time in which the wall clock was not set back by more than the tolerance. `ahead` is how
 * far the wall clock was ahead of the monotonic one at most, in milliseconds.
 */
export interface Era {
  ahead: number;
}

/** Clock makes timestamps that do not run backwards within an era. */
export class Clock {
  readonly #platform: Platform;
  #era: Era;
  #last = 0; // the latest timestamp of the era, in microseconds

  constructor(platform: Platform) {
    this.#platform = platform;
    this.#era = { ahead: platform.now() - platform.monotonic() };
  }

  /** era returns the current era, a new one when the clock has been set back. */
  era(): Era {
    const ahead = this.#platform.now() - this.#platform.monotonic();
    if (ahead < this.#era.ahead - tolerance) {
      this.#era = { ahead };
      this.#last = 0;
    } else if (ahead > this.#era.ahead) {
      this.#era.ahead = ahead;
    }
    return this.#era;
  }

  /** timestamp returns the time of an event that happens now, in the current era. */
  timestamp(): string {
    const now = Math.floor(this.#platform.now() * 1000);
    this.#last = now < this.#last ? this.#last + 1 : now;
    return format(this.#last);
  }

  /** sentAt returns the current time as the clock of an era would show it. */
  sentAt(era: Era): string {
    const now = this.era() === era ? this.#platform.now() : era.ahead + this.#platform.monotonic();
    return format(Math.floor(now * 1000));
  }
}

let second = ""; // the latest second that was formatted, with its text
let prefix = "";

/** format returns a time in microseconds since 1970 as RFC 3339. */
function format(micros: number): string {
  const time = String(micros);
  if (time.slice(0, -6) !== second) {
    second = time.slice(0, -6);
    prefix = new Date(micros / 1000).toISOString().slice(0, 20);
  }
  return `${prefix}${time.slice(-6)}Z`;
}
