import type { Clock } from '../clock.ts';
import { messageOf } from '../fault.ts';
import type { Log } from '../log.ts';
import type { Delivery, Outcome } from '../message.ts';
import { judge } from './judge.ts';
import { Lane } from './lane.ts';
import type { Claim, LeaseOffer, Settlement, SettleResult, Store } from './store.ts';

/** One try at the far end. When `signal` aborts it ends soon. A rejection counts as an unknown outcome. */
export type Deliver = (delivery: Delivery, signal: AbortSignal) => Promise<Outcome>;

export interface DispatcherOptions {
  readonly store: Pick<Store, 'claim' | 'settle' | 'renew'>;
  readonly deliver: Deliver;
  /** The accounts that there are right now; others' messages wait. */
  readonly accounts: () => ReadonlyMap<string, { readonly maxConcurrency: number | undefined }>;
  /** Conversations in flight per account. */
  readonly concurrency: number;
  /** Age at which a message that keeps failing is given up. */
  readonly retryHorizonMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly newToken: () => string;
  readonly log: Log;
}

/** A conversation being delivered from, and the message that it is at. */
interface Run {
  claim: Claim;
  readonly isProbe: boolean;
}

/** Long enough to outlive a stall, short enough that a dead process does not keep a customer waiting. */
const LEASE_MS = 15_000;
const RENEW_MS = 5_000;
/** The truth, should a wake-up ever be missed. */
const POLL_MS = 1_000;
const STORE_RETRY_MS = 1_000;
/** How long an aborted attempt may take to end; what does not is left to its lease. */
const ABORTED_MS = 2_000;
/** Without a reason of its own, each abort makes an exception with a stack, which costs more than the wake-up. */
const WOKEN = 'woken';
/** Messages delivered under one lease before the conversation goes to the back of the queue. */
const TURNS = 16;

