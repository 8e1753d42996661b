import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { Clock } from '../clock.ts';
import { messageOf, propertyOf } from '../fault.ts';
import type { Log } from '../log.ts';
import { conversationOf, type Delivery } from '../message.ts';
import { GroupCommit } from './group-commit.ts';
import { migrate } from './sqlite-schema.ts';
import {
  type Acceptance,
  type Claim,
  type ClaimRequest,
  type ClaimResult,
  type Entry,
  FileInUse,
  type Settlement,
  type SettleResult,
  type Store,
  StoreRefused,
} from './store.ts';

interface Options {
  readonly file: string;
  readonly clock: Pick<Clock, 'now'>;
  readonly newToken: () => string;
  readonly log: Log;
}

/** `node:sqlite` blocks the event loop for the fsync of each commit; above this the disk is too slow for that. */
const SLOW_COMMIT_MS = 5;
const COMMITS_MEASURED = 5;
/** Nothing is ever put off longer than this, so what looks so has seen the clock jump. */
const LONGEST_DELAY_MS = 3_600_000;

const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;

/** The outbox in one SQLite file, which this process alone owns. */
export class SqliteStore implements Store {
  readonly #database: DatabaseSync;
  readonly #commits: GroupCommit;
  readonly #options: Options;
  readonly #sql: ReturnType<typeof prepareAll>;

  /** @throws {FileInUse} when another process has the file; {StoreRefused} when it cannot be used */
  static open(options: Options): SqliteStore {
    try {
      return new SqliteStore(options);
    } catch (error) {
      const code = propertyOf(error, 'errcode');
      if (code === SQLITE_BUSY || code === SQLITE_LOCKED) {
        const advice = 'a file has one owner. Stop the other one, or name another file in DATABASE_URL';
        throw new FileInUse(`${options.file} is in use by another process; ${advice}.`, { cause: error });
      }
      if (error instanceof StoreRefused) throw error;
      throw new StoreRefused(`${options.file} cannot be used (${messageOf(error)}); see DATABASE_URL.`, {
        cause: error,
      });
    }
  }

