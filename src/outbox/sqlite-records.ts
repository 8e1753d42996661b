import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { backup, type DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import type { Clock } from '../clock.ts';
import { messageOf, propertyOf } from '../fault.ts';
import { conversationOf, type Delivery, type Message } from '../message.ts';
import type { GroupCommit } from './group-commit.ts';
import {
  type AccountSurvey,
  BackupRefused,
  type Cursor,
  type Decision,
  type DecisionResult,
  type Discarded,
  type MessageDetails,
  type MessageFilter,
  type MessageRecord,
  type MessageState,
  type Page,
  type Records,
  type Redriven,
  type Routing,
  type Walk,
} from './records.ts';
import type { Attempt } from './store.ts';
import type { Tally } from './tally.ts';

interface Options {
  readonly database: DatabaseSync;
  readonly commits: GroupCommit;
  readonly clock: Pick<Clock, 'now'>;
  /** By which conversations are due, and leases end. */
  readonly steadyNow: () => number;
  /** Waiting messages of each account, kept up to date here too. */
  readonly waiting: Tally;
}

/** Rows looked at in one go: some milliseconds, then others have their turn. */
const SLICE = 2_000;
/** Slices looked at for one page; then the caller decides whether to look on. */
const SLICES_A_PAGE = 50;
const SAMPLES = 10;
/** Each row is written whole, and may be a megabyte. */
const DISCARDS_A_COMMIT = 50;
/** A copy's pages at a time: few enough that nobody notices, many enough that it ends before long. */
const BACKUP_PAGES = 256;
/** Each has a chance of a few in a hundred to fail for nothing, while much is written. */
const BACKUP_TRIES = 20;
/** https://www.sqlite.org/rescode.html */
const SQLITE_OK = 0;

const ASIDE = "state in ('dead', 'unknown')";
const FITS = `(:id is null or id = :id) and (:state is null or state = :state) and (:channel is null or channel = :channel)
  and (:account is null or account = :account) and (:reason is null or reason = :reason)
  and (:providerId is null or provider_id = :providerId)
  and (:authId is null or json_extract(delivery, '$.authId') = :authId)
  and (:sender is null or json_extract(message, '$.sender') = :sender)
  and (:since is null or accepted_at >= :since) and (:until is null or accepted_at < :until)`;
const WAITING = "account = :account and state = 'waiting'";
const AFTER = '(group_key, seq) > (:group, :seq)';
const ASIDE_SLICE = `select * from messages where ${ASIDE} and ${AFTER} order by group_key, seq limit ${SLICE}`;
/** Without what customers wrote: that may be a megabyte a message. */
const SUMMARY = `seq, id, state, reason, channel, account, json_extract(delivery, '$.businessId') as business_id,
  json_extract(delivery, '$.authId') as auth_id, json_extract(message, '$.sender') as sender, provider_id, accepted_at,
  settled_at, attempts, message_id, created_at, route, table_version`;

const listFrom = (condition: string) => `
  select ${SUMMARY} from (select * from messages where ${condition} and seq < :before and seq >= :from order by seq desc limit ${SLICE})
  where ${FITS} limit :limit`;
/** Where a slice ends: the last seq of it, none where it is the last. */
const sliceEnd = (condition: string) => `
  select seq from messages where ${condition} and seq < :before and seq >= :from order by seq desc limit 1 offset ${SLICE - 1}`;

/** What operators look at and decide, in the SQLite file. Reads are cut into slices, since each blocks the process. */
export class SqliteRecords implements Records {
  readonly #options: Options;
  readonly #sql: ReturnType<typeof prepare>;

  constructor(options: Options) {
    this.#options = options;
    this.#sql = prepare(options.database);
  }

  async list(filter: MessageFilter, { after, limit }: { after: number | undefined; limit: number }): Promise<Page> {
    const isAside = filter.state === 'dead' || filter.state === 'unknown';
    const sql = isAside ? this.#sql.aside : this.#sql.all;
    const oldest = filter.state === 'waiting' ? this.#oldestWaiting(filter.account) : 0;
    if (oldest === undefined) return { items: [], next: undefined };
    const items: MessageRecord[] = [];
    let before = after ?? Number.MAX_SAFE_INTEGER;
    for (let slice = 0; slice < SLICES_A_PAGE; slice += 1) {
      const range = { before, from: oldest };
      const rows = sql.list.all({ ...bound(filter), ...range, limit: limit - items.length });
      items.push(...rows.map(toRecord));
      if (items.length === limit) return { items, next: Number(rows.at(-1)?.seq) };
      const end = sql.sliceEnd.get(range)?.seq;
      if (end === undefined) return { items, next: undefined };
      before = Number(end);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { items, next: before };
  }

  async get(id: string): Promise<MessageDetails | undefined> {
    const row = this.#sql.get.get(id);
    return row && toDetails(row);
  }

  async decide(id: string, decision: Decision): Promise<DecisionResult> {
    const { result, freed } = await this.#options.commits.run(() => this.#decide(id, decision));
    for (const [account, by] of freed) this.#options.waiting.add(account, by);
    return result;
  }

  #decide(id: string, decision: Decision): { result: DecisionResult; freed: Counts } {
    const row = this.#sql.get.get(id);
    if (row === undefined) return { result: 'missing', freed: NONE };
    const state = row.state as MessageState;
    if (state === 'waiting') return this.#decideWaiting(row, decision);
    if (state === 'delivered' || state === 'discarded') {
      const isSo = decision.kind === (state === 'delivered' ? 'confirm' : 'discard');
      return { result: isSo ? 'unchanged' : 'impossible', freed: NONE };
    }
    switch (decision.kind) {
      case 'redrive': {
        const account = this.#putBack(row, decision.routing);
        return account === undefined
          ? { result: 'unplaced', freed: NONE }
          : { result: 'done', freed: new Map([[account, 1]]) };
      }
      case 'confirm':
        // What no route fitted was never sent.
        if (row.delivery === null) return { result: 'impossible', freed: NONE };
        this.#settle([row], 'delivered', null);
        return { result: 'done', freed: NONE };
      case 'discard':
        this.#settle([row], 'discarded', decision.reason);
        return { result: 'done', freed: NONE };
      default:
        return decision satisfies never;
    }
  }

  #decideWaiting(row: Row, decision: Decision): { result: DecisionResult; freed: Counts } {
    if (decision.kind === 'redrive') return { result: 'unchanged', freed: NONE };
    if (decision.kind === 'confirm') return { result: 'impossible', freed: NONE };
    const conversation = Number(row.conversation);
    const now = this.#options.steadyNow();
    if (this.#sql.isLeased.get(conversation, now) !== undefined) return { result: 'leased', freed: NONE };
    this.#settle([row], 'discarded', decision.reason);
    this.#sql.dequeue.run(conversation);
    this.#sql.forgetIdle.run({ id: conversation });
    return { result: 'done', freed: new Map([[String(row.account), -1]]) };
  }

  async walk(filter: MessageFilter, after: Cursor | undefined): Promise<Walk> {
    const fitting =
      filter.state === 'waiting'
        ? this.#sql.waiting.fitting.all({ ...bound(filter), seq: after?.seq ?? 0 })
        : this.#sql.setAside.fitting.all({ ...bound(filter), ...(after ?? START) });
    return {
      count: fitting.length,
      samples: fitting.slice(0, SAMPLES).flatMap(({ seq }) => {
        const row = this.#sql.summary.get(Number(seq));
        return row ? toRecord(row) : [];
      }),
      groups: [...new Set(fitting.map(({ group_key }) => String(group_key)))],
      next: this.#endOfSlice(filter, after),
    };
  }

  async redrive(group: string, filter: MessageFilter, routing: Routing): Promise<Redriven> {
    const { counts, redriven, unplaced } = await this.#options.commits.run(() => {
      const counts = new Map<string, number>();
      const count = (account: string, by: number) => counts.set(account, (counts.get(account) ?? 0) + by);
      const isWaiting = filter.state === 'waiting';
      const rows = isWaiting ? this.#takeOut(group, filter) : this.#sql.group.all({ ...bound(filter), group });
      let unplaced = 0;
      for (const { id } of rows) {
        const row = this.#sql.get.get(String(id));
        if (isWaiting) count(String(row?.account), -1);
        const account = row && this.#putBack(row, routing);
        if (account === undefined) unplaced += 1;
        else count(account, 1);
      }
      return { counts, redriven: rows.length - unplaced, unplaced };
    });
    for (const [account, by] of counts) this.#options.waiting.add(account, by);
    return { redriven, unplaced };
  }

  /** Takes what waits out of its conversation, as dead letters, to be put into another one. */
  #takeOut(group: string, filter: MessageFilter): readonly Row[] {
    const idle = this.#sql.idle.get({ group, now: this.#options.steadyNow() });
    if (idle === undefined) return [];
    const conversation = Number(idle.id);
    if (idle.in_flight !== null) this.#sql.doubt.run(Number(idle.in_flight));
    const rows = this.#sql.groupWaiting.all({ ...bound(filter), conversation });
    for (const { id } of rows) {
      this.#sql.takeOut.run({ id: String(id), group, now: this.#options.clock.now() });
      this.#sql.dequeue.run(conversation);
    }
    this.#sql.forgetIdle.run({ id: conversation });
    return rows;
  }

  async discard(filter: MessageFilter, reason: string, after: Cursor | undefined): Promise<Discarded> {
    const next = this.#endOfSlice(filter, after);
    const rows = this.#sql.setAside.fitting.all({ ...bound(filter), ...(after ?? START) });
    for (let done = 0; done < rows.length; done += DISCARDS_A_COMMIT) {
      const some = rows.slice(done, done + DISCARDS_A_COMMIT);
      await this.#options.commits.run(() => this.#settle(some, 'discarded', reason));
    }
    return { discarded: rows.length, next };
  }

  async survey(): Promise<readonly AccountSurvey[]> {
    const stopped = new Map(this.#sql.stopped.all().map((row) => [String(row.account), row]));
    const aside = this.#sql.countAside.all();
    const count = (account: string, state: MessageState) =>
      Number(aside.find((row) => row.account === account && row.state === state)?.n ?? 0);
    const named = aside.flatMap(({ account }) => (account === null ? [] : String(account)));
    return [...new Set([...this.#options.waiting.accounts, ...stopped.keys(), ...named])].map((account) => {
      const oldestAt = this.#sql.oldest.get(account)?.accepted_at;
      const since = stopped.get(account)?.since;
      return {
        account,
        waiting: this.#options.waiting.of(account),
        oldestAt: oldestAt === undefined ? undefined : Number(oldestAt),
        stopped: Number(stopped.get(account)?.n ?? 0),
        stoppedSince: since === undefined ? undefined : Number(since),
        dead: count(account, 'dead'),
        unknown: count(account, 'unknown'),
      };
    });
  }

  async strays(): Promise<number> {
    return Number(this.#sql.strays.get()?.n);
  }

  async backup(file: string): Promise<void> {
    if (existsSync(file)) throw new BackupRefused(`${file} is there already; name a new file.`);
    const partial = `${file}.partial`;
    try {
      closeSync(openSync(partial, 'wx', 0o600));
    } catch (cause) {
      throw new BackupRefused(`${partial} cannot be written (${messageOf(cause)}).`, { cause });
    }
    try {
      await this.#copyTo(partial);
      const written = openSync(partial, 'r+');
      fsyncSync(written);
      closeSync(written);
      renameSync(partial, file);
    } catch (cause) {
      rmSync(partial, { force: true });
      throw new BackupRefused(`${file} could not be written (${messageOf(cause)}).`, { cause });
    }
  }

  /** A copy that begins in the middle of a transaction is refused by `node:sqlite`, as "not an error": it is begun again. */
  async #copyTo(file: string): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        await backup(this.#options.database, file, { rate: BACKUP_PAGES });
        return;
      } catch (error) {
        if (propertyOf(error, 'errcode') !== SQLITE_OK || tries === BACKUP_TRIES) throw error;
      }
    }
  }

  /** Before it nothing waits, of that account or of any. */
  #oldestWaiting(account: string | undefined): number | undefined {
    const accounts = account === undefined ? this.#options.waiting.accounts : [account];
    const oldest = accounts.flatMap((name) => {
      const seq = this.#sql.oldest.get(name)?.seq;
      return seq === undefined ? [] : Number(seq);
    });
    return oldest.length === 0 ? undefined : Math.min(...oldest);
  }

  #endOfSlice(filter: MessageFilter, after: Cursor | undefined): Cursor | undefined {
    const { account = null, state } = filter;
    const last =
      state === 'waiting'
        ? this.#sql.waiting.end.get({ account, seq: after?.seq ?? 0 })
        : this.#sql.setAside.end.get({ ...(after ?? START) });
    return last && { group: String(last.group_key), seq: Number(last.seq) };
  }

  /** @returns the account that it waits for now; undefined when no route fits it still */
  #putBack(row: Row, { table, reroute }: Routing): string | undefined {
    const seq = Number(row.seq);
    const mustRoute = reroute || row.delivery === null;
    const placement = mustRoute ? table.place(String(row.channel), messageIn(row)) : undefined;
    if (placement && 'dead' in placement) {
      const { dead: reason, detail, route } = placement;
      this.#sql.stillDead.run({ seq, reason, detail, route, version: table.version });
      return undefined;
    }
    const delivery = placement?.delivery ?? deliveryIn(row);
    const { account } = delivery;
    const key = conversationOf(delivery);
    const now = this.#options.clock.now();
    this.#goOn(seq);
    this.#sql.putBack.run({
      seq,
      conversation: Number(this.#sql.enqueueAgain.get(key, account, this.#options.steadyNow())?.id),
      account,
      now,
      delivery: JSON.stringify(delivery),
      route: placement?.route ?? text(row.route),
      version: placement ? table.version : String(row.table_version),
    });
    return account;
  }

  #settle(rows: readonly Row[], state: 'delivered' | 'discarded', reason: string | null): void {
    const now = this.#options.clock.now();
    for (const { seq } of rows) {
      this.#sql.settle.run({ seq: Number(seq), state, reason, now });
      this.#goOn(Number(seq));
    }
  }

  /** Where a conversation waits behind this message, it waits no longer. */
  #goOn(seq: number): void {
    const conversation = this.#sql.goOn.get(this.#options.steadyNow(), seq)?.id;
    if (conversation !== undefined) this.#sql.forgetIdle.run({ id: Number(conversation) });
  }
}

