/** What an account's operator allows. */
export interface Limits {
  /** Conversations in flight. */
  readonly concurrency: number;
  /** Attempts begun in a second; undefined: any number. */
  readonly perSecond: number | undefined;
}

/** How far the pace may be caught up with after a late turn, in milliseconds. Below it a pace is even, without bursts. */
const CATCH_UP_MS = 20;
/** What is caught up with counts too: so no second, wherever it is laid, sees more than is allowed. */
const SECOND_MS = 1_000 + CATCH_UP_MS;

/**
 * How fast one account is called: never faster than its operator allows, and slower while the far end asks for it.
 * Conversations in flight are halved when it does, at most once a round trip, and won back one a round trip (additive
 * increase, multiplicative decrease). Times are of the clock that only goes forward, in milliseconds.
 */
export class Limiter {
  #concurrency = Number.POSITIVE_INFINITY;
  #loweredAt = Number.NEGATIVE_INFINITY;
  /** When the next attempt is due by the pace. */
  #nextAt = Number.NEGATIVE_INFINITY;

  /** Conversations that may be in flight. */
  concurrency(limits: Limits): number {
    return Math.min(limits.concurrency, Math.floor(this.#concurrency));
  }

  /** How many attempts may begin now. */
  startable(now: number, { perSecond }: Limits): number {
    if (perSecond === undefined) return Number.POSITIVE_INFINITY;
    return Math.max(0, Math.floor(((now - this.#dueAt(now)) * perSecond) / SECOND_MS) + 1);
  }

  /** When an attempt may begin again. */
  startableAt(now: number, limits: Limits): number {
    return this.startable(now, limits) > 0 ? now : this.#nextAt;
  }

  started(now: number, { perSecond }: Limits): void {
    if (perSecond !== undefined) this.#nextAt = this.#dueAt(now) + SECOND_MS / perSecond;
  }

  /** What was counted as started was not begun after all. */
  notStarted({ perSecond }: Limits): void {
    if (perSecond !== undefined) this.#nextAt -= SECOND_MS / perSecond;
  }

  /** An idle hour is not caught up with. */
  #dueAt(now: number): number {
    return Math.max(this.#nextAt, now - CATCH_UP_MS);
  }

  /** An attempt that began at `startedAt` was told to slow down, or had no answer in time. */
  overloaded(startedAt: number, now: number, inFlight: number): void {
    // The others that were under way then say the same thing again.
    if (startedAt < this.#loweredAt) return;
    this.#concurrency = Math.max(1, Math.min(this.#concurrency, inFlight) / 2);
    this.#loweredAt = now;
  }

  succeeded(): void {
    this.#concurrency += 1 / this.#concurrency;
  }
}
