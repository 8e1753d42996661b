import type { Clock } from '../../clock.ts';

/** How what people ask for is kept from taking the database, and its few connections, from the messages. */

export type Turn = <T>(work: () => Promise<T>) => Promise<T>;

/** What is done one at a time, in the order in which it was asked for. */
export function inTurn(): Turn {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const done = last.then(work);
    last = done.catch(() => undefined);
    return done;
  };
}

/** What is asked for by one key each and got by many: in each turn all that were asked for since the one before. */
export function gathering<T>(
  turn: Turn,
  most: number,
  get: (keys: readonly string[]) => Promise<ReadonlyMap<string, T>>,
): (key: string) => Promise<T | undefined> {
  let open: { readonly keys: Set<string>; readonly found: Promise<ReadonlyMap<string, T>> } | undefined;
  return async (key) => {
    if (open === undefined || open.keys.size >= most) {
      const keys = new Set<string>();
      const found = turn(() => {
        if (open === next) open = undefined;
        return get([...keys]);
      });
      const next = { keys, found };
      open = next;
    }
    open.keys.add(key);
    return (await open.found).get(key);
  };
}

/** What costs less is got anew each time: whoever asks sees what they have just done. In milliseconds. */
const CHEAP_MS = 50;
/** How many times longer than it took to get a dear result is given again. */
const SPARING = 10;

/** Gives the last result again while it is young for what it cost; to be asked one at a time. */
export function sparing<T>(clock: Pick<Clock, 'elapsed'>, get: () => Promise<T>): () => Promise<T> {
  let kept: { readonly result: T; readonly until: number } | undefined;
  return async () => {
    const startedAt = clock.elapsed();
    if (kept !== undefined && startedAt < kept.until) return kept.result;
    const result = await get();
    const gotAt = clock.elapsed();
    const cost = gotAt - startedAt;
    kept = { result, until: cost < CHEAP_MS ? gotAt : gotAt + cost * SPARING };
    return result;
  };
}
