/** How often the credentials of a held account are tried. */
export const PROBE_INTERVAL_MS = 30_000;

/**
 * One account's share of the dispatcher: its slots, and whether it is on hold. Accounts never wait for each other,
 * because each has a lane of its own. Times are of the clock that only goes forward.
 */
export class Lane {
  #inFlight = 0;
  #probeAt: number | undefined;
  #isProbing = false;
  #releasedAt = Number.NEGATIVE_INFINITY;
  readonly #createdAt: number;
  /** More was due than there were free slots: the next one that gets free is to be used at once. */
  isBehind = false;

  constructor(now: number) {
    this.#createdAt = now;
  }

  /** Some slot is taken. */
  get isBusy(): boolean {
    return this.#inFlight > 0;
  }

  get isHeld(): boolean {
    return this.#probeAt !== undefined;
  }

  /**
   * Since when messages have had their chance: from the account's last release, or from our start, since a wrong token is
   * mostly mended by a restart. What is older than that waited for us, and is not to be given up for it.
   */
  get triedSince(): number {
    return Math.max(this.#createdAt, this.#releasedAt);
  }

  /** When a held account is to be tried again. */
  get probeAt(): number | undefined {
    return this.#isProbing ? undefined : this.#probeAt;
  }

  /** How many conversations may be claimed now: while on hold one, and only when a probe is due. */
  free(now: number, concurrency: number): number {
    if (this.#probeAt === undefined) return Math.max(0, concurrency - this.#inFlight);
    return now >= this.#probeAt && !this.#isProbing ? 1 : 0;
  }

  /** Takes a slot; `isProbe` where it is to try a held account. */
  occupy(isProbe: boolean): void {
    this.#inFlight += 1;
    this.#isProbing ||= isProbe;
  }

  vacate(isProbe: boolean): void {
    this.#inFlight -= 1;
    if (isProbe) this.#isProbing = false;
  }

  /**
   * The credentials were refused, to an attempt that began at `startedAt`. One that began before they were last accepted
   * proves nothing about them.
   *
   * @returns whether the account is on hold now
   */
  hold(startedAt: number, isProbe: boolean, now: number): boolean {
    if (!this.isHeld && startedAt < this.#releasedAt) return false;
    if (!this.isHeld || isProbe) this.#probeAt = now + PROBE_INTERVAL_MS;
    return true;
  }

  /** The probe ended, and said nothing about the credentials. */
  probeLater(now: number): void {
    if (this.isHeld) this.#probeAt = now + PROBE_INTERVAL_MS;
  }

  /** Where the account is on hold it is so no longer. */
  release(now: number): void {
    if (!this.isHeld) return;
    this.#probeAt = undefined;
    this.#releasedAt = now;
  }
}
