import { randomHex } from "./ids.js";

/**
 * encode returns a value as JSON. A BigInt becomes a number with all its digits. It throws when the
 * value has no JSON, is circular, or contains text that is not Unicode.
 */
export function encode(value: unknown): string {
  const text = stringify(value);
  if (text === undefined || (text.includes("\\ud") && loneSurrogate.test(text))) throw TypeError("not JSON in Unicode");
  return text;
}

// JSON.stringify writes the half of a surrogate pair as an escape. A backslash of the text itself is
// written as two.
const loneSurrogate = /(?:^|[^\\])(?:\\\\)*\\ud[89a-f]/;

function stringify(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    // Perhaps there is a BigInt. Whatever else it was is thrown again.
    const mark = randomHex(16);
    return JSON.stringify(value, (_, v) => (typeof v === "bigint" ? mark + v : v))
      .replace(RegExp(`"${mark}(-?\\d+)"`, "g"), "$1");
  }
}

const encoder = new TextEncoder();

/** byteLength returns the length of a text in UTF-8. */
export const byteLength = (text: string) => (/[^\0-\x7f]/.test(text) ? encoder.encode(text).length : text.length);
