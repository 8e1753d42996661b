import type { StoreOptions, Turns } from '../open.ts';
import type { Records } from '../records.ts';
import {
  type Acceptance,
  BacklogFull,
  type Claim,
  type ClaimRequest,
  type ClaimResult,
  type ConversationRef,
  type Entry,
  type Hold,
  type Renewed,
  type Settlement,
  type SettleResult,
  type Sight,
  type Store,
  StoreRefused,
} from '../store.ts';
import { Tally } from '../tally.ts';
import { WriteHealth } from '../write-health.ts';
import { accept } from './accept.ts';
import { Announcements } from './announcements.ts';
import { Batches } from './batches.ts';
import { type Claimed, claim, type Wanted } from './claim.ts';
import { Database } from './database.ts';
import { LostLeases } from './lost-leases.ts';
import { Presence } from './presence.ts';
import { postgresRecords } from './records.ts';
import { renew } from './renew.ts';
import { migrate } from './schema.ts';
import { type Ended, type Settled, settle } from './settle.ts';
import { look } from './sight.ts';
import { PostgresTables } from './tables.ts';
import { turnsOf } from './turns.ts';
import { findAgain, type Miscount, prune, recount } from './upkeep.ts';

export interface PostgresOptions
  extends Omit<StoreOptions, 'openFile' | 'onMended'>,
    Partial<Pick<StoreOptions, 'onMended'>> {
  readonly url: string;
  /** The time, as SQL: of the database, where it is left out. */
  readonly now?: (() => string) | undefined;
}

/** Whoever sends us something waits for two seconds at most; this leaves time for the rest of the answer. */
const ACCEPT_MS = 1_500;
/** What others hold for longer is left to its sender to send again, so that only he waits for it. */
const LOCK_MS = 500;
/** One that is tried by itself has been waited for already, by all that came with it. */
const LOCK_AGAIN_MS = 50;
const WORK_MS = 5_000;
/** What looks through all that waits, once an hour. */
const SLOW = { withinMs: 60_000 };
/** Messages in one transaction: more are no cheaper each. */
const BATCH = 200;
/** The outbox in PostgreSQL, which any number of processes share. */
export class PostgresStore implements Store {
  readonly #options: PostgresOptions;
  readonly #database: Database;
  /** This process, among those that share the database. */
  readonly #replica: string;
  readonly #accepts: Batches<readonly Entry[], readonly Acceptance[]>;
  readonly #claims: Batches<ClaimRequest, ClaimResult>;
  readonly #settles: Batches<Ended, SettleResult>;
  readonly #announcements: Announcements;
  readonly #waiting = new Tally();
  readonly #presence: Presence;
  readonly #health = new WriteHealth(() => this.#presence.say());
  readonly #lost: LostLeases;
  #floors: ReadonlyMap<string, number> = new Map();
  /** Those that this process delivers for. */
  #accounts: readonly string[] = [];
  /** The operator's side of it. */
  readonly records: Records;
  readonly turns: Turns;
  /** Which routing tables the processes that share it have in force. */
  readonly tables: PostgresTables;

