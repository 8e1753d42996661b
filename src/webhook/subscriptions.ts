import type fetch from 'node-fetch';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';

interface SubscriptionOptions {
  readonly fetch: typeof fetch;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly log: Log;
  /** Aborts when we must go. */
  readonly stopping: AbortSignal;
}

const TIMEOUT_MS = 10_000;
/** The sender has its answer and asks only once, so it is tried again after these. */
const PAUSES_MS = [0, 2_000, 10_000, 60_000];

/** Confirms subscriptions, in the background: what asks for it wants its answer first. Never fails; the log tells. */
export function confirmWith({ fetch, clock, log, stopping }: SubscriptionOptions) {
  return async (url: string, channel: string): Promise<void> => {
    let fault: unknown;
    for (const pause of PAUSES_MS) {
      await clock.sleep(pause, stopping);
      if (stopping.aborted) break;
      try {
        const signal = AbortSignal.any([stopping, AbortSignal.timeout(TIMEOUT_MS)]);
        const response = await fetch(url, { signal, redirect: 'error', size: 64 * 1024 });
        await response.text();
        if (response.ok) return void log.info('subscription confirmed', { channel });
        fault = `answered ${response.status}`;
      } catch (error) {
        fault = error;
      }
    }
    log.error('a subscription could not be confirmed; ask the provider for it again', { channel, error: fault });
  };
}
