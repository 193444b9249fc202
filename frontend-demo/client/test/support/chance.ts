/** Chance that can be had again: the same seed gives the same answers. */
export interface Chance {
  /** 0 up to, and without, `end`. */
  below(end: number): number;
  of<T>(...all: readonly T[]): T;
}

/** A linear congruential generator: https://doi.org/10.1090/S0025-5718-99-00996-5, table 4, modulus 2^32. */
export function chance(seed: number): Chance {
  let state = seed >>> 0;
  const below = (end: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * end);
  };
  return { below, of: (...all) => all[below(all.length)]! };
}