  /** @throws {StoreUnavailable | StoreRefused} when the database cannot be used */
  static async open(options: PostgresOptions): Promise<PostgresStore> {
    const store = new PostgresStore(options);
    try {
      await migrate(store.#database);
      await store.#refuseHalves();
      await store.#warn();
      await store.#presence.say();
      await store.#presence.count();
    } catch (error) {
      await store.#database.close();
      throw error;
    }
    store.#presence.keep(store.#health);
    return store;
  }

  private constructor(options: PostgresOptions) {
    const { clock, url, now } = options;
    this.#options = options;
    this.#replica = options.newToken();
    this.#database = new Database({ url, clock, now });
    const database = this.#database;
    this.#accepts = new Batches({
      run: (batch, deadline, isAlone) => this.#accept(batch, deadline, isAlone),
      size: BATCH,
      withinMs: ACCEPT_MS,
      clock,
    });
    this.#claims = new Batches({
      run: (batch, deadline) => this.#claim(batch, deadline),
      size: BATCH,
      withinMs: WORK_MS,
      clock,
    });
    this.#settles = new Batches({
      run: (batch, deadline, isAlone) => this.#settle(batch, deadline, isAlone),
      size: BATCH,
      withinMs: WORK_MS,
      clock,
    });
    this.#lost = new LostLeases({ database, clock });
    this.#announcements = new Announcements({ database, clock, replica: this.#replica });
    this.tables = new PostgresTables({ database, replica: this.#replica, clock });
    this.#presence = new Presence({
      database,
      replica: this.#replica,
      waiting: this.#waiting,
      accounts: () => this.#accounts,
      tables: this.tables,
      clock,
    });
    this.records = postgresRecords(database, clock);
    this.turns = turnsOf(database, this.#replica);
  }

  /** Where it is, for people. */
  get place(): string {
    return this.#database.place;
  }

  async accept(entries: readonly Entry[]): Promise<readonly Acceptance[]> {
    for (const account of new Set(entries.map(accountOf))) {
      if (account === undefined || this.#waiting.of(account) < this.#options.maxBacklog) continue;
      throw new BacklogFull(`${this.#waiting.of(account)} messages of account ${account} wait already (MAX_BACKLOG)`);
    }
    const acceptances = await this.#health.watch(this.#accepts.add(entries));
    for (const [index, entry] of entries.entries()) {
      const account = accountOf(entry);
      if (account !== undefined && !acceptances[index]?.isDuplicate) this.#waiting.add(account, 1);
    }
    return acceptances;
  }

  async #accept(batch: readonly (readonly Entry[])[], deadline: number, isAlone: boolean) {
    const entries = batch.flat();
    const leases = entries.flatMap(({ lease }) => (lease ? lease.token : []));
    const acceptances = await this.#lost.watch(
      leases,
      this.#database.transaction((query) => accept(this.#database, query, entries), {
        withinMs: deadline - this.#options.clock.elapsed(),
        lockMs: isAlone ? LOCK_AGAIN_MS : LOCK_MS,
      }),
    );
    let start = 0;
    return batch.map(({ length }) => {
      start += length;
      return acceptances.slice(start - length, start);
    });
  }

  claim(request: ClaimRequest): Promise<ClaimResult> {
    return this.#claims.add(request);
  }

  async #claim(batch: readonly ClaimRequest[], deadline: number): Promise<readonly ClaimResult[]> {
    const wanted: readonly Wanted[] = batch.map((request) => ({
      ...request,
      token: this.#options.newToken(),
      floor: this.#floors.get(request.account) ?? 0,
    }));
    const tokens = wanted.map(({ token }) => token);
    const { results, mended }: Claimed = await this.#lost.watch(
      tokens,
      this.#database.transaction((query) => claim(this.#database, query, wanted), {
        withinMs: deadline - this.#options.clock.elapsed(),
      }),
    );
    this.#tellMended(mended);
    return results;
  }

  settle(claim: Claim, settlement: Settlement, keepLease: { leaseMs: number } | undefined): Promise<SettleResult> {
    return this.#settles.add({ claim, settlement, keepLease });
  }

  async #settle(batch: readonly Ended[], deadline: number, isAlone: boolean): Promise<readonly SettleResult[]> {
    const settled: readonly Settled[] = await this.#database.transaction(
      (query) => settle(this.#database, query, batch, this.#options.eraseAtOnce),
      { withinMs: deadline - this.#options.clock.elapsed(), lockMs: isAlone ? LOCK_AGAIN_MS : LOCK_MS },
    );
    for (const [index, { claim }] of batch.entries()) {
      const { changed = 0, miscounted = 0 } = settled[index] ?? {};
      this.#waiting.add(claim.account, -changed);
      if (miscounted !== 0) {
        this.#tellMended([{ conversation: String(claim.conversation), account: claim.account, by: miscounted }]);
      }
    }
    return settled.map(({ result }) => result);
  }

  renew(claims: readonly Claim[], leaseMs: number): Promise<Renewed> {
    return renew(this.#database, claims, leaseMs);
  }

  async look(accounts: readonly string[]): Promise<Sight> {
    try {
      const { floors, ...sight } = await look(this.#database, this.#replica, accounts);
      this.#floors = floors;
      this.#accounts = accounts;
      return sight;
    } catch (error) {
      this.#health.doubt();
      throw error;
    }
  }

  announce(account: string): void {
    this.#announcements.announce(account);
  }

  listen(onAnnounced: (account: string) => void): void {
    this.#announcements.listen(onAnnounced);
  }

  prune(age: { contentMs: number; rowsMs: number; limit: number }): Promise<boolean> {
    return prune(this.#database, age);
  }

  async recount(after: ConversationRef | undefined, limit: number) {
    const { next, wrong } = await this.#database.transaction((query) => recount(this.#database, query, after, limit));
    const isEnd = next === undefined;
    const found = isEnd ? await this.#database.transaction((query) => findAgain(this.#database, query), SLOW) : [];
    const mended = [...wrong, ...found];
    this.#tellMended(mended);
    return { next, mended: mended.map(({ conversation }) => conversation) };
  }

  async hold({ account, cause, fingerprint, since }: Hold, probeInMs: number): Promise<void> {
    const { schema, now } = this.#database;
    await this.#database.transaction((query) =>
      query(
        `insert into ${schema}.holds (account, cause, fingerprint, since, probe_at) values ($1, $2, $3, $4, ${now} + $5)
        on conflict do nothing`,
        [account, cause, fingerprint, since, probeInMs],
      ),
    );
  }

  async release({ account, cause, fingerprint }: Omit<Hold, 'since'>): Promise<void> {
    const { schema } = this.#database;
    await this.#database.transaction((query) =>
      query(`delete from ${schema}.holds where account = $1 and cause = $2 and fingerprint = $3`, [
        account,
        cause,
        fingerprint,
      ]),
    );
  }

  isWritable(): Promise<boolean> {
    return this.#health.isWritable();
  }

  async close(): Promise<void> {
    await Promise.all([this.#accepts.idle(), this.#claims.idle(), this.#settles.idle(), this.#lost.close()]);
    await Promise.all([this.#announcements.close(), this.#presence.leave()]);
    await this.#database.close();
  }

  /** Of what is still to come repeats would not be recognised, and what is there already sleeps. */
  async #refuseHalves(): Promise<void> {
    const { schema } = this.#database;
    const { rowCount } = await this.#database.query(`select 1 from ${schema}.moves where not is_done and last_seq > 0`);
    if (rowCount === 0) return;
    const advice = 'run haptik-bridge migrate again, to its end, or name another database or schema in DATABASE_URL';
    throw new StoreRefused(`${this.place} holds a part of what is being moved to it; ${advice}.`);
  }

  async #warn(): Promise<void> {
    const { rows } = await this.#database.query(
      "select current_setting('fsync') as fsync, current_setting('full_page_writes') as full_page_writes",
    );
    const off = Object.entries(rows[0] ?? {}).flatMap(([name, value]) => (value === 'off' ? name : []));
    if (off.length === 0) return;
    const danger = 'what is acknowledged may be lost when its machine stops';
    this.#options.log.warn(`the database runs with ${off.join(' and ')} off: ${danger}`, { database: this.place });
  }

  #tellMended(wrong: readonly Miscount[]): void {
    for (const { conversation, account, by } of wrong) {
      this.#options.log.error('a conversation was counted wrong and is mended', { conversation, account, by });
      this.#options.onMended?.();
    }
  }
}

function accountOf({ placement }: Entry): string | undefined {
  return 'delivery' in placement ? placement.delivery.account : undefined;
}
