import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Outcome } from '../message.ts';
import { Lane } from './lane.ts';
import type { Limits } from './limiter.ts';
import type { Hold, HoldCause, Store } from './store.ts';

/** What the outbox knows of an account. */
export interface AccountLimits {
  readonly maxConcurrency: number | undefined;
  readonly maxPerSecond: number | undefined;
  /** Tells its URLs and credentials from any others. */
  readonly fingerprint: string;
}

export interface LanesOptions {
  readonly store: Pick<Store, 'holds' | 'hold' | 'release'>;
  /** The accounts that there are right now; others' messages wait. */
  readonly accounts: () => ReadonlyMap<string, AccountLimits>;
  /** Conversations in flight per account, where it sets no lower number. */
  readonly concurrency: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** A hold as operators see it. Times are milliseconds since the epoch. */
export interface HoldView {
  readonly cause: HoldCause;
  readonly since: number;
  /** When the credentials are tried next; undefined where they are being tried, or an operator has paused the account. */
  readonly nextProbeAt: number | undefined;
}

/** The lanes of all accounts, and their holds, which outlive the process. */
export class Lanes {
  readonly #options: LanesOptions;
  readonly #lanes = new Map<string, Lane>();
  readonly #holds = new Map<string, Hold>();
  #changes: Promise<void> = Promise.resolve();

  constructor(options: LanesOptions) {
    this.#options = options;
  }

  /** Takes up the holds that were in force when the process before ended. Refused credentials are tried at once. */
  async load(): Promise<void> {
    const now = this.#options.clock.elapsed();
    for (const hold of await this.#options.store.holds()) {
      const lane = this.of(hold.account);
      if (hold.cause === 'operator') lane.pause();
      else if (hold.fingerprint === lane.fingerprint) lane.probeFrom(now);
      else continue;
      this.#holds.set(keyOf(hold.account, hold.cause), hold);
      this.#options.log.warn('account on hold', { account: hold.account, cause: hold.cause });
    }
  }

  of(account: string): Lane {
    const now = this.#options.clock.elapsed();
    const lane = this.#lanes.get(account) ?? new Lane(now);
    this.#lanes.set(account, lane);
    const fingerprint = this.#options.accounts().get(account)?.fingerprint ?? lane.fingerprint;
    if (lane.fingerprint !== fingerprint) {
      lane.fingerprint = fingerprint;
      if (lane.isUnauthorized) this.#end(account, 'unauthorized', 'its credentials have changed');
      lane.accept(now);
    }
    return lane;
  }

  limits(account: string): Limits {
    const limits = this.#options.accounts().get(account);
    const concurrency = limits ? Math.min(limits.maxConcurrency ?? Infinity, this.#options.concurrency) : 0;
    return { concurrency, perSecond: limits?.maxPerSecond };
  }

  /** The accounts whose messages can be delivered at all. */
  get names(): readonly string[] {
    return [...this.#options.accounts().keys()];
  }

  get all(): Iterable<Lane> {
    return this.#lanes.values();
  }

  /** Makes known, and durable, that the credentials of an account came to be refused, or accepted again. */
  tell(account: string, outcome: Outcome): void {
    if (!this.of(account).isUnauthorized) {
      this.#end(account, 'unauthorized', 'Haptik accepts it again');
      return;
    }
    const advice = "check the account's client_id and token, then restart; until then one message is tried every 30 s";
    this.#options.log.error(`account on hold: Haptik refuses it, and its messages wait; ${advice}`, {
      account,
      detail: outcome.kind === 'delivered' ? undefined : outcome.detail,
    });
    const hold = this.#newHold(account, 'unauthorized', this.of(account).fingerprint);
    // Should this fail, the next process finds out by itself.
    this.#options.store.hold(hold).catch((error) => this.#options.log.error('a hold was not stored', { error }));
  }

  /** No attempts until `resume`; those in flight end. Durable when it resolves; where it is paused already nothing changes. */
  pause(account: string): Promise<void> {
    return this.#inTurn(async () => {
      const lane = this.of(account);
      const wasPaused = lane.isPaused;
      lane.pause();
      if (!wasPaused) this.#options.log.warn('account paused by an operator: its messages wait', { account });
      const hold = this.#holds.get(keyOf(account, 'operator')) ?? this.#newHold(account, 'operator', '');
      // Also where it is paused already: that may not have been stored.
      await this.#options.store.hold(hold);
    });
  }

  /** Durable when it resolves; where it is not paused nothing changes. */
  resume(account: string): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.of(account).isPaused) return;
      await this.#options.store.release(account, 'operator');
      this.of(account).resume(this.#options.clock.elapsed());
      this.#holds.delete(keyOf(account, 'operator'));
      this.#options.log.info('account resumed by an operator', { account });
    });
  }

  /** Operators' words count in the order in which they were given. */
  #inTurn(change: () => Promise<void>): Promise<void> {
    const done = this.#changes.then(change);
    this.#changes = done.catch(() => {});
    return done;
  }

  /** Why the account waits; the operator's word covers the other cause. */
  holdOf(account: string): HoldView | undefined {
    const hold = this.#holds.get(keyOf(account, 'operator')) ?? this.#holds.get(keyOf(account, 'unauthorized'));
    if (hold === undefined) return undefined;
    const { clock } = this.#options;
    const probeAt = this.of(account).probeAt;
    const nextProbeAt = probeAt === undefined ? undefined : clock.now() + Math.max(0, probeAt - clock.elapsed());
    return { cause: hold.cause, since: hold.since, nextProbeAt };
  }

  #newHold(account: string, cause: HoldCause, fingerprint: string): Hold {
    const hold: Hold = { account, cause, fingerprint, since: this.#options.clock.now() };
    this.#holds.set(keyOf(account, cause), hold);
    return hold;
  }

  #end(account: string, cause: HoldCause, why: string): void {
    this.#holds.delete(keyOf(account, cause));
    this.#options.log.info(`account released: ${why}`, { account });
    this.#options.store
      .release(account, cause)
      .catch((error) => this.#options.log.error('the end of a hold was not stored', { error }));
  }
}

function keyOf(account: string, cause: HoldCause): string {
  return `${cause} ${account}`;
}