/**
 * Claims conversations and delivers from them: many at once, in each one message at a time. An attempt's outcome is
 * durable before the next message of its conversation is sent.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #lanes = new Map<string, Lane>();
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
    this.wake();
    await this.#loop;
    const idle = new AbortController();
    void this.#untilIdle().then(() => idle.abort());
    await this.#options.clock.sleep(graceMs, idle.signal);
    this.#abort.abort();
    await this.#options.clock.sleep(ABORTED_MS, idle.signal);
    for (const { claim } of this.#runs) this.#options.log.error('an attempt did not end; it is in doubt', about(claim));
  }

  /** An offered slot counts: what is being stored under it may be leased already. */
  async #untilIdle(): Promise<void> {
    while ([...this.#lanes.values()].some((lane) => lane.isBusy)) {
      await new Promise<void>((resolve) => {
        this.#onVacated = resolve;
      });
    }
  }

  /** Something is due at `at`, by default now. */
  wake(at = 0): void {
    if (at >= this.#wakeAt) return;
    this.#wakeAt = at;
    this.#nap.abort(WOKEN);
  }

  /** Reserves a slot for a message about to be stored, so that it can be leased in the same commit. */
  offer(account: string): LeaseOffer | undefined {
    const lane = this.#lane(account);
    const isRunning = this.#loop !== undefined && !this.#isStopping;
    const concurrency = this.#concurrencyOf(account);
    if (!isRunning || lane.isHeld || lane.free(this.#options.clock.elapsed(), concurrency) === 0) return undefined;
    lane.occupy(false);
    return { token: this.#options.newToken(), leaseMs: LEASE_MS };
  }

  /** Uses an offered slot. */
  take(claim: Claim): void {
    this.#track(claim, false);
  }

  /** Gives an offered slot back: its conversation was busy, or nothing was stored. */
  withdraw(account: string): void {
    this.#vacate(account, false);
  }

  #lane(account: string): Lane {
    const lane = this.#lanes.get(account) ?? new Lane(this.#options.clock.elapsed());
    this.#lanes.set(account, lane);
    return lane;
  }

  #vacate(account: string, isProbe: boolean): void {
    const lane = this.#lane(account);
    lane.vacate(isProbe);
    this.#onVacated();
    if (lane.isBehind) this.wake();
  }

  #concurrencyOf(name: string): number {
    const account = this.#options.accounts().get(name);
    return account ? Math.min(account.maxConcurrency ?? Infinity, this.#options.concurrency) : 0;
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#options;
    while (!this.#isStopping) {
      this.#wakeAt = clock.elapsed() + POLL_MS;
      try {
        await this.#renew();
        await Promise.all([...this.#options.accounts().keys()].map((account) => this.#claim(account)));
      } catch (error) {
        log.error('the outbox cannot be read; trying again', { error });
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
    const { clock, store } = this.#options;
    const lane = this.#lane(account);
    const limit = lane.free(clock.elapsed(), this.#concurrencyOf(account));
    if (limit === 0) {
      lane.isBehind = true;
      if (lane.probeAt !== undefined) this.wake(lane.probeAt);
      return;
    }
    const isProbe = lane.isHeld;
    const busy = new Set([...this.#runs].map(({ claim }) => claim.conversation));
    const { claims, nextDueMs } = await store.claim({ account, limit, leaseMs: LEASE_MS, busy });
    for (const claim of claims) {
      lane.occupy(isProbe);
      this.#track(claim, isProbe);
    }
    lane.isBehind = claims.length === limit;
    if (nextDueMs !== undefined && !lane.isBehind) this.wake(clock.elapsed() + nextDueMs);
  }

  #track(claim: Claim, isProbe: boolean): void {
    const run: Run = { claim, isProbe };
    this.#runs.add(run);
    void this.#deliverFrom(run)
      .catch((error) => {
        this.#options.log.error('delivering broke off; goes on when the lease ends', { ...about(run.claim), error });
        return undefined;
      })
      .then((dueInMs) => {
        this.#runs.delete(run);
        this.#vacate(claim.account, isProbe);
        if (dueInMs !== undefined) this.wake(this.#options.clock.elapsed() + dueInMs);
      });
  }

  /**
   * Delivers from one conversation until nothing waits, something fails, or its turns are up.
   *
   * @returns how long until the conversation is due again, if more of it waits
   */
  async #deliverFrom(run: Run): Promise<number | undefined> {
    const { clock, log } = this.#options;
    const lane = this.#lane(run.claim.account);
    for (let turn = 1; ; turn += 1) {
      const { claim } = run;
      if (claim.isInDoubt) log.warn('possible repeat: the attempt before ended without an outcome', about(claim));
      const startedAt = clock.elapsed();
      const outcome = await this.#options.deliver(claim.message.delivery, this.#abort.signal).catch(toUnknown);
      const settlement = this.#settlementOf(outcome, run, startedAt);
      this.#logAttempt(claim, outcome, settlement, Math.round(clock.elapsed() - startedAt));
      const goOn = turn < TURNS && !lane.isHeld && !this.#isStopping;
      const result = await this.#settle(claim, settlement, goOn);
      if (result?.next === undefined) {
        if (settlement.state === 'waiting') return settlement.dueInMs;
        return result?.hasMore ? 0 : undefined;
      }
      run.claim = result.next;
    }
  }

  #settlementOf(outcome: Outcome, { claim, isProbe }: Run, startedAt: number): Settlement {
    const { clock, random, retryHorizonMs } = this.#options;
    // What we cut off ourselves says nothing about the message, and must not be what it is given up for.
    if (this.#abort.signal.aborted && (outcome.kind === 'retry' || outcome.kind === 'unknown')) {
      return { state: 'waiting', dueInMs: 0, isSpent: false, detail: outcome.detail };
    }
    const lane = this.#lane(claim.account);
    const wasHeld = lane.isHeld;
    const now = clock.elapsed();
    const settlement = judge(outcome, { claim, lane, isProbe, startedAt, now, retryHorizonMs, random });
    if (lane.isHeld !== wasHeld) this.#tellHold(claim.account, lane.isHeld, outcome);
    return settlement;
  }

  /** An outcome is kept until it is written. @returns undefined when the lease was not ours any more, or we must go */
  async #settle(
    claim: Claim,
    settlement: Settlement,
    goOn: boolean,
  ): Promise<Exclude<SettleResult, 'stale'> | undefined> {
    const { clock, log, store } = this.#options;
    for (;;) {
      try {
        const result = await store.settle(claim, settlement, goOn ? { leaseMs: LEASE_MS } : undefined);
        if (result !== 'stale') return result;
        log.warn('an outcome came after its lease had ended; the message may be sent again', about(claim));
        return undefined;
      } catch (error) {
        log.error('an outcome cannot be written; trying again', { ...about(claim), error });
        await clock.sleep(STORE_RETRY_MS, this.#abort.signal);
        if (this.#abort.signal.aborted) return undefined;
      }
    }
  }

  #tellHold(account: string, isHeld: boolean, outcome: Outcome): void {
    const { log } = this.#options;
    if (isHeld) {
      const detail = outcome.kind === 'delivered' ? undefined : outcome.detail;
      const advice =
        "check the account's client_id and token, then restart; until then one message is tried every 30 s";
      log.error(`account on hold: Haptik refuses it, and its messages wait; ${advice}`, { account, detail });
    } else {
      log.info('account released: Haptik accepts it again', { account });
      this.wake();
    }
  }

  #logAttempt(claim: Claim, outcome: Outcome, settlement: Settlement, durationMs: number): void {
    const { log } = this.#options;
    const fields = { ...about(claim), attempt: claim.message.attempts + 1, duration_ms: durationMs };
    switch (settlement.state) {
      case 'delivered':
        log.info('delivered', { ...fields, message_id: settlement.messageId });
        break;
      case 'dead':
        log.error('dead', {
          ...fields,
          reason: settlement.reason,
          detail: outcome.kind === 'delivered' ? '' : outcome.detail,
        });
        break;
      default: {
        const isPossibleRepeat = outcome.kind === 'unknown' || undefined;
        const { dueInMs, detail } = settlement;
        const when = this.#lane(claim.account).isHeld ? 'when its account is released, or as its probe' : undefined;
        const due = when === undefined ? { due_in_ms: dueInMs } : { due: when };
        log.warn('to be tried again', { ...fields, ...due, detail, possible_repeat: isPossibleRepeat });
      }
    }
  }
}

function toUnknown(error: unknown): Outcome {
  return { kind: 'unknown', detail: `the attempt failed: ${messageOf(error)}` };
}

function about({ message, account }: Claim) {
  const { businessId, authId } = message.delivery;
  return { id: message.id, account, business_id: businessId, auth_id: authId };
}
