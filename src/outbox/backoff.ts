const FIRST_MS = 1_000;
const LONGEST_MS = 600_000;
/** A far end that asks for more is asking us to give up, and giving up is the operator's decision. */
const LONGEST_RETRY_AFTER_MS = 3_600_000;

/**
 * How long to wait after the `attempt`-th failed attempt (from 1), in milliseconds: anything between nothing and twice the
 * longest of the time before ("full jitter"), so that those who failed together do not come back together. What the far
 * end asks for wins.
 *
 * @param random a number in [0, 1)
 */
export function backoffMs(attempt: number, retryAfterMs: number | undefined, random: number): number {
  if (retryAfterMs !== undefined) return Math.min(retryAfterMs, LONGEST_RETRY_AFTER_MS);
  return Math.floor(random * Math.min(LONGEST_MS, FIRST_MS * 2 ** (attempt - 1)));
}
