/** Answer is what a server answered to a request. */
export interface Answer {
  status: number;
  body: string;
  /** header returns a header, null when it is absent or may not be read. */
  header(name: string): string | null;
}

/** Post sends a body. It fails when there is no answer, or when the signal is aborted. */
export type Post = (body: string, signal: AbortSignal) => Promise<Answer>;

/** Platform is the world of a client. Tests put virtual time in its place. */
export interface Platform {
  /** The wall clock, in milliseconds since 1970. */
  now(): number;
  /** A clock that nobody sets, in milliseconds. */
  monotonic(): number;
  /** A number from 0 to 1. */
  random(): number;
  /** Calls f after a time in milliseconds, unless the returned function is called before. */
  after(ms: number, f: () => void): () => void;
  /** Keeps the process alive until the returned function is called. */
  hold(): () => void;
  /** Calls f when the process has nothing left to do; the returned function ends that. */
  beforeExit(f: () => void): () => void;
  /** Returns a Post to a server. */
  post(url: string, key: string): Post;
}

/** server returns the platform of Node.js, and of others that have fetch and no document. */
export function server(): Platform {
  return {
    ...browser((url, key) => async (text, signal) => {
      const headers: Record<string, string> = { authorization: `Bearer ${key}`, "content-type": "application/json" };
      let body: Uint8Array<ArrayBuffer> = new TextEncoder().encode(text);
      if (body.length >= 1024) {
        body = await gzip(body);
        headers["content-encoding"] = "gzip";
      }
      return request(`${url}/v1/events?quiet=1`, { headers, body, signal }).catch((error: Error) => {
        throw (error.cause as Error | undefined)?.message ? error.cause : error; // fetch itself says only that it failed
      });
    }),
    after(ms, f) {
      const timer = setTimeout(f, ms) as NodeJS.Timeout | number;
      if (typeof timer === "object") timer.unref();
      return () => clearTimeout(timer);
    },
    hold() {
      const timer = setInterval(() => {}, 2 ** 30);
      return () => clearInterval(timer);
    },
    beforeExit(f) {
      globalThis.process?.on("beforeExit", f);
      return () => globalThis.process?.off("beforeExit", f);
    },
  };
}

async function gzip(body: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const packed = new Blob([body]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}

/** browser is the platform of a page, whose requests take the given way. */
export function browser(post: Platform["post"]): Platform {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    random: Math.random,
    after(ms, f) {
      const timer = setTimeout(f, ms);
      return () => clearTimeout(timer);
    },
    hold: () => () => {},
    beforeExit: () => () => {},
    post,
  };
}

/** request posts and reads the answer. A redirect is not followed, and is none. */
export async function request(url: string, init: RequestInit): Promise<Answer> {
  const answer = await fetch(url, { ...init, method: "POST", redirect: "manual" });
  return {
    status: answer.status,
    body: answer.type === "opaqueredirect" ? "the server redirects" : await answer.text(),
    header: (name) => answer.headers.get(name),
  };
}
