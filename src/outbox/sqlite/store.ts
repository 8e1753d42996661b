import type { DatabaseSync } from 'node:sqlite';
import { type Clock, steadyTime } from '../../clock.ts';
import { conversationOf, type Delivery } from '../../message.ts';
import type { StoreOptions } from '../open.ts';
import { type Records, strayGroup } from '../records.ts';
import { keptKey, windowOf } from '../repeat.ts';
import {
  type Acceptance,
  BacklogFull,
  type Claim,
  type ClaimRequest,
  type ClaimResult,
  type ConversationRef,
  type Entry,
  type Hold,
  type HoldCause,
  type Renewed,
  type Settlement,
  type SettleResult,
  type Share,
  type Sight,
  type Store,
} from '../store.ts';
import type { Tables } from '../tables.ts';
import { Tally } from '../tally.ts';
import { WriteHealth } from '../write-health.ts';
import { commitCost, openFile, refusalOf } from './file.ts';
import { GroupCommit } from './group-commit.ts';
import { sqliteRecords } from './records.ts';
import { prepareStatements, type Statements } from './statements.ts';
import { sqliteTables } from './tables.ts';
import { type Miscount, noteDoubt, prune, recount } from './upkeep.ts';

interface Options extends Omit<StoreOptions, 'clock' | 'onMended'>, Partial<Pick<StoreOptions, 'onMended'>> {
  readonly file: string;
  readonly clock: Pick<Clock, 'now' | 'elapsed'>;
}

/** `node:sqlite` blocks the event loop for the fsync of each commit; above this the disk is too slow for that. */
const SLOW_COMMIT_MS = 5;

/** A file has one owner. */
const ALONE: Share = { rank: 0, of: 1, isJoining: false };

const PROBE_BYTES = 1_048_576;

/** The outbox in one SQLite file, which this process alone owns. */
export class SqliteStore implements Store {
  readonly #database: DatabaseSync;
  readonly #commits: GroupCommit;
  readonly #options: Options;
  readonly #sql: Statements;
  readonly waiting = new Tally();
  #lastSeq: number;
  /** When conversations are due, and leases end, is of this time: nobody is put to sleep by a clock that is set. */
  readonly #steadyNow: () => number;
  /** The operator's side of it. */
  readonly records: Records;
  /** Which routing tables are and were in force on it. */
  readonly tables: Tables;
  readonly #health = new WriteHealth(() => this.#tryWrite());

