/** Time, as everything that waits or stamps is given it. */
export interface Clock {
  /** Milliseconds since the epoch, as the machine believes; may jump either way. */
  now(): number;
  /** Milliseconds since some moment in the past; only ever goes forward. */
  elapsed(): number;
  /** Resolves after `ms` milliseconds, or at once when `signal` aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const wake = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const timer = setTimeout(wake, Math.max(0, Math.ceil(ms)));
      signal?.addEventListener('abort', wake);
    }),
};

/**
 * The time as it would be, had nobody set the machine's clock since: it only ever goes forward. In whole milliseconds
 * since the epoch.
 */
export function steadyTime(clock: Pick<Clock, 'now' | 'elapsed'>): () => number {
  const offset = clock.now() - clock.elapsed();
  return () => Math.round(offset + clock.elapsed());
}
