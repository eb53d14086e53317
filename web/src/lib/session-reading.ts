import type { Event, Gap, Page, Session } from "./model.ts";

/** SessionPage is an answer of the server about one session. */
export interface SessionPage extends Page { session: Session; events: Event[]; missing: Gap[] }

/** Block is a run of consecutive events of a session. */
export interface Block {
  /** The index of the first event in the session; an estimate in a block that was jumped to. */
  at: number;
  events: Event[];
}

/** Read is a block with what continues it: parameters, and a cursor that is null at the end. */
interface Read extends Block {
  params: Record<string, string>;
  next: string | null;
}

interface Jumped extends Read {
  params: { from: string };
  /** The cursor of what comes before, undefined until something was read. */
  before: string | undefined;
}

const iso = (time: number) => new Date(time).toISOString();

/** Two applications may use the same id. */
const same = (a: Event, b: Event) => a.id === b.id && a.app === b.app;

const firstPage = 200;
const pageSize = 1000;
/** What lies within this number of events after or before a block is reached by reading on. */
const near = 2 * pageSize;
/** A jump leaves this number of places for events that come before its time. */
const lead = 20;

/**
 * SessionReading reads the events of a session as far as somebody has looked: from the beginning on,
 * and, after a jump, around another place, which is found by its time. When the two meet, they are
 * one again.
 */
export class SessionReading {
  session: Session | undefined;
  gaps: Gap[] = [];
  readonly #ask: (params: Record<string, string>) => Promise<SessionPage>;
  readonly #changed: () => void;
  #head: Read = { at: 0, events: [], params: {}, next: null };
  #jumped: Jumped | undefined;
  #want: number | { time: string; id: string } = 0;
  #reading = false;

  /** ask gets a page of the session. changed is called after each page. */
  constructor(ask: (params: Record<string, string>) => Promise<SessionPage>, changed: () => void) {
    this.#ask = ask;
    this.#changed = changed;
  }

  get blocks(): Block[] {
    return this.#jumped ? [this.#head, this.#jumped] : [this.#head];
  }

  get total(): number {
    return Math.max(this.session?.events ?? 0, this.blocks.reduce((n, b) => n + b.events.length, 0));
  }

  /** need reads until there is an event at an index. It throws what ask throws. */
  need(index: number): Promise<void> {
    return this.#read(index);
  }

  /** needEvent reads around an event, of which the time is known. It throws what ask throws. */
  needEvent(id: string, time: string): Promise<void> {
    return this.#read({ id, time });
  }

  async #read(want: number | { time: string; id: string }): Promise<void> {
    this.#want = want;
    if (this.#reading) return;
    this.#reading = true;
    try {
      for (let step = this.#step(); step; step = this.#step()) {
        await step();
        this.#changed();
      }
    } finally {
      this.#reading = false;
    }
  }

  /** step returns what has to be done next for what is wanted; undefined when it is there. */
  #step(): (() => Promise<void>) | undefined {
    const head = this.#head;
    const jumped = this.#jumped;
    const want = this.#want;
    if (!this.session) return () => this.#forward(head, firstPage);
    if (head.next === null) return undefined;
    const onward = () => this.#forward(head, pageSize);
    if (typeof want === "object") return this.#stepTo(want.id, Date.parse(want.time), onward);
    if (want < head.events.length) return undefined;
    if (want < head.events.length + near) return onward;
    if (jumped) {
      const end = jumped.at + jumped.events.length;
      if (want >= jumped.at && (want < end || jumped.next === null)) return undefined;
      if (want >= end && want < end + near) return () => this.#forward(jumped, pageSize);
      if (want < jumped.at && want >= jumped.at - near) return () => this.#backward(jumped);
    }
    const time = Math.max(this.#timeAt(want), this.#headEnd + 1); // the beginning is never read twice
    return time > Date.parse(this.session.ended_at) ? onward : () => this.#jump(time, want - lead);
  }

