import { Limiter, type Limits } from './limiter.ts';

/** How often the credentials of a held account are tried. */
export const PROBE_INTERVAL_MS = 30_000;

/**
 * One account's share of the dispatcher: its slots, its pace, and whether it is on hold. Accounts never wait for each
 * other, because each has a lane of its own. Times are of the clock that only goes forward.
 */
export class Lane {
  readonly #limiter = new Limiter();
  readonly #createdAt: number;
  #inFlight = 0;
  #isPaused = false;
  #probeAt: number | undefined;
  #isProbing = false;
  #releasedAt = Number.NEGATIVE_INFINITY;
  #resumedAt = Number.NEGATIVE_INFINITY;
  #acceptedAt = Number.NEGATIVE_INFINITY;
  /** Of the credentials that what is known here is about. */
  fingerprint = '';
  /** When it is to be looked at again. */
  dueAt = 0;
  /** More was due than could be begun: what gets free is to be used at once. */
  isBehind = false;
  /** Slots that a claim under way is about to take. */
  promised = 0;

  constructor(now: number) {
    this.#createdAt = now;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** An operator has paused it. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Its credentials were refused. */
  get isUnauthorized(): boolean {
    return this.#probeAt !== undefined;
  }

  get isHeld(): boolean {
    return this.#isPaused || this.isUnauthorized;
  }

  /**
   * Since when messages have had their chance: from the account's last release, or from our start, since a wrong token is
   * mostly mended by a restart. What is older than that waited for us, and is not to be given up for it.
   */
  get triedSince(): number {
    return Math.max(this.openSince, this.#releasedAt);
  }

  /** The same, but for the times when the credentials were refused. */
  get openSince(): number {
    return Math.max(this.#createdAt, this.#resumedAt);
  }

  /** When refused credentials are to be tried again. */
  get probeAt(): number | undefined {
    return this.#isProbing || this.#isPaused ? undefined : this.#probeAt;
  }

  /** How many conversations may be claimed now: with refused credentials one, and only when a probe is due. */
  free(now: number, limits: Limits): number {
    if (this.#isPaused) return 0;
    if (this.#probeAt !== undefined) return now >= this.#probeAt && !this.#isProbing ? 1 : 0;
    const slots = this.#limiter.concurrency(limits) - this.#inFlight;
    return Math.max(0, Math.min(slots, this.#limiter.startable(now, limits)) - this.promised);
  }

  /** When something may be begun again by the pace alone. */
  startableAt(now: number, limits: Limits): number {
    return this.#limiter.startableAt(now, limits);
  }

  /** Another attempt is to begin in a slot that is taken. @returns whether it may */
  goOn(now: number, limits: Limits): boolean {
    const isWithin = this.#inFlight <= this.#limiter.concurrency(limits);
    const mayGoOn = !this.isHeld && isWithin && this.#limiter.startable(now, limits) > this.promised;
    if (mayGoOn) this.#limiter.started(now, limits);
    return mayGoOn;
  }

  /** Nothing more was to be begun in the slot. */
  stay(limits: Limits): void {
    this.#limiter.notStarted(limits);
  }

  /** Takes a slot, for an attempt to begin; `isProbe` where it is to try refused credentials. */
  occupy(now: number, limits: Limits, isProbe: boolean): void {
    this.#limiter.started(now, limits);
    this.#inFlight += 1;
    this.#isProbing ||= isProbe;
  }

  /** Gives a slot back in which nothing was begun. */
  withdraw(limits: Limits): void {
    this.#limiter.notStarted(limits);
    this.#inFlight -= 1;
  }

  vacate(isProbe: boolean): void {
    this.#inFlight -= 1;
    if (isProbe) this.#isProbing = false;
  }

  /** The far end is asking for less, or too slow, as an attempt that began at `startedAt` found. */
  slowDown(startedAt: number, now: number): void {
    this.#limiter.overloaded(startedAt, now, this.#inFlight);
  }

  speedUp(): void {
    this.#limiter.succeeded();
  }

  /**
   * The credentials were refused, to an attempt that began at `startedAt`. One that began before they were last accepted,
   * or changed, proves nothing about them.
   *
   * @returns whether they are held for refused now
   */
  refuse(startedAt: number, isProbe: boolean, now: number): boolean {
    if (!this.isUnauthorized && startedAt < this.#acceptedAt) return false;
    if (!this.isUnauthorized || isProbe) this.#probeAt = now + PROBE_INTERVAL_MS;
    return true;
  }

  /** Refused credentials are to be tried at `at`. */
  probeFrom(at: number): void {
    this.#probeAt = at;
  }

  /** The probe ended, and said nothing about the credentials. */
  probeLater(now: number): void {
    if (this.isUnauthorized) this.#probeAt = now + PROBE_INTERVAL_MS;
  }

  /** The credentials are accepted, or are others now. */
  accept(now: number): void {
    this.#acceptedAt = now;
    if (!this.isUnauthorized) return;
    this.#probeAt = undefined;
    this.#releasedAt = now;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(now: number): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#resumedAt = now;
  }
}