type Row = Readonly<Record<string, unknown>>;
type Counts = ReadonlyMap<string, number>;
const NONE: Counts = new Map();
/** Before every group: no key is empty. */
const START: Cursor = { group: '', seq: 0 };

function prepare(database: DatabaseSync) {
  const sql = (text: string): StatementSync => database.prepare(text);
  const listing = (condition: string) => ({ list: sql(listFrom(condition)), sliceEnd: sql(sliceEnd(condition)) });
  return {
    all: listing('true'),
    aside: listing(ASIDE),
    get: sql(`select *, ${SUMMARY} from messages where id = ?`),
    summary: sql(`select ${SUMMARY} from messages where seq = ?`),
    setAside: {
      fitting: sql(`select seq, group_key from (${ASIDE_SLICE}) where ${FITS}`),
      end: sql(`
        select group_key, seq from messages where ${ASIDE} and ${AFTER} order by group_key, seq limit 1 offset ${SLICE - 1}`),
    },
    waiting: {
      // By acceptance: each conversation is met with its first message, and then dealt with as a whole.
      fitting: sql(`
        select seq, (select key from conversations where id = conversation) as group_key
        from (select * from messages where ${WAITING} and seq > :seq order by seq limit ${SLICE})
        where ${FITS}`),
      end: sql(`
        select '' as group_key, seq from messages where ${WAITING} and seq > :seq order by seq limit 1 offset ${SLICE - 1}`),
    },
    // In flight with nobody, and behind nobody who waits for a person.
    idle: sql(`
      select id, in_flight from conversations
      where key = :group and stopped_by is null and (lease is null or ready_at <= :now)`),
    groupWaiting: sql(`
      select id from messages where conversation = :conversation and state = 'waiting' and ${FITS} order by seq`),
    takeOut: sql(`
      update messages set state = 'dead', conversation = null, settled_at = :now, group_key = :group where id = :id`),
    doubt: sql("update messages set in_doubt = 1 where seq = ? and state = 'waiting'"),
    group: sql(`select id from messages where ${ASIDE} and group_key = :group and ${FITS} order by seq`),
    putBack: sql(`
      update messages set state = 'waiting', reason = null, detail = null, settled_at = null, attempts = 0, since = :now,
        group_key = null, conversation = :conversation, account = :account, delivery = :delivery, route = :route,
        table_version = :version
      where seq = :seq`),
    stillDead: sql(`
      update messages set state = 'dead', reason = :reason, detail = :detail, route = :route, table_version = :version
      where seq = :seq and state = 'dead'`),
    settle: sql(`
      update messages set state = :state, reason = :reason, settled_at = :now, group_key = null, conversation = null
      where seq = :seq`),
    // A conversation that waits for its next try is tried at once; one that is leased goes on by itself.
    enqueueAgain: sql(`
      insert into conversations (key, account, pending, ready_at) values (?, ?, 1, ?)
      on conflict (key) do update set pending = pending + 1, ready_at = iif(lease is null, excluded.ready_at, ready_at)
      returning id`),
    goOn: sql('update conversations set stopped_by = null, ready_at = ? where stopped_by = ? returning id'),
    isLeased: sql('select 1 from conversations where id = ? and lease is not null and ready_at > ?'),
    dequeue: sql('update conversations set pending = pending - 1 where id = ?'),
    forgetIdle: sql(`
      delete from conversations where id = :id and pending = 0 and stopped_by is null
        and not exists (select 1 from messages where conversation = :id and state = 'waiting')`),
    oldest: sql("select seq, accepted_at from messages where account = ? and state = 'waiting' order by seq limit 1"),
    stopped: sql(`
      select c.account, count(*) as n, min(m.settled_at) as since
      from conversations c join messages m on m.seq = c.stopped_by where c.stopped_by is not null group by c.account`),
    strays: sql(`select count(*) as n from messages where ${ASIDE} and account is null`),
    countAside: sql(`select account, state, count(*) as n from messages where ${ASIDE} group by account, state`),
  };
}

