// Text of others. It is shown as text, and copied as it was sent. What would change the direction of
// a line, or cannot be seen, is shown as a mark beside it.

const hidden = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Piece is a part of a text: seen as it is, or a character that nobody would see. */
export interface Piece {
  text: string;
  hidden?: string;
}

/** pieces splits a text before and after characters that cannot be seen. */
export function pieces(text: string): Piece[] {
  const out: Piece[] = [];
  let at = 0;
  for (const m of text.matchAll(hidden)) {
    if (m.index > at) out.push({ text: text.slice(at, m.index) });
    out.push({ text: m[0], hidden: `U+${m[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}` });
    at = m.index + m[0].length;
  }
  if (at < text.length) out.push({ text: text.slice(at) });
  return out;
}

/** cut shortens a text to a number of code units, not within a pair, and tells what is left. */
export function cut(text: string, most: number): { text: string; left: number } {
  if (text.length <= most) return { text, left: 0 };
  let end = most;
  const c = text.charCodeAt(end - 1);
  if (c >= 0xd800 && c < 0xdc00) end--;
  return { text: text.slice(0, end), left: text.length - end };
}

/** oneLine is a text for titles: without what changes its direction, and short. */
export function oneLine(text: string, most = 80): string {
  const plain = text.replace(hidden, "").replace(/\s+/g, " ");
  const c = cut(plain, most);
  return c.left ? `${c.text}…` : c.text;
}