  /** @throws {FileInUse | StoreRefused} as `openFile` */
  constructor(options: Options) {
    this.#options = options;
    this.#steadyNow = steadyTime(options.clock);
    this.#database = (options.openFile ?? openFile)(options.file);
    try {
      this.#sql = prepareStatements(this.#database);
      this.#takeOver();
      this.#countWaiting();
      this.#lastSeq = Number(this.#database.prepare('select max(seq) as seq from messages').get()?.seq ?? 0);
    } catch (error) {
      this.#database.close();
      throw refusalOf(error, options.file);
    }
    this.#commits = new GroupCommit(this.#database);
    this.records = sqliteRecords({
      database: this.#database,
      commits: this.#commits,
      clock: options.clock,
      steadyNow: this.#steadyNow,
      sql: this.#sql,
      waiting: this.waiting,
    });
    this.tables = sqliteTables({ database: this.#database, commits: this.#commits, clock: options.clock });
  }

  async accept(entries: readonly Entry[]): Promise<readonly Acceptance[]> {
    for (const account of new Set(entries.map(accountOf))) {
      if (account === undefined || this.waiting.of(account) < this.#options.maxBacklog) continue;
      throw new BacklogFull(`${this.waiting.of(account)} messages of account ${account} wait already (MAX_BACKLOG)`);
    }
    const stored = this.#commits.run(() => entries.map((entry) => this.#acceptOne(entry)));
    const acceptances = await this.#health.watch(stored);
    for (const [index, entry] of entries.entries()) {
      const account = accountOf(entry);
      if (account !== undefined && !acceptances[index]?.isDuplicate) this.waiting.add(account, 1);
    }
    return acceptances;
  }

  async claim({ account, limit, leaseMs, busy, probe }: ClaimRequest): Promise<ClaimResult> {
    const { result, mended } = await this.#commits.run(() => {
      const mended: Miscount[] = [];
      const now = this.#steadyNow();
      const isFree = ({ id }: Row) => !busy.has(Number(id));
      const mayProbe = probe && this.#sql.dueProbe.get(account, probe.fingerprint, now) !== undefined;
      if (probe && !mayProbe) return { result: { claims: [], nextDueMs: undefined }, mended };
      const due = take(limit, this.#sql.due.iterate(account, now), isFree);
      const claims = due.flatMap(({ id, in_flight, given_at }) => {
        // Its lease ended without a settle. Something may have been put in front of it since.
        if (in_flight !== null) noteDoubt(this.#sql, Number(in_flight), Number(given_at));
        const claim = this.#head(Number(id), account, this.#options.newToken(), now + leaseMs);
        if (claim === undefined) mended.push(this.#mend(Number(id), account));
        return claim ?? [];
      });
      if (probe && claims.length > 0) this.#sql.probed.run(now + probe.everyMs, account, probe.fingerprint);
      if (due.length === limit) return { result: { claims, nextDueMs: 0 }, mended };
      const next = take(1, this.#sql.nextDue.iterate(account), isFree)[0]?.ready_at;
      return {
        result: { claims, nextDueMs: next === undefined ? undefined : Math.max(0, Number(next) - now) },
        mended,
      };
    });
    this.#tellMended(mended);
    return result;
  }

  async settle(
    claim: Claim,
    settlement: Settlement,
    keepLease: { leaseMs: number } | undefined,
  ): Promise<SettleResult> {
    const { result, changed } = await this.#commits.run(() => this.#settleOne(claim, settlement, keepLease));
    this.waiting.add(claim.account, -changed);
    return result;
  }

  renew(claims: readonly Claim[], leaseMs: number): Promise<Renewed> {
    return this.#commits.run(() => {
      const until = this.#steadyNow() + leaseMs;
      const isHeld = ({ conversation, lease }: Claim) => this.#sql.renew.run(until, conversation, lease).changes > 0;
      const renewed = claims.filter(isHeld);
      return { renewed, lost: claims.filter((claim) => !renewed.includes(claim)) };
    });
  }

  async look(accounts: readonly string[]): Promise<Sight> {
    const now = this.#steadyNow();
    const due = accounts.flatMap((account) => {
      const readyAt = this.#sql.nextDue.get(account)?.ready_at;
      return readyAt === undefined ? [] : [[account, Math.max(0, Number(readyAt) - now)] as const];
    });
    const holds = this.#sql.listHolds.all().map(({ account, cause, fingerprint, since, probe_at }) => ({
      account: String(account),
      cause: cause as HoldCause,
      fingerprint: String(fingerprint),
      since: Number(since),
      probeInMs: Math.max(0, Number(probe_at) - now),
    }));
    return { due: new Map(due), holds, share: ALONE };
  }

  /** There are no others: the file is this process's alone. */
  announce(): void {}

  listen(): void {}

  prune(age: { contentMs: number; rowsMs: number; limit: number }): Promise<boolean> {
    return this.#commits.run(() =>
      prune(this.#database, this.#sql, { now: this.#options.clock.now(), steadyNow: this.#steadyNow() }, age),
    );
  }

  async recount(after: ConversationRef | undefined, limit: number) {
    const { next, wrong } = await this.#commits.run(() => recount(this.#sql, Number(after ?? 0), limit));
    this.#tellMended(wrong);
    return { next, mended: wrong.map(({ conversation }) => conversation) };
  }