function bound(filter: MessageFilter & { readonly id?: string }): Record<string, SQLInputValue> {
  const { id, state, channel, account, authId, sender, providerId, reason, since, until } = filter;
  const given = { id, state, channel, account, authId, sender, providerId, reason, since, until };
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name, value ?? null]));
}

function messageIn(row: Row): Message {
  return JSON.parse(String(row.message));
}

function deliveryIn(row: Row): Delivery {
  return JSON.parse(String(row.delivery));
}

function toRecord(row: Row): MessageRecord {
  return {
    id: String(row.id),
    state: row.state as MessageState,
    reason: text(row.reason),
    channel: String(row.channel),
    account: text(row.account),
    businessId: row.business_id === null ? null : Number(row.business_id),
    authId: text(row.auth_id),
    sender: String(row.sender),
    providerId: text(row.provider_id),
    acceptedAt: Number(row.accepted_at),
    settledAt: row.settled_at === null ? null : Number(row.settled_at),
    attempts: Number(row.attempts),
    messageId: text(row.message_id),
    createdAt: text(row.created_at),
    route: text(row.route),
    tableVersion: String(row.table_version),
  };
}

function toDetails(row: Row): MessageDetails {
  return {
    ...toRecord(row),
    detail: text(row.detail),
    text: row.delivery === null ? undefined : deliveryIn(row).text,
    fields: messageIn(row).fields,
    attemptLog: JSON.parse(String(row.attempt_log)) as readonly Attempt[],
  };
}

function text(value: unknown): string | null {
  return value === null ? null : String(value);
}
