import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Store } from './store.ts';

export interface RetentionOptions {
  readonly store: Pick<Store, 'prune'>;
  /** How long the content of a delivered message is kept, in milliseconds. */
  readonly contentMs: number;
  /** How long a delivered message is remembered at all. */
  readonly rowsMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

const INTERVAL_MS = 60_000;
/** Some milliseconds of work; accepts go in between. */
const BATCH = 200;

/** Forgets, a little at a time, what is not to be kept any longer; until `signal` aborts. */
export async function retain(
  { store, contentMs, rowsMs, clock, log }: RetentionOptions,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      while (!signal.aborted && !(await store.prune({ contentMs, rowsMs, limit: BATCH })));
    } catch (error) {
      log.error('delivered messages cannot be pruned; trying again', { error });
    }
    await clock.sleep(INTERVAL_MS, signal);
  }
}
