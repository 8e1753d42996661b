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
import { CommitUnknown, Contended, Database } from './database.ts';
import { postgresRecords } from './records.ts';
import { migrate } from './schema.ts';
import { type Ended, type Settled, settle } from './settle.ts';
import { look } from './sight.ts';
import { turnsOf } from './turns.ts';
import { type Miscount, prune, recount } from './upkeep.ts';

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
/** Messages in one transaction: more are no cheaper each. */
const BATCH = 200;
/** Others take a process for gone that is not seen three times. */
const BEAT_MS = 5_000;
const RETRY_MS = 1_000;
/** How many times longer than it took what waits is not counted again. */
const SPARING = 100;
/** Leases of claims that may have been committed without our knowing; looked for in all conversations. */
const GIVE_BACK_MS = 30_000;

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
  readonly #health = new WriteHealth(() => this.#beat());
  readonly #closing = new AbortController();
  #floors: ReadonlyMap<string, number> = new Map();
  /** Tokens of leases that may be committed yet, and the first transaction that is surely younger than theirs. */
  readonly #lost = new Map<string, number | undefined>();
  #giving: Promise<void> | undefined;
  #beating: Promise<void> = Promise.resolve();
  /** The operator's side of it. */
  readonly records: Records;
  readonly turns: Turns;

  /** @throws {StoreUnavailable | StoreRefused} when the database cannot be used */
  static async open(options: PostgresOptions): Promise<PostgresStore> {
    const store = new PostgresStore(options);
    try {
      await migrate(store.#database);
      await store.#refuseHalves();
      await store.#warn();
      await store.#beat();
      await store.#count();
    } catch (error) {
      await store.#database.close();
      throw error;
    }
    store.#beating = store.#keepSeen();
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
    this.#announcements = new Announcements({ database, clock, replica: this.#replica });
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
    const acceptances = await this.#leasing(leases, () =>
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
    const { results, mended }: Claimed = await this.#leasing(tokens, () =>
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

  async renew(claims: readonly Claim[], leaseMs: number): Promise<readonly Claim[]> {
    try {
      return await this.#renew(claims, leaseMs, '');
    } catch (error) {
      if (!(error instanceof Contended)) throw error;
      // Somebody holds one of them: the others must not end with it.
      return this.#renew(claims, leaseMs, 'skip locked');
    }
  }

  async #renew(claims: readonly Claim[], leaseMs: number, mode: '' | 'skip locked'): Promise<readonly Claim[]> {
    const { schema, now } = this.#database;
    const { rows } = await this.#database.transaction(
      (query) =>
        query(
          `with held as (
            select c.id from ${schema}.conversations c
            join unnest($1::uuid[], $2::text[]) as w (id, lease) on c.id = w.id and c.lease = w.lease
            order by c.id for update of c ${mode}
          )
          update ${schema}.conversations c set ready_at = ${now} + $3 from held where c.id = held.id returning c.id`,
          [claims.map(({ conversation }) => String(conversation)), claims.map(({ lease }) => lease), leaseMs],
        ),
      { lockMs: LOCK_MS },
    );
    const held = new Set(rows.map(({ id }) => id));
    return claims.filter(({ conversation }) => !held.has(conversation));
  }

  async look(accounts: readonly string[]): Promise<Sight> {
    try {
      const { floors, ...sight } = await look(this.#database, this.#replica, accounts);
      this.#floors = floors;
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
    this.#tellMended(wrong);
    return { next, mended: wrong.map(({ conversation }) => conversation) };
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
    this.#closing.abort();
    await Promise.all([this.#accepts.idle(), this.#claims.idle(), this.#settles.idle(), this.#beating, this.#giving]);
    await this.#announcements.close();
    const { schema } = this.#database;
    // Otherwise the others find out by themselves.
    await this.#database.query(`delete from ${schema}.replicas where id = $1`, [this.#replica]).catch(() => undefined);
    await this.#database.close();
  }

  /**
   * A transaction that leases under these tokens. Where it may have been committed without our knowing, nobody delivers
   * from what it has leased: that is given back as soon as the database answers, and nothing of it is in doubt.
   */
  async #leasing<T>(tokens: readonly string[], work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof CommitUnknown && tokens.length > 0) {
        for (const token of tokens) this.#lost.set(token, undefined);
        this.#giving ??= this.#giveBack();
      }
      throw error;
    }
  }

  /**
   * Until the transactions have surely ended: what was asked to commit may do so much later than we stop to wait for it.
   * They are older than whatever begins once we know; when all of that age have ended, so have they.
   */
  async #giveBack(): Promise<void> {
    const { schema, now } = this.#database;
    const { clock } = this.#options;
    while (this.#lost.size > 0) {
      const tokens = [...this.#lost.keys()];
      try {
        const { id, oldest } = await this.#database.transaction(
          async (query) => {
            const { rows: own } = await query('select pg_current_xact_id()::text::bigint as id');
            const { rows: others } = await query(
              'select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as oldest',
            );
            await query(
              `update ${schema}.conversations set lease = null, in_flight = null, given_at = null, ready_at = ${now}
              where lease = any ($1)`,
              [tokens],
            );
            return { id: Number(own[0]?.id), oldest: Number(others[0]?.oldest) };
          },
          { withinMs: GIVE_BACK_MS },
        );
        for (const token of tokens) {
          const younger = this.#lost.get(token) ?? id;
          if (oldest >= younger) this.#lost.delete(token);
          else this.#lost.set(token, younger);
        }
      } catch {
        // What is not given back now is so later.
      }
      if (this.#lost.size === 0) break;
      await clock.sleep(RETRY_MS, this.#closing.signal);
      if (this.#closing.signal.aborted) break;
    }
    this.#giving = undefined;
  }

  /** Says that this process is there; what is written shows also whether the database can be written. */
  async #beat(): Promise<void> {
    const { schema, now } = this.#database;
    await this.#database.transaction(
      (query) =>
        query(
          `insert into ${schema}.replicas (id, joined_at, seen_at) values ($1, ${now}, ${now})
          on conflict (id) do update set seen_at = excluded.seen_at`,
          [this.#replica],
        ),
      { withinMs: ACCEPT_MS },
    );
  }

  async #keepSeen(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#closing;
    let countAt = 0;
    let pause = BEAT_MS;
    for (;;) {
      await clock.sleep(pause, signal);
      if (signal.aborted) return;
      try {
        await this.#health.watch(this.#beat());
        const now = clock.elapsed();
        if (now >= countAt) {
          await this.#count();
          countAt = now + (clock.elapsed() - now) * SPARING;
        }
        pause = BEAT_MS;
      } catch {
        // Whoever accepts or claims says so.
        pause = RETRY_MS;
      }
    }
  }

  /** What waits in each account, whoever has stored or delivered it. */
  async #count(): Promise<void> {
    const { schema } = this.#database;
    const { rows } = await this.#database.query(
      `select account, sum(pending) as waiting from ${schema}.conversations group by account`,
    );
    this.#waiting.set(new Map(rows.map(({ account, waiting }) => [String(account), Number(waiting)])));
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
