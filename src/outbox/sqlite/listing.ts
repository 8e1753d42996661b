import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type {
  AccountSurvey,
  Cursor,
  MessageDetails,
  MessageFilter,
  MessageRecord,
  MessageState,
  Page,
  RecentPage,
  Walk,
} from '../records.ts';
import { MESSAGES_AT_ONCE, toRecent, toRecord } from '../rows.ts';
import type { Tally } from '../tally.ts';
import { ASIDE, bound, FITS, messageIn, SUMMARY, toDetails } from './rows.ts';

/** Rows looked at in one go: some milliseconds, then others have their turn. */
const SLICE = 2_000;
/** Slices looked at for one page; then the caller decides whether to look on. */
const SLICES_A_PAGE = 50;
const SAMPLES = 10;

const WAITING = "account = :account and state = 'waiting'";
const AFTER = '(group_key, seq) > (:group, :seq)';
const ASIDE_SLICE = `select * from messages where ${ASIDE} and ${AFTER} order by group_key, seq limit ${SLICE}`;
/** Before every group: no key is empty. */
const START: Cursor = { group: '', seq: 0 };

const listFrom = (condition: string) => `
  select ${SUMMARY} from (select * from messages where ${condition} and seq < :before and seq >= :from order by seq desc limit ${SLICE})
  where ${FITS} limit :limit`;
/** Where a slice ends: the last seq of it, none where it is the last. */
const sliceEnd = (condition: string) => `
  select seq from messages where ${condition} and seq < :before and seq >= :from order by seq desc limit 1 offset ${SLICE - 1}`;

/** What operators look at, in the SQLite file. Cut into slices, since each read blocks the process. */
export class SqliteListing {
  readonly #waiting: Tally;
  readonly #sql: ReturnType<typeof prepare>;

  constructor(database: DatabaseSync, waiting: Tally) {
    this.#waiting = waiting;
    this.#sql = prepare(database);
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

  async recent({ before, limit }: { before: number | undefined; limit: number }): Promise<RecentPage> {
    const most = Math.min(limit, MESSAGES_AT_ONCE);
    return toRecent(this.#sql.recent.all(before ?? Number.MAX_SAFE_INTEGER, most), most, messageIn);
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

  async survey(): Promise<readonly AccountSurvey[]> {
    const stopped = new Map(this.#sql.stopped.all().map((row) => [String(row.account), row]));
    const aside = this.#sql.countAside.all();
    const count = (account: string, state: MessageState) =>
      Number(aside.find((row) => row.account === account && row.state === state)?.n ?? 0);
    const named = aside.flatMap(({ account }) => (account === null ? [] : String(account)));
    return [...new Set([...this.#waiting.accounts, ...stopped.keys(), ...named])].map((account) => {
      const oldestAt = this.#sql.oldest.get(account)?.accepted_at;
      const since = stopped.get(account)?.since;
      return {
        account,
        waiting: this.#waiting.of(account),
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

  /** Before it nothing waits, of that account or of any. */
  #oldestWaiting(account: string | undefined): number | undefined {
    const accounts = account === undefined ? this.#waiting.accounts : [account];
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
}

function prepare(database: DatabaseSync) {
  const sql = (text: string): StatementSync => database.prepare(text);
  const listing = (condition: string) => ({ list: sql(listFrom(condition)), sliceEnd: sql(sliceEnd(condition)) });
  return {
    all: listing('true'),
    aside: listing(ASIDE),
    get: sql(`
      select *, ${SUMMARY}, exists (select 1 from conversations where stopped_by = messages.seq) as stops,
        (select stopper.id from conversations join messages as stopper on stopper.seq = stopped_by
          where conversations.id = messages.conversation) as waits_behind
      from messages where id = ?`),
    // What is left of an erased message looks like one in which nothing was said.
    recent: sql(`
      select seq, id, channel, iif(has_content = 1, message, null) as message from messages
      where seq < ? order by seq desc limit ?`),
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
    oldest: sql("select seq, accepted_at from messages where account = ? and state = 'waiting' order by seq limit 1"),
    stopped: sql(`
      select c.account, count(*) as n, min(m.settled_at) as since
      from conversations c join messages m on m.seq = c.stopped_by where c.stopped_by is not null group by c.account`),
    strays: sql(`select count(*) as n from messages where ${ASIDE} and account is null`),
    countAside: sql(`select account, state, count(*) as n from messages where ${ASIDE} group by account, state`),
  };
}
