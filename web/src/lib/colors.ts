import { signal } from "@preact/signals";

/**
 * A palette gives things one of eight colours, which colour-blind people tell apart (Okabe and Ito),
 * the same on every screen. Those beyond the seventh share the eighth, which is grey.
 */
class Palette {
  readonly #order = signal<readonly string[]>([]);
  readonly #colors: readonly number[];

  constructor(colors: readonly number[]) {
    this.#colors = colors;
  }

  /** learn tells names in the order in which they get colours. Those that are known keep theirs. */
  learn(names: readonly string[]): void {
    const known = this.#order.peek();
    const added = names.filter((n) => !known.includes(n));
    if (added.length > 0) this.#order.value = [...known, ...new Set(added)];
  }

  forget(): void {
    this.#order.value = [];
  }

  get known(): boolean {
    return this.#order.peek().length > 0;
  }

  /** of returns the number of a colour, from 1 to 8. */
  of(name: string): number {
    return this.#colors[this.#order.value.indexOf(name)] ?? 8;
  }
}

export const categories = new Palette([1, 2, 3, 4, 5, 6, 7]);
// Applications begin with others, so that they are not taken for categories. They are learned from
// lists of all applications alone: screens that show some of them would give other colours.
export const applications = new Palette([5, 3, 7, 4, 6, 1, 2]);
