import { setImmediate } from 'node:timers/promises';

/** Of one request. No provider sends as many; each is checked by itself, and others wait meanwhile. */
export const MAX_BATCH = 5_000;
/** Some milliseconds of work; then whoever else waits has a turn. */
const ITEMS_A_TURN = 50;

export async function* inTurns<T>(items: readonly T[]): AsyncGenerator<T> {
  for (const [index, item] of items.entries()) {
    if (index % ITEMS_A_TURN === ITEMS_A_TURN - 1) await setImmediate();
    yield item;
  }
}