  private constructor(options: Options) {
    this.#options = options;
    mkdirSync(dirname(options.file), { recursive: true });
    // What customers write is nobody else's business on this machine.
    closeSync(openSync(options.file, 'a', 0o600));
    this.#database = new DatabaseSync(options.file);
    try {
      // auto_vacuum can only be chosen before the first table, locking_mode before WAL is first touched.
      this.#database.exec(`
        pragma locking_mode = exclusive;
        pragma auto_vacuum = incremental;
        pragma journal_mode = wal;
        pragma synchronous = full;
      `);
      migrate(this.#database, options.file);
      this.#sql = prepareAll(this.#database);
      this.#endLeases();
    } catch (error) {
      this.#database.close();
      throw error;
    }
    this.#commits = new GroupCommit(this.#database);
  }

  accept(entries: readonly Entry[]): Promise<readonly Acceptance[]> {
    return this.#commits.run(() => entries.map((entry) => this.#acceptOne(entry)));
  }

  claim({ account, limit, leaseMs }: ClaimRequest): Promise<ClaimResult> {
    return this.#commits.run(() => {
      const now = this.#options.clock.now();
      const due = this.#sql.due.all(account, now, limit);
      const jumped =
        due.length < limit ? this.#sql.jumped.all(account, now + LONGEST_DELAY_MS, limit - due.length) : [];
      const claims = [...due, ...jumped].flatMap(({ key, lease }) => {
        const token = this.#options.newToken();
        this.#sql.lease.run(token, now + leaseMs, String(key));
        const claim = this.#head(String(key), account, token, lease !== null);
        if (claim === undefined) this.#mend(String(key));
        return claim ?? [];
      });
      if (due.length === limit) return { claims, nextDueMs: 0 };
      const next = this.#sql.nextDue.get(account)?.ready_at;
      return { claims, nextDueMs: next === undefined ? undefined : Math.max(0, Number(next) - now) };
    });
  }

  settle(claim: Claim, settlement: Settlement, keepLease: { leaseMs: number } | undefined): Promise<SettleResult> {
    return this.#commits.run(() => {
      if (this.#sql.holds.get(claim.conversation, claim.lease) === undefined) return 'stale';
      const now = this.#options.clock.now();
      const changed = this.#settleMessage(claim.message.id, settlement, now);
      const dueAt = settlement.state === 'waiting' ? now + settlement.dueInMs : now;
      const goesOn = settlement.state === 'waiting' ? undefined : keepLease;
      const row = goesOn
        ? this.#sql.goOn.get(changed, now + goesOn.leaseMs, claim.conversation)
        : this.#sql.release.get(changed, dueAt, claim.conversation);
      const hasMore = Number(row?.pending) > 0;
      const next = goesOn && hasMore ? this.#head(claim.conversation, claim.account, claim.lease, false) : undefined;
      if (goesOn && next === undefined) {
        if (hasMore) this.#mend(claim.conversation);
        else this.#sql.release.get(0, now, claim.conversation);
      }
      return { next, hasMore: hasMore && next === undefined };
    });
  }

  renew(claims: readonly Claim[], leaseMs: number): Promise<void> {
    return this.#commits.run(() => {
      const until = this.#options.clock.now() + leaseMs;
      for (const { conversation, lease } of claims) this.#sql.renew.run(until, conversation, lease);
    });
  }

  async isWritable(): Promise<boolean> {
    if (!this.#commits.isFailing) return true;
    return this.#commits
      .run(() => this.#write())
      .then(
        () => true,
        () => false,
      );
  }

  async close(): Promise<void> {
    this.#commits.flush();
    this.#database.close();
  }

  /** What a commit costs here, in milliseconds: the median of a few. Warns where that is too slow. */
  measureCommit(elapsed: () => number): number {
    const costs = Array.from({ length: COMMITS_MEASURED }, () => {
      const start = elapsed();
      this.#write();
      return elapsed() - start;
    });
    const median = costs.toSorted((a, b) => a - b)[Math.floor(COMMITS_MEASURED / 2)] ?? 0;
    if (median > SLOW_COMMIT_MS) {
      const advice = 'every commit blocks the process for this long; put the database on a faster disk';
      this.#options.log.warn(`slow disk: ${advice}`, { file: this.#options.file, commit_ms: round(median) });
    }
    return round(median);
  }

  /** The smallest change that reaches the disk. */
  #write(): void {
    const { application_id: id } = this.#database.prepare('pragma application_id').get() ?? {};
    this.#database.exec(`pragma application_id = ${Number(id)}`);
  }

  /** Whoever held a lease is gone, since this process owns the file. The tokens stay: they say which heads are in doubt. */
  #endLeases(): void {
    this.#database
      .prepare('update conversations set ready_at = ? where lease is not null')
      .run(this.#options.clock.now());
  }

  #acceptOne({ id, channel, message, placement, tableVersion, lease }: Entry): Acceptance {
    const now = this.#options.clock.now();
    const delivery = 'delivery' in placement ? placement.delivery : undefined;
    const dead = 'dead' in placement ? placement : undefined;
    const conversation = delivery && conversationOf(delivery);
    const { changes } = this.#sql.insert.run(
      id,
      conversation ?? null,
      dead ? 'dead' : 'waiting',
      dead?.dead ?? null,
      dead?.detail ?? null,
      channel,
      message.providerId ?? null,
      JSON.stringify(message),
      placement.route,
      tableVersion,
      delivery ? JSON.stringify(delivery) : null,
      now,
      dead ? now : null,
    );
    if (changes === 0) {
      const first = this.#sql.first.get(channel, message.providerId ?? null);
      return { id: String(first?.id), isDuplicate: true, claim: undefined };
    }
    if (delivery === undefined || conversation === undefined) return { id, isDuplicate: false, claim: undefined };

    const readyAt = now + (lease?.leaseMs ?? 0);
    const row = this.#sql.enqueue.get(conversation, delivery.account, readyAt, lease?.token ?? null);
    const claim: Claim | undefined =
      lease && row?.lease === lease.token
        ? {
            conversation,
            account: delivery.account,
            lease: lease.token,
            isInDoubt: false,
            message: { id, delivery, attempts: 0, ageMs: 0 },
          }
        : undefined;
    return { id, isDuplicate: false, claim };
  }

  #settleMessage(id: string, settlement: Settlement, now: number): number {
    switch (settlement.state) {
      case 'delivered':
        return Number(this.#sql.delivered.run(now, settlement.messageId, settlement.createdAt, id).changes);
      case 'dead':
        return Number(this.#sql.dead.run(now, settlement.reason, settlement.detail, id).changes);
      case 'waiting':
        this.#sql.again.run(settlement.isSpent ? 1 : 0, settlement.detail, id);
        return 0;
      default: {
        const never: never = settlement;
        return never;
      }
    }
  }

  #head(conversation: string, account: string, lease: string, isInDoubt: boolean): Claim | undefined {
    const row = this.#sql.head.get(conversation);
    if (row === undefined) return undefined;
    const message = {
      id: String(row.id),
      delivery: JSON.parse(String(row.delivery)) as Delivery,
      attempts: Number(row.attempts),
      ageMs: this.#options.clock.now() - Number(row.accepted_at),
    };
    return { conversation, account, lease, isInDoubt, message };
  }

  /** `pending` says that messages wait, and none does: the count was wrong, which only a fault of ours can bring about. */
  #mend(conversation: string): void {
    this.#sql.recount.run(conversation);
    this.#options.log.error('a conversation was counted wrong and is mended', { conversation });
  }
}

function prepareAll(database: DatabaseSync) {
  const sql = (text: string): StatementSync => database.prepare(text);
  return {
    insert: sql(`
      insert into messages (id, conversation, state, reason, detail, channel, provider_id, message, route, table_version,
        delivery, accepted_at, settled_at)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      on conflict (channel, provider_id) where provider_id is not null do nothing`),
    first: sql('select id from messages where channel = ? and provider_id = ?'),
    enqueue: sql(`
      insert into conversations (key, account, pending, ready_at, lease) values (?, ?, 1, ?, ?)
      on conflict (key) do update set
        ready_at = case when pending = 0 then excluded.ready_at else ready_at end,
        lease = case when pending = 0 then excluded.lease else lease end,
        pending = pending + 1
      returning lease`),
    due: sql(`
      select key, lease from conversations where account = ? and pending > 0 and ready_at <= ?
      order by ready_at limit ?`),
    jumped: sql('select key, lease from conversations where account = ? and pending > 0 and ready_at > ? limit ?'),
    nextDue: sql('select ready_at from conversations where account = ? and pending > 0 order by ready_at limit 1'),
    lease: sql('update conversations set lease = ?, ready_at = ? where key = ?'),
    renew: sql('update conversations set ready_at = ? where key = ? and lease = ?'),
    holds: sql('select 1 from conversations where key = ? and lease = ?'),
    release: sql(
      'update conversations set pending = pending - ?, ready_at = ?, lease = null where key = ? returning pending',
    ),
    goOn: sql('update conversations set pending = pending - ?, ready_at = ? where key = ? returning pending'),
    recount: sql(`
      update conversations set lease = null,
        pending = (select count(*) from messages where conversation = key and state = 'waiting') where key = ?`),
    head: sql(`
      select id, delivery, attempts, accepted_at from messages where conversation = ? and state = 'waiting'
      order by seq limit 1`),
    delivered: sql(`
      update messages set state = 'delivered', settled_at = ?, message_id = ?, created_at = ?, attempts = attempts + 1,
        detail = null
      where id = ? and state = 'waiting'`),
    dead: sql(`
      update messages set state = 'dead', settled_at = ?, reason = ?, detail = ?, attempts = attempts + 1
      where id = ? and state = 'waiting'`),
    again: sql("update messages set attempts = attempts + ?, detail = ? where id = ? and state = 'waiting'"),
  };
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100;
}