  #stepTo(id: string, time: number, onward: () => Promise<void>): (() => Promise<void>) | undefined {
    if (this.blocks.some((b) => b.events.some((e) => e.id === id)) || time < this.#headEnd) return undefined;
    if (time === this.#headEnd) return onward;
    const jumped = this.#jumped;
    if (jumped?.params.from !== iso(time)) return () => this.#jump(time, this.#indexAt(time));
    const passed = jumped.next === null || Date.parse(jumped.events.at(-1)!.occurred_at) > time;
    return passed ? undefined : () => this.#forward(jumped, pageSize);
  }

  /** headEnd is the millisecond of the last event of the first block. */
  get #headEnd(): number {
    return Date.parse(this.#head.events.at(-1)!.occurred_at);
  }

  async #forward(block: Read, limit: number): Promise<void> {
    const page = await this.#page(block.next === null ? block.params : { ...block.params, cursor: block.next }, limit);
    const jumped = this.#jumped;
    const met = jumped && block === this.#head ? page.events.findIndex((e) => same(e, jumped.events[0]!)) : -1;
    if (jumped && met >= 0) {
      block.events.push(...page.events.slice(0, met));
      this.#join(jumped);
      return;
    }
    block.events.push(...page.events);
    block.next = page.next_cursor;
    this.#settle();
  }

  async #backward(jumped: Jumped): Promise<void> {
    const page = await this.#page({ to: jumped.params.from, order: "desc", ...(jumped.before === undefined ? {} : { cursor: jumped.before }) }, pageSize);
    const last = this.#head.events.at(-1)!;
    const met = page.events.findIndex((e) => same(e, last));
    const fresh = (met >= 0 ? page.events.slice(0, met) : page.events).reverse();
    jumped.events.unshift(...fresh);
    jumped.at -= fresh.length;
    jumped.before = page.next_cursor ?? undefined;
    if (met >= 0 || page.next_cursor === null) this.#join(jumped);
    else this.#settle();
  }

  async #jump(time: number, at: number): Promise<void> {
    const from = iso(time);
    const page = await this.#page({ from }, pageSize);
    if (page.events.length === 0) { // they have been erased meanwhile
      this.#want = -1;
      return;
    }
    this.#jumped = { at, events: page.events, params: { from }, next: page.next_cursor, before: undefined };
    this.#settle();
  }

  async #page(params: Record<string, string>, limit: number): Promise<SessionPage> {
    const page = await this.#ask({ limit: String(limit), ...params });
    this.session ??= page.session;
    const known = new Set(this.gaps.map((g) => `${g.before} ${g.sender} ${g.from_seq}`));
    this.gaps.push(...page.missing.filter((g) => !known.has(`${g.before} ${g.sender} ${g.from_seq}`)));
    return page;
  }

  /** join makes one block of the beginning and the block that was jumped to, which it has reached. */
  #join(jumped: Jumped): void {
    this.#head.events.push(...jumped.events);
    Object.assign(this.#head, { params: jumped.params, next: jumped.next });
    this.#jumped = undefined;
  }

  /** settle keeps the block that was jumped to between the beginning and the end. */
  #settle(): void {
    const jumped = this.#jumped;
    if (!jumped || !this.session) return;
    const room = this.session.events - jumped.events.length;
    if (jumped.next === null) jumped.at = room;
    jumped.at = Math.max(this.#head.events.length + 1, Math.min(jumped.at, room - (jumped.next === null ? 0 : 1)));
  }

  #span(): { start: number; length: number } {
    const start = Date.parse(this.session!.started_at);
    return { start, length: Date.parse(this.session!.ended_at) - start };
  }

  /** timeAt estimates the time of an event from its index, in ms. */
  #timeAt(index: number): number {
    const { start, length } = this.#span();
    return start + Math.floor((length * Math.min(index, this.session!.events)) / this.session!.events);
  }

  #indexAt(time: number): number {
    const { start, length } = this.#span();
    return Math.floor(((time - start) / Math.max(length, 1)) * this.session!.events);
  }
}
