import { about, type DrainOptions, drain, LEASE_MARGIN_MS, LEASE_MS, type Run, STORE_RETRY_MS } from './drain.ts';
import { PROBE_INTERVAL_MS } from './lane.ts';
import type { Claim, ClaimResult, LeaseOffer, Store } from './store.ts';

export interface DispatcherOptions extends DrainOptions {
  readonly store: Pick<Store, 'claim' | 'settle' | 'renew'>;
  readonly newToken: () => string;
}

const RENEW_MS = 5_000;
/** How often it is seen to that no attempt outlives its lease. */
const GUARD_MS = 250;
/** What others have stored, and what they have done to holds, is seen that often; also, should a wake-up ever be missed. */
const LOOK_MS = 1_000;
/** How long an aborted attempt may take to end; what does not is left to its lease. */
const ABORTED_MS = 2_000;
/** A slot is free for a message about to be stored: its conversation may be leased with it. */
export interface Offer extends LeaseOffer {
  /** Until when the lease lasts for sure, by the clock that only goes forward. */
  readonly endsAt: number;
}

/** Without a reason of its own, each abort makes an exception with a stack, which costs more than the wake-up. */
const WOKEN = 'woken';

/** Claims conversations and delivers from them: many at once, in each one message at a time. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #runs = new Set<Run>();
  readonly #abort = new AbortController();
  readonly #isIdle = new AbortController();
  #loop: Promise<void> | undefined;
  #isStopping = false;
  #wakeAt = 0;
  #lookAt = 0;
  #nap = new AbortController();
  #onVacated = () => {};

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#loop) return;
    this.#loop = this.#run();
    void this.#renewUntil(this.#isIdle.signal);
    void this.#guardUntil(this.#isIdle.signal);
  }

  /** Stops claiming and lets attempts in flight end, for `graceMs` at most; then they are aborted. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true;
    this.#wakeUp(0);
    await this.#loop;
    const { clock, log } = this.#options;
    void this.#untilIdle().then(() => this.#isIdle.abort());
    await clock.sleep(graceMs, this.#isIdle.signal);
    this.#abort.abort();
    for (const { cut } of this.#runs) cut.abort();
    await clock.sleep(ABORTED_MS, this.#isIdle.signal);
    this.#isIdle.abort();
    for (const { claim } of this.#runs) log.error('an attempt did not end; it is in doubt', about(claim));
  }

  /** What is in flight is ours, also while we stop. */
  async #renewUntil(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    let pause = RENEW_MS;
    for (;;) {
      await clock.sleep(pause, signal);
      if (signal.aborted) return;
      try {
        await this.#renew();
        pause = RENEW_MS;
      } catch (error) {
        log.error('leases cannot be renewed; trying again', { error });
        pause = STORE_RETRY_MS;
      }
    }
  }

  async #renew(): Promise<void> {
    const runs = [...this.#runs];
    if (runs.length === 0) return;
    const askedAt = this.#options.clock.elapsed();
    const { renewed, lost } = await this.#options.store.renew(
      runs.map(({ claim }) => claim),
      LEASE_MS,
    );
    const gone = new Set(lost);
    const kept = new Set(renewed);
    for (const run of runs) {
      // One that was settled meanwhile is not meant: its run is at another claim, or over.
      if (gone.has(run.claim)) run.cut.abort();
      else if (kept.has(run.claim)) run.leaseEndsAt = Math.max(run.leaseEndsAt, askedAt + LEASE_MS);
    }
  }

  /** Where a lease cannot be kept, others may take the conversation: what we are sending of it must have ended by then. */
  async #guardUntil(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    for (;;) {
      await clock.sleep(GUARD_MS, signal);
      if (signal.aborted) return;
      const latest = clock.elapsed() + GUARD_MS + LEASE_MARGIN_MS;
      for (const { leaseEndsAt, cut } of this.#runs) if (leaseEndsAt <= latest) cut.abort();
    }
  }

  /** An offered slot counts: what is being stored under it may be leased already. */
  async #untilIdle(): Promise<void> {
    while ([...this.#options.lanes.all].some(({ inFlight }) => inFlight > 0)) {
      await new Promise<void>((resolve) => {
        this.#onVacated = resolve;
      });
    }
  }

  /** Something of the account is due at `at`, by default now. */
  wake(account: string, at = 0): void {
    const lane = this.#options.lanes.of(account);
    lane.dueAt = Math.min(lane.dueAt, at);
    this.#wakeUp(at);
  }

  /** Something may be due of any account. */
  wakeAll(): void {
    for (const account of this.#options.lanes.names) this.wake(account);
  }

  #wakeUp(at: number): void {
    if (at >= this.#wakeAt) return;
    this.#wakeAt = at;
    this.#nap.abort(WOKEN);
  }

  /** Reserves a slot for a message about to be stored, so that it can be leased in the same commit. */
  offer(account: string): Offer | undefined {
    const { lanes, clock } = this.#options;
    const lane = lanes.of(account);
    const limits = lanes.limits(account);
    const now = clock.elapsed();
    const isRunning = this.#loop !== undefined && !this.#isStopping;
    // What waits already goes first.
    if (!isRunning || lane.isHeld || lane.isBehind || lane.free(now, limits) === 0) return undefined;
    lane.occupy(now, limits, false);
    return { token: this.#options.newToken(), leaseMs: LEASE_MS, endsAt: now + LEASE_MS };
  }

  /** Where we have no slot, others may have one; not for an account on hold. */
  isHeld(account: string): boolean {
    return this.#options.lanes.of(account).isHeld;
  }

  /** Uses an offered slot. */
  take(claim: Claim, { endsAt }: Offer): void {
    this.#track(claim, endsAt, false);
  }

  /** Gives an offered slot back: its conversation was busy, or nothing was stored. */
  withdraw(account: string): void {
    this.#options.lanes.of(account).withdraw(this.#options.lanes.limits(account));
    this.#vacated(account);
  }

  #vacated(account: string): void {
    this.#onVacated();
    if (this.#options.lanes.of(account).isBehind) this.wake(account);
  }

  async #run(): Promise<void> {
    const { clock, lanes, log } = this.#options;
    while (!this.#isStopping) {
      try {
        if (clock.elapsed() >= this.#lookAt) await this.#look();
        const now = clock.elapsed();
        const due = lanes.names.filter((account) => lanes.of(account).dueAt <= now);
        for (const account of due) lanes.of(account).dueAt = Number.POSITIVE_INFINITY;
        this.#wakeAt = Math.min(this.#lookAt, ...lanes.names.map((account) => lanes.of(account).dueAt));
        await Promise.all(due.map((account) => this.#claim(account)));
      } catch (error) {
        log.error('the outbox cannot be read; trying again', { error });
        this.#lookAt = clock.elapsed() + STORE_RETRY_MS;
        this.#wakeAt = this.#lookAt;
      }
      while (!this.#isStopping && clock.elapsed() < this.#wakeAt) {
        this.#nap = new AbortController();
        await clock.sleep(this.#wakeAt - clock.elapsed(), this.#nap.signal);
      }
    }
  }

  /** Sees what is due, whoever has stored it or given it back. */
  async #look(): Promise<void> {
    const { clock, lanes } = this.#options;
    this.#lookAt = clock.elapsed() + LOOK_MS;
    const due = await lanes.look();
    const now = clock.elapsed();
    for (const [account, ms] of due) lanes.of(account).dueAt = Math.min(lanes.of(account).dueAt, now + ms);
  }

  async #claim(account: string): Promise<void> {
    const { clock, lanes, store } = this.#options;
    const lane = lanes.of(account);
    const limits = lanes.limits(account);
    const limit = lane.free(clock.elapsed(), limits);
    if (limit === 0) return this.#waitForRoom(account);
    const isProbe = lane.isUnauthorized;
    const probe = isProbe ? { fingerprint: lane.fingerprint, everyMs: PROBE_INTERVAL_MS } : undefined;
    const busy = new Set([...this.#runs].map(({ claim }) => claim.conversation));
    const askedAt = clock.elapsed();
    lane.promised = limit;
    let claimed: ClaimResult;
    try {
      claimed = await store.claim({ account, limit, leaseMs: LEASE_MS, busy, probe });
    } finally {
      lane.promised = 0;
    }
    const { claims, nextDueMs } = claimed;
    for (const claim of claims) {
      lane.occupy(clock.elapsed(), limits, isProbe);
      this.#track(claim, askedAt + LEASE_MS, isProbe);
    }
    lane.isBehind = claims.length === limit;
    if (lane.isBehind) this.#waitForRoom(account);
    else if (nextDueMs !== undefined) this.wake(account, clock.elapsed() + nextDueMs);
  }

  /** A slot that gets free wakes it up by itself; a probe or the pace comes with time. */
  #waitForRoom(account: string): void {
    const { clock, lanes } = this.#options;
    const lane = lanes.of(account);
    lane.isBehind = true;
    if (lane.isPaused) return;
    const now = clock.elapsed();
    const at = lane.probeAt ?? lane.startableAt(now, lanes.limits(account));
    if (at > now) this.wake(account, at);
  }

  #track(claim: Claim, leaseEndsAt: number, isProbe: boolean): void {
    const { account } = claim;
    const run: Run = { claim, isProbe, leaseEndsAt, cut: new AbortController() };
    this.#runs.add(run);
    const onRoom = () => this.wake(account);
    void drain(run, this.#options, { isStopping: () => this.#isStopping, signal: this.#abort.signal, onRoom })
      .catch((error) => {
        this.#options.log.error('delivering broke off; goes on when the lease ends', { ...about(run.claim), error });
        return undefined;
      })
      .then((dueInMs) => {
        this.#runs.delete(run);
        this.#options.lanes.of(account).vacate(isProbe);
        this.#vacated(account);
        // What ended a hold has let the others go too.
        if (isProbe) this.wake(account);
        if (dueInMs !== undefined) this.wake(account, this.#options.clock.elapsed() + dueInMs);
      });
  }
}