  hold({ account, cause, fingerprint, since }: Hold, probeInMs: number): Promise<void> {
    return this.#commits.run(
      () => void this.#sql.hold.run(account, cause, fingerprint, since, this.#steadyNow() + probeInMs),
    );
  }

  release({ account, cause, fingerprint }: Omit<Hold, 'since'>): Promise<void> {
    return this.#commits.run(() => void this.#sql.release.run(account, cause, fingerprint));
  }

  isWritable(): Promise<boolean> {
    return this.#health.isWritable();
  }

  /**
   * On a disk that is nearly full small writes go on for long: it takes one as large as a webhook may be. It takes two
   * commits, since pages that are freed in the commit that fills them are never written.
   */
  async #tryWrite(): Promise<void> {
    await this.#commits.run(() => this.#sql.probe.run(PROBE_BYTES));
    await this.#commits.run(() => this.#sql.endProbe.run());
  }

  async close(): Promise<void> {
    this.#commits.flush();
    this.#database.close();
  }

  /** What a commit costs here, in milliseconds. Warns where that is too slow. */
  measureCommit(elapsed: () => number): number {
    const cost = Math.round(commitCost(this.#database, elapsed) * 100) / 100;
    if (cost > SLOW_COMMIT_MS) {
      const advice = 'every commit blocks the process for this long; put the database on a faster disk';
      this.#options.log.warn(`slow disk: ${advice}`, { file: this.#options.file, commit_ms: cost });
    }
    return cost;
  }

  /**
   * Whoever held a lease is gone, since this process owns the file. What was in flight stays noted: it is in doubt. What
   * waits for its next try is tried at once: a restart often mends what was wrong, and the clock may have been set meanwhile.
   */
  #takeOver(): void {
    const now = this.#steadyNow();
    this.#database
      .prepare('update conversations set ready_at = ?, lease = null where ready_at > ? or lease is not null')
      .run(now, now);
    // A restart mostly is what mends credentials.
    this.#database.exec('update holds set probe_at = 0');
  }

  #countWaiting(): void {
    const rows = this.#database.prepare('select account, sum(pending) as n from conversations group by account').all();
    for (const { account, n } of rows) this.waiting.add(String(account), Number(n));
  }

  /** Known before the message is stored, since its conversation's lease names it. Gaps mean nothing. */
  #newSeq(): number {
    this.#lastSeq += 1;
    return this.#lastSeq;
  }

  #acceptOne(entry: Entry): Acceptance {
    const { id, placement, lease } = entry;
    const first = this.#firstOf(entry);
    if (first !== undefined) return { id: first, isDuplicate: true, claim: undefined };
    const now = this.#options.clock.now();
    if ('dead' in placement) {
      this.#insert(entry, { seq: this.#newSeq(), now, conversation: null });
      return { id, isDuplicate: false, claim: undefined };
    }
    const { delivery } = placement;
    const { account } = delivery;
    const readyAt = this.#steadyNow() + (lease?.leaseMs ?? 0);
    const seq = this.#newSeq();
    const row = this.#sql.enqueue.get(
      conversationOf(delivery),
      account,
      readyAt,
      lease?.token ?? null,
      lease ? seq : null,
      lease ? now : null,
    );
    const conversation = Number(row?.id);
    this.#insert(entry, { seq, now, conversation });
    const isClaimed = lease !== undefined && row?.lease === lease.token;
    const waiting = { id, delivery, attempts: 0, ageMs: 0, acceptedAt: now };
    const claim = isClaimed
      ? { conversation, account, lease: lease.token, isInDoubt: false, message: waiting }
      : undefined;
    return { id, isDuplicate: false, claim };
  }

  /** The id of what it is a repeat of. Where it is of none, its window is open from here on, if it has one. */
  #firstOf(entry: Entry): string | undefined {
    const { id, channel } = entry;
    const window = windowOf(entry);
    if (window !== undefined) {
      const first = String(this.#sql.openWindow.get({ channel, id, now: this.#steadyNow(), ...window })?.id);
      return first === id ? undefined : first;
    }
    const key = keptKey(entry);
    const row = key === undefined ? undefined : this.#sql.first.get(channel, key);
    return row && String(row.id);
  }

  #insert(entry: Entry, at: { seq: number; now: number; conversation: number | null }): void {
    const { id, channel, message, placement, tableVersion } = entry;
    const dead = 'dead' in placement ? placement : undefined;
    const delivery = 'delivery' in placement ? placement.delivery : undefined;
    this.#sql.insert.run(
      at.seq,
      id,
      at.conversation,
      dead ? 'dead' : 'waiting',
      dead?.dead ?? null,
      dead?.detail ?? null,
      channel,
      keptKey(entry) ?? null,
      JSON.stringify(message),
      placement.route,
      tableVersion,
      delivery ? JSON.stringify(delivery) : null,
      at.now,
      dead ? at.now : null,
      delivery?.account ?? null,
      at.now,
      dead ? strayGroup(channel, message) : null,
    );
  }

  #settleOne(claim: Claim, settlement: Settlement, keepLease: { leaseMs: number } | undefined) {
    const { account, lease } = claim;
    const conversation = Number(claim.conversation);
    if (this.#sql.hasLease.get(conversation, lease) === undefined) return { result: 'stale' as const, changed: 0 };
    const now = this.#steadyNow();
    const changed = this.#settleMessage(claim.message, settlement);
    const pending = Number(this.#sql.count.get(changed, conversation)?.pending);
    if (changed > 0 && stopsConversation(settlement)) {
      this.#sql.stop.run(claim.message.id, conversation);
      return { result: { next: undefined, hasMore: false }, changed };
    }
    const next =
      settlement.state !== 'waiting' && keepLease && pending > 0
        ? this.#head(conversation, account, lease, now + keepLease.leaseMs)
        : undefined;
    if (pending === 0) this.#sql.forget.run({ id: conversation });
    else if (!next)
      this.#sql.giveBack.run(settlement.state === 'waiting' ? now + settlement.dueInMs : now, conversation);
    return { result: { next, hasMore: pending > 0 && next === undefined }, changed };
  }

  /** @returns how many messages wait no longer */
  #settleMessage({ id, delivery }: Claim['message'], settlement: Settlement): number {
    const now = this.#options.clock.now();
    const attempt = settlement.attempt ? JSON.stringify(settlement.attempt) : null;
    switch (settlement.state) {
      case 'delivered': {
        const { messageId, createdAt } = settlement;
        const sql = this.#options.eraseAtOnce ? this.#sql.deliveredAndErased : this.#sql.delivered;
        return Number(sql.run({ id, now, messageId, createdAt, attempt }).changes);
      }
      case 'dead':
      case 'unknown': {
        const { state, detail } = settlement;
        const reason = settlement.state === 'dead' ? settlement.reason : null;
        const group = conversationOf(delivery);
        return Number(this.#sql.aside.run({ id, state, now, reason, detail, group, attempt }).changes);
      }
      case 'waiting':
        this.#sql.again.run({ id, spent: settlement.isSpent ? 1 : 0, detail: settlement.detail, attempt });
        return 0;
      default:
        return settlement satisfies never;
    }
  }

  /** Gives the conversation's first message out under the lease, until then. */
  #head(conversation: number, account: string, lease: string, until: number): Claim | undefined {
    const row = this.#sql.head.get(conversation);
    if (row === undefined) return undefined;
    this.#sql.lease.run(lease, until, Number(row.seq), this.#options.clock.now(), conversation);
    const isInDoubt = row.in_doubt === 1;
    const message = {
      id: String(row.id),
      delivery: JSON.parse(String(row.delivery)) as Delivery,
      attempts: Number(row.attempts),
      ageMs: Math.max(0, this.#options.clock.now() - Number(row.since)),
      acceptedAt: Number(row.accepted_at),
    };
    return { conversation, account, lease, isInDoubt, message };
  }

  /** `pending` says that messages wait, and none does. */
  #mend(conversation: number, account: string): Miscount {
    const pending = Number(this.#sql.count.get(0, conversation)?.pending ?? 0);
    this.#sql.recount.run(0, conversation);
    this.#sql.forget.run({ id: conversation });
    return { conversation, account, by: -pending };
  }

  #tellMended(wrong: readonly Miscount[]): void {
    for (const { conversation, account, by } of wrong) {
      this.waiting.add(account, by);
      this.#options.log.error('a conversation was counted wrong and is mended', { conversation, account, by });
      this.#options.onMended?.();
    }
  }
}

/** Its conversation is to wait for a person. */
function stopsConversation(settlement: Settlement): boolean {
  return settlement.state === 'unknown' || (settlement.state === 'dead' && settlement.stops);
}

type Row = Readonly<Record<string, unknown>>;

/** The first rows that are wanted; no more is read than that takes. */
function take(count: number, rows: Iterable<Row>, isWanted: (row: Row) => boolean): Row[] {
  const taken: Row[] = [];
  if (count === 0) return taken;
  for (const row of rows) {
    if (isWanted(row)) taken.push(row);
    if (taken.length === count) break;
  }
  return taken;
}

function accountOf({ placement }: Entry): string | undefined {
  return 'delivery' in placement ? placement.delivery.account : undefined;
}
