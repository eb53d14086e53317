export interface DiffLine {
  kind: "same" | "minus" | "plus";
  text: string;
  /** Line numbers, from 1, in the text before and after. */
  before?: number;
  after?: number;
}

const most = 4000; // lines that are compared; larger texts are shown as replaced

/** diff compares two texts by lines: the longest common subsequence. */
export function diff(before: string, after: string): DiffLine[] {
  const a = before.split("\n");
  const b = after.split("\n");
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const out: DiffLine[] = [];
  const same = (i: number, j: number) => out.push({ kind: "same", text: a[i]!, before: i + 1, after: j + 1 });
  for (let i = 0; i < start; i++) same(i, i);
  middle(a.slice(start, a.length - end), b.slice(start, b.length - end), start, out);
  for (let k = end; k > 0; k--) same(a.length - k, b.length - k);
  return out;
}

function middle(a: string[], b: string[], offset: number, out: DiffLine[]): void {
  const minus = (i: number) => out.push({ kind: "minus", text: a[i]!, before: offset + i + 1 });
  const plus = (j: number) => out.push({ kind: "plus", text: b[j]!, after: offset + j + 1 });
  if (a.length * b.length > most * most) {
    a.forEach((_, i) => minus(i));
    b.forEach((_, j) => plus(j));
    return;
  }
  const width = b.length + 1;
  const length = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      length[i * width + j] = a[i] === b[j] ? length[(i + 1) * width + j + 1]! + 1 : Math.max(length[(i + 1) * width + j]!, length[i * width + j + 1]!);
    }
  }
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      out.push({ kind: "same", text: a[i]!, before: offset + i + 1, after: offset + j + 1 });
      i++;
      j++;
    } else if (j >= b.length || (i < a.length && length[(i + 1) * width + j]! >= length[i * width + j + 1]!)) minus(i++);
    else plus(j++);
  }
}
