const hex = Array.from({ length: 256 }, (_, byte) => (byte + 256).toString(16).slice(1));

// getRandomValues is slow for a few bytes at a time.
const pool = new Uint8Array(1024);
let used = pool.length;

/** randomHex returns 2n random hexadecimal digits; n is at most 1024. */
export function randomHex(n: number): string {
  if (used + n > pool.length) {
    crypto.getRandomValues(pool);
    used = 0;
  }
  let text = "";
  for (const end = used + n; used < end; used++) text += hex[pool[used]!];
  return text;
}

/** uuid returns a UUIDv7 (RFC 9562) of a time in milliseconds since 1970. */
export function uuid(now: number): string {
  const time = Math.floor(now).toString(16).padStart(12, "0");
  const random = randomHex(9);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(0, 3)}-8${random.slice(3, 6)}-${random.slice(6)}`;
}

/** timeOf returns the time of a UUIDv7 in milliseconds since 1970, undefined for other texts. */
export function timeOf(id: string): number | undefined {
  const time = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-/.exec(id);
  return time ? parseInt(time[1]! + time[2]!, 16) : undefined;
}
