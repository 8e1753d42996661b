import { about, type DrainOptions, drain, LEASE_MS, type Run, STORE_RETRY_MS } from './drain.ts';
import type { Claim, ClaimResult, LeaseOffer, Store } from './store.ts';

export interface DispatcherOptions extends DrainOptions {
  readonly store: Pick<Store, 'claim' | 'settle' | 'renew'>;
  readonly newToken: () => string;
}

const RENEW_MS = 5_000;
/** The truth, should a wake-up ever be missed. */
const POLL_MS = 1_000;
/** How long an aborted attempt may take to end; what does not is left to its lease. */
const ABORTED_MS = 2_000;
/** Without a reason of its own, each abort makes an exception with a stack, which costs more than the wake-up. */
const WOKEN = 'woken';

/** Claims conversations and delivers from them: many at once, in each one message at a time. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #runs = new Set<Run>();
  readonly #abort = new AbortController();
  #loop: Promise<void> | undefined;
  #isStopping = false;
  #wakeAt = 0;
  #nap = new AbortController();
  #renewedAt = 0;
  #onVacated = () => {};

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Stops claiming and lets attempts in flight end, for `graceMs` at most; then they are aborted. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true;
    this.#wakeUp(0);
    await this.#loop;
    const idle = new AbortController();
    void this.#untilIdle().then(() => idle.abort());
    void this.#renewUntil(idle.signal);
    await this.#options.clock.sleep(graceMs, idle.signal);
    this.#abort.abort();
    await this.#options.clock.sleep(ABORTED_MS, idle.signal);
    idle.abort();
    for (const { claim } of this.#runs) this.#options.log.error('an attempt did not end; it is in doubt', about(claim));
  }

  /** What is in flight while we stop is still ours. */
  async #renewUntil(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    for (;;) {
      await clock.sleep(RENEW_MS, signal);
      if (signal.aborted) return;
      await this.#renew().catch((error) => log.error('leases cannot be renewed; trying again', { error }));
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
  offer(account: string): LeaseOffer | undefined {
    const { lanes, clock } = this.#options;
    const lane = lanes.of(account);
    const limits = lanes.limits(account);
    const now = clock.elapsed();
    const isRunning = this.#loop !== undefined && !this.#isStopping;
    // What waits already goes first.
    if (!isRunning || lane.isHeld || lane.isBehind || lane.free(now, limits) === 0) return undefined;
    lane.occupy(now, limits, false);
    return { token: this.#options.newToken(), leaseMs: LEASE_MS };
  }

  /** Uses an offered slot. */
  take(claim: Claim): void {
    this.#track(claim, false);
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
      const now = clock.elapsed();
      const due = lanes.names.filter((account) => lanes.of(account).dueAt <= now);
      for (const account of due) lanes.of(account).dueAt = now + POLL_MS;
      this.#wakeAt = Math.min(now + POLL_MS, ...lanes.names.map((account) => lanes.of(account).dueAt));
      try {
        await this.#renew();
        await Promise.all(due.map((account) => this.#claim(account)));
      } catch (error) {
        log.error('the outbox cannot be read; trying again', { error });
        for (const account of lanes.names) lanes.of(account).dueAt = clock.elapsed() + STORE_RETRY_MS;
        this.#wakeAt = clock.elapsed() + STORE_RETRY_MS;
      }
      while (!this.#isStopping && clock.elapsed() < this.#wakeAt) {
        this.#nap = new AbortController();
        await clock.sleep(this.#wakeAt - clock.elapsed(), this.#nap.signal);
      }
    }
  }

  /** Before any claim, so that a process that was asleep longer than its leases does not meet its own conversations. */
  async #renew(): Promise<void> {
    const now = this.#options.clock.elapsed();
    if (now - this.#renewedAt < RENEW_MS) return;
    if (this.#runs.size > 0) {
      await this.#options.store.renew(
        [...this.#runs].map(({ claim }) => claim),
        LEASE_MS,
      );
    }
    this.#renewedAt = now;
  }

  async #claim(account: string): Promise<void> {
    const { clock, lanes, store } = this.#options;
    const lane = lanes.of(account);
    const limits = lanes.limits(account);
    const limit = lane.free(clock.elapsed(), limits);
    if (limit === 0) return this.#waitForRoom(account);
    const isProbe = lane.isUnauthorized;
    const busy = new Set([...this.#runs].map(({ claim }) => claim.conversation));
    lane.promised = limit;
    let claimed: ClaimResult;
    try {
      claimed = await store.claim({ account, limit, leaseMs: LEASE_MS, busy });
    } finally {
      lane.promised = 0;
    }
    const { claims, nextDueMs } = claimed;
    for (const claim of claims) {
      lane.occupy(clock.elapsed(), limits, isProbe);
      this.#track(claim, isProbe);
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

  #track(claim: Claim, isProbe: boolean): void {
    const { account } = claim;
    const run: Run = { claim, isProbe };
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
