/** A number in [0, 1); the same seed gives the same numbers (mulberry32). */
export type Random = () => number;

export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const between = (random: Random, low: number, high: number) => Math.round(low + random() * (high - low));

/** Each of them once in a random order, then again in another: none is left out for long. */
export function* inTurns<T>(random: Random, items: readonly T[]): Generator<T, never> {
  for (;;) {
    const bag = [...items];
    while (bag.length > 0) yield* bag.splice(Math.floor(random() * bag.length), 1);
  }
}
