import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { ConversationRef, Store } from './store.ts';

export interface RecountOptions {
  readonly store: Pick<Store, 'recount'>;
  readonly clock: Clock;
  readonly log: Log;
}

const INTERVAL_MS = 3_600_000;
const RETRY_MS = 60_000;
/** Some milliseconds of work; accepts go in between. */
const BATCH = 200;

/**
 * Counts what waits in each conversation anew, a few at a time, at start and then hourly, until `signal` aborts. The
 * count decides who is delivered from, so a wrong one, which only a fault of ours can bring about, must not last.
 */
export async function keepCounted({ store, clock, log }: RecountOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    let pause = INTERVAL_MS;
    try {
      let after: ConversationRef | undefined;
      do after = (await store.recount(after, BATCH)).next;
      while (after !== undefined && !signal.aborted);
    } catch (error) {
      log.error('conversations cannot be counted; trying again', { error });
      pause = RETRY_MS;
    }
    await clock.sleep(pause, signal);
  }
}
