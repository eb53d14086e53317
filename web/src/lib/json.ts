// JSON as it was sent. JSON.parse loses what people who look for a mistake need to see: the digits of
// a number, the order of keys, keys that occur twice. This parser keeps the text.

/** Raw is a JSON text inside a larger one. */
export class Raw {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }

  /** parsed is the value, with what JSON.parse loses. */
  get parsed(): unknown {
    return JSON.parse(this.text);
  }

  toString(): string {
    return this.text;
  }
}

/** Names of the members whose values parse returns as Raw. */
export type Kept = ReadonlySet<string>;

/** parse returns the value of a JSON text. The values of members with a kept name are Raw. */
export function parse(text: string, kept: Kept): unknown {
  const s = new Scanner(text);
  const value = read(s, kept);
  s.end();
  return value;
}

function read(s: Scanner, kept: Kept): unknown {
  const c = s.peek();
  if (c === "{") {
    const out: Record<string, unknown> = {};
    s.members((key) => {
      if (kept.has(key)) {
        const start = s.at;
        s.skip();
        define(out, key, new Raw(s.text.slice(start, s.at)));
      } else {
        define(out, key, read(s, kept));
      }
    });
    return out;
  }
  if (c === "[") {
    const out: unknown[] = [];
    s.elements(() => out.push(read(s, kept)));
    return out;
  }
  const start = s.at;
  s.skip();
  return JSON.parse(s.text.slice(start, s.at));
}

/** define sets a member also if its name is __proto__. */
function define(out: object, key: string, value: unknown): void {
  Object.defineProperty(out, key, { value, enumerable: true, configurable: true, writable: true });
}

/** Scanner walks through a JSON text. It throws a SyntaxError where the text is not JSON. */
export class Scanner {
  readonly text: string;
  at = 0;

  constructor(text: string) {
    this.text = text;
    this.space();
  }

  peek(): string {
    return this.text.charAt(this.at);
  }

  end(): void {
    this.space();
    if (this.at < this.text.length) this.fail();
  }

  fail(): never {
    throw new SyntaxError(`not JSON at offset ${this.at}`);
  }

  space(): void {
    for (;;) {
      const c = this.text.charCodeAt(this.at);
      if (c !== 32 && c !== 10 && c !== 13 && c !== 9) return;
      this.at++;
    }
  }

  /** members calls member with each key of an object, at the beginning of its value. */
  members(member: (key: string, keyText: string) => void): void {
    this.at++;
    this.space();
    if (this.peek() === "}") {
      this.at++;
      return;
    }
    for (;;) {
      const start = this.at;
      if (this.peek() !== '"') this.fail();
      this.string();
      const keyText = this.text.slice(start, this.at);
      this.space();
      this.expect(":");
      this.space();
      member(JSON.parse(keyText) as string, keyText);
      this.space();
      if (this.next() === "}") return;
      if (this.text.charAt(this.at - 1) !== ",") this.fail();
      this.space();
    }
  }

  elements(element: () => void): void {
    this.at++;
    this.space();
    if (this.peek() === "]") {
      this.at++;
      return;
    }
    for (;;) {
      element();
      this.space();
      if (this.next() === "]") return;
      if (this.text.charAt(this.at - 1) !== ",") this.fail();
      this.space();
    }
  }

  /** skip passes over a value. */
  skip(): void {
    const c = this.peek();
    if (c === "{") this.members(() => this.skip());
    else if (c === "[") this.elements(() => this.skip());
    else if (c === '"') this.string();
    else this.word();
  }

  private next(): string {
    return this.text.charAt(this.at++);
  }

  private expect(c: string): void {
    if (this.next() !== c) this.fail();
  }

  private string(): void {
    for (let i = this.at + 1; i < this.text.length; i++) {
      const c = this.text.charCodeAt(i);
      if (c === 34) {
        this.at = i + 1;
        return;
      }
      if (c === 92) i++;
    }
    this.at = this.text.length;
    this.fail();
  }

  private word(): void {
    const start = this.at;
    while (this.at < this.text.length && !/[\s,\]}:]/.test(this.text.charAt(this.at))) this.at++;
    if (this.at === start) this.fail();
  }
}
