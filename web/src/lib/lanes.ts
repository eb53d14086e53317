/** A time axis on which long pauses are folded. */
export interface Axis {
  /** place maps a time, in ms, to 0…1. */
  place: (at: number) => number;
  /** Where pauses are folded, 0…1, and how long they are. */
  folds: { at: number; ms: number }[];
}

const foldWidth = 0.035;

/** axis makes a time axis for ordered times, in ms. Pauses over pauseMs take a fixed, small width. */
export function axis(times: number[], pauseMs: number): Axis {
  const first = times[0] ?? 0;
  const last = times.at(-1) ?? first;
  const pauses: { from: number; to: number }[] = [];
  for (let i = 1; i < times.length; i++) if (times[i]! - times[i - 1]! > pauseMs) pauses.push({ from: times[i - 1]!, to: times[i]! });
  // Of very many pauses, the longest are folded.
  const folded = pauses.length <= 12 ? pauses : [...pauses].sort((a, b) => b.to - b.from - (a.to - a.from)).slice(0, 12).sort((a, b) => a.from - b.from);
  const away = folded.reduce((n, p) => n + p.to - p.from, 0);
  const busy = Math.max(1, last - first - away);
  const room = 1 - folded.length * foldWidth;
  const place = (at: number): number => {
    let gone = 0;
    let width = 0;
    for (const p of folded) {
      if (at <= p.from) break;
      const inside = Math.min(at, p.to) - p.from;
      gone += inside;
      width += (foldWidth * inside) / (p.to - p.from);
    }
    return Math.min(1, Math.max(0, (room * (at - first - gone)) / busy + width));
  };
  return { place, folds: folded.map((p) => ({ at: (place(p.from) + place(p.to)) / 2, ms: p.to - p.from })) };
}

export interface Mark { at: number; count: number; id: string }

/** marks merges the events of a lane that are less than 1/slots apart. */
export function marks(events: { at: number; id: string }[], place: Axis["place"], slots: number): Mark[] {
  const out: Mark[] = [];
  let slot = -1;
  for (const e of events) {
    const at = place(e.at);
    const here = Math.floor(at * slots);
    const last = out.at(-1);
    if (here === slot && last) last.count++;
    else out.push({ at, count: 1, id: e.id });
    slot = here;
  }
  return out;
}
