import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Outcome } from '../message.ts';
import { Lane, PROBE_INTERVAL_MS } from './lane.ts';
import type { Limits } from './limiter.ts';
import type { Hold, HoldCause, Share, Sight, StandingHold, Store } from './store.ts';

/** What the outbox knows of an account. */
export interface AccountLimits {
  readonly maxConcurrency: number | undefined;
  readonly maxPerSecond: number | undefined;
  /** Tells its URLs and credentials from any others. */
  readonly fingerprint: string;
}

export interface LanesOptions {
  readonly store: Pick<Store, 'look' | 'hold' | 'release'>;
  /** The accounts that there are right now; others' messages wait. */
  readonly accounts: () => ReadonlyMap<string, AccountLimits>;
  /** Conversations in flight per account, where it sets no lower number. */
  readonly concurrency: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** Of an account that is not there. */
const NOTHING = { maxConcurrency: 0, maxPerSecond: undefined };

/** A hold as operators see it. Times are milliseconds since the epoch. */
export interface HoldView {
  readonly cause: HoldCause;
  readonly since: number;
  /** When the credentials are tried next; undefined where they are being tried, or an operator has paused the account. */
  readonly nextProbeAt: number | undefined;
}

/** The lanes of all accounts, and their holds, which outlive the process and are shared with all that deliver. */
export class Lanes {
  readonly #options: LanesOptions;
  readonly #lanes = new Map<string, Lane>();
  readonly #holds = new Map<string, Hold>();
  #share: Share = { rank: 0, of: 1, isJoining: false };
  #changes: Promise<void> = Promise.resolve();
  /** When this process last said something of an account's credentials; infinitely late while it is being stored. */
  readonly #toldAt = new Map<string, number>();

  constructor(options: LanesOptions) {
    this.#options = options;
  }

  /**
   * Takes up what others have done, and what was in force when a process before ended: holds, and how many share the work.
   *
   * @returns how long until the next conversation of each account is due
   */
  look(): Promise<Sight['due']> {
    return this.#inTurn(async () => {
      const lookedAt = this.#options.clock.elapsed();
      const { due, holds, share } = await this.#options.store.look(this.names);
      this.#share = share;
      const held = holds.map(({ account }) => account);
      for (const account of new Set([...this.names, ...held, ...this.#lanes.keys()])) {
        const standing = holds.filter((hold) => hold.account === account);
        this.#followOperator(
          account,
          standing.find(({ cause }) => cause === 'operator'),
        );
        // What we have said since is not in what we have seen.
        if ((this.#toldAt.get(account) ?? Number.NEGATIVE_INFINITY) >= lookedAt) continue;
        const { fingerprint } = this.of(account);
        const isAbout = (hold: Hold) => hold.cause === 'unauthorized' && hold.fingerprint === fingerprint;
        this.#followProbes(account, standing.find(isAbout));
      }
      return due;
    });
  }

  #followOperator(account: string, hold: Hold | undefined): void {
    const lane = this.of(account);
    if (hold && !lane.isPaused) {
      lane.pause();
      this.#options.log.warn('account on hold', { account, cause: hold.cause });
    } else if (!hold && lane.isPaused) {
      lane.resume(this.#options.clock.elapsed());
      this.#options.log.info('account resumed by an operator', { account });
    }
    this.#note(account, 'operator', hold);
  }

  #followProbes(account: string, hold: StandingHold | undefined): void {
    const lane = this.of(account);
    const now = this.#options.clock.elapsed();
    if (hold && !lane.isUnauthorized) this.#options.log.warn('account on hold', { account, cause: hold.cause });
    if (!hold && lane.isUnauthorized) this.#options.log.info('account released: Haptik accepts it again', { account });
    if (hold) lane.probeFrom(now + hold.probeInMs);
    else if (lane.isUnauthorized) lane.accept(now);
    this.#note(account, 'unauthorized', hold);
  }

  #note(account: string, cause: HoldCause, hold: Hold | undefined): void {
    if (hold) this.#holds.set(keyOf(account, cause), hold);
    else this.#holds.delete(keyOf(account, cause));
  }

  of(account: string): Lane {
    const now = this.#options.clock.elapsed();
    const lane = this.#lanes.get(account) ?? new Lane(now);
    this.#lanes.set(account, lane);
    const fingerprint = this.#options.accounts().get(account)?.fingerprint ?? lane.fingerprint;
    if (lane.fingerprint !== fingerprint) {
      if (lane.isUnauthorized) this.#end(account, lane.fingerprint, 'its credentials have changed');
      lane.fingerprint = fingerprint;
      lane.accept(now);
    }
    return lane;
  }

  limits(account: string): Limits {
    const { maxConcurrency, maxPerSecond } = this.#options.accounts().get(account) ?? NOTHING;
    const { of, isJoining } = this.#share;
    const isLimited = maxConcurrency !== undefined || maxPerSecond !== undefined;
    const concurrency = maxConcurrency === undefined ? Infinity : part(maxConcurrency, this.#share);
    return {
      concurrency: isJoining && isLimited ? 0 : Math.min(concurrency, this.#options.concurrency),
      perSecond: maxPerSecond && maxPerSecond / of,
    };
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
    const { isUnauthorized, fingerprint } = this.of(account);
    if (!isUnauthorized) {
      this.#end(account, fingerprint, 'Haptik accepts it again');
      return;
    }
    const advice = "check the account's client_id and token; one message is tried every 30 s";
    this.#options.log.error(`account on hold: Haptik refuses it, and its messages wait; ${advice}`, {
      account,
      detail: outcome.kind === 'delivered' ? undefined : outcome.detail,
    });
    const hold = this.#newHold(account, 'unauthorized', fingerprint);
    // Should this fail, whoever calls next finds out by himself.
    this.#say(account, 'a hold', () => this.#options.store.hold(hold, PROBE_INTERVAL_MS));
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
      await this.#options.store.hold(hold, 0);
    });
  }

  /** Durable when it resolves; where it is not paused nothing changes. */
  resume(account: string): Promise<void> {
    return this.#inTurn(async () => {
      // Also where it is not paused by all that is known here: another process may just have paused it.
      await this.#options.store.release({ account, cause: 'operator', fingerprint: '' });
      this.#followOperator(account, undefined);
    });
  }

  /** What changes holds takes effect in the order in which it was asked for. */
  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#changes.then(change);
    this.#changes = done.then(
      () => {},
      () => {},
    );
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

  #end(account: string, fingerprint: string, why: string): void {
    this.#holds.delete(keyOf(account, 'unauthorized'));
    this.#options.log.info(`account released: ${why}`, { account });
    const hold = { account, cause: 'unauthorized', fingerprint } as const;
    this.#say(account, 'the end of a hold', () => this.#options.store.release(hold));
  }

  /** Stores what this process has found out of an account's credentials; until then it knows better than the store. */
  #say(account: string, what: string, store: () => Promise<void>): void {
    this.#toldAt.set(account, Number.POSITIVE_INFINITY);
    this.#inTurn(store)
      .catch((error) => this.#options.log.error(`${what} was not stored`, { error }))
      .then(() => this.#toldAt.set(account, this.#options.clock.elapsed()));
  }
}

/** What of a whole number falls to one of those who share it: all of them together use it up. */
function part(whole: number, { rank, of }: Share): number {
  return Math.floor(whole / of) + (rank < whole % of ? 1 : 0);
}

function keyOf(account: string, cause: HoldCause): string {
  return `${cause} ${account}`;
}
