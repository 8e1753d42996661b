import type { Clock } from '../../clock.ts';
import type {
  AccountSurvey,
  Cursor,
  MessageDetails,
  MessageFilter,
  MessageRecord,
  Page,
  RecentPage,
  Walk,
} from '../records.ts';
import { MESSAGES_AT_ONCE, type Row, toRecent, toRecord } from '../rows.ts';
import type { Database, Parameter } from './database.ts';
import { gathering, inTurn, sparing } from './pace.ts';
import { ASIDE, fits, messageIn, SUMMARY, toDetails } from './rows.ts';

/** Rows of the outbox looked at in one go: some milliseconds, then others have their turn. */
const SLICE = 4_000;
/** Slices looked at for one page; then the caller decides whether to look on. */
const SLICES_A_PAGE = 50;
/** Rows of a part of a walk, all of which may match. */
const PART = 2_000;
const SAMPLES = 10;

/** Before every group: no key is empty. */
const START: Cursor = { group: '', seq: 0 };
const NOTHING: Page = { items: [], next: undefined };

/** A part of the messages, in some order. */
interface Slice {
  /** Which messages, by an index that has them in this order. */
  readonly condition: string;
  readonly order: string;
  readonly size: number;
}

/** What operators look at, in PostgreSQL. In turn, so that it takes few connections, whatever is asked for. */
export class PostgresListing {
  readonly #database: Pick<Database, 'schema' | 'query'>;
  readonly #turn = inTurn();
  readonly get: (id: string) => Promise<MessageDetails | undefined>;
  readonly #sparingly: {
    readonly survey: () => Promise<readonly AccountSurvey[]>;
    readonly strays: () => Promise<number>;
  };

  constructor(database: Pick<Database, 'schema' | 'query'>, clock: Pick<Clock, 'elapsed'>) {
    this.#database = database;
    // In turns of its own, since senders wait for it who are told what became of their message.
    this.get = gathering(inTurn(), MESSAGES_AT_ONCE, (ids) => this.#details(ids));
    this.#sparingly = {
      survey: sparing(clock, () => this.#survey()),
      strays: sparing(clock, () => this.#countStrays()),
    };
  }

  async list(filter: MessageFilter, { after, limit }: { after: number | undefined; limit: number }): Promise<Page> {
    const oldest = await this.#oldest(filter);
    if (oldest === undefined) return NOTHING;
    const items: MessageRecord[] = [];
    let before = after ?? Number.MAX_SAFE_INTEGER;
    for (let count = 0; count < SLICES_A_PAGE; count += 1) {
      const parameters: Parameter[] = [before, oldest];
      const condition = `seq < $1 and seq >= $2 and ${narrowed(filter, parameters)}`;
      const slice = { condition, order: 'seq desc', size: SLICE };
      const { fitting, last } = await this.#look(slice, filter, parameters, limit - items.length);
      items.push(...fitting.map(toRecord));
      if (items.length === limit) return { items, next: Number(fitting.at(-1)?.seq) };
      if (last === undefined) return { items, next: undefined };
      before = Number(last.seq);
    }
    return { items, next: before };
  }

  async recent({ before, limit }: { before: number | undefined; limit: number }): Promise<RecentPage> {
    const { schema, query } = this.#database;
    const most = Math.min(limit, MESSAGES_AT_ONCE);
    const { rows } = await this.#turn(() =>
      query(`select seq, id, channel, message from ${schema}.messages where seq < $1 order by seq desc limit $2`, [
        before ?? Number.MAX_SAFE_INTEGER,
        most,
      ]),
    );
    return toRecent(rows, most, messageIn);
  }

  async walk(filter: MessageFilter, after: Cursor | undefined): Promise<Walk> {
    const { group, seq } = after ?? START;
    const isWaiting = filter.state === 'waiting';
    const parameters: Parameter[] = isWaiting ? [filter.account ?? null, seq] : [group, seq];
    const slice: Slice = isWaiting
      ? // By acceptance: each conversation is met with its first message, and then dealt with as a whole.
        { condition: "state = 'waiting' and account = $1 and seq > $2", order: 'seq', size: PART }
      : { condition: `${ASIDE} and (group_key, seq) > ($1, $2)`, order: 'group_key, seq', size: PART };
    const { fitting, last } = await this.#look(slice, filter, parameters, PART);
    return {
      count: fitting.length,
      samples: fitting.slice(0, SAMPLES).map(toRecord),
      groups: [...new Set(fitting.map((row) => String(isWaiting ? row.key : row.group_key)))],
      next: last && { group: isWaiting ? '' : String(last.group_key), seq: Number(last.seq) },
    };
  }

  survey(): Promise<readonly AccountSurvey[]> {
    return this.#turn(this.#sparingly.survey);
  }

  strays(): Promise<number> {
    return this.#turn(this.#sparingly.strays);
  }

  /**
   * The first rows of a slice that fit.
   *
   * @param parameters those of the slice's condition
   * @returns also the last row of the slice, where there may be more behind it, and it was come to
   */
  async #look(
    { condition, order, size }: Slice,
    filter: MessageFilter,
    parameters: Parameter[],
    limit: number,
  ): Promise<{ readonly fitting: readonly Row[]; readonly last: Row | undefined }> {
    const { schema, query } = this.#database;
    const isFitting = fits(filter, parameters);
    // In one statement, since what comes in between two would shift the end of the slice.
    const { rows } = await this.#turn(() =>
      query(
        `select *, (${isFitting}) as is_fitting,
          case state when 'waiting' then (select key from ${schema}.conversations where id = conversation) end as key
        from (
          select ${SUMMARY}, group_key, conversation, row_number() over (order by ${order}) as place
          from ${schema}.messages where ${condition} order by ${order} limit ${size}
        ) as slice
        where ${isFitting} or place = ${size} order by ${order} limit ${limit + 1}`,
        parameters,
      ),
    );
    const fitting = rows.filter((row) => row.is_fitting === true).slice(0, limit);
    return { fitting, last: rows.find((row) => row.place === size) };
  }

  async #details(ids: readonly string[]): Promise<ReadonlyMap<string, MessageDetails>> {
    const { schema, query } = this.#database;
    const { rows } = await query(
      `select ${SUMMARY}, detail, message, delivery, attempt_log,
        exists (select 1 from ${schema}.conversations where stopped_by = messages.seq) as stops,
        (select stopper.id from ${schema}.conversations join ${schema}.messages as stopper on stopper.seq = stopped_by
          where conversations.id = messages.conversation) as waits_behind
      from ${schema}.messages where id = any($1)`,
      [ids],
    );
    return new Map(rows.map((row) => [String(row.id), toDetails(row)]));
  }

  /** Before it there is nothing of what the filter asks for; undefined where there is nothing at all. */
  async #oldest({ state, account }: MessageFilter): Promise<number | undefined> {
    if (state !== 'waiting' || account !== undefined) return 0;
    const { schema, query } = this.#database;
    const first = (more: string) =>
      `(select account, seq from ${schema}.messages where state = 'waiting' ${more} order by account, seq limit 1)`;
    // The index has what waits by account: the oldest of each is come to, and nothing in between.
    const { rows } = await this.#turn(() =>
      query(
        `with recursive oldest as (
          ${first('')} union all
          select next.* from oldest cross join lateral ${first('and messages.account > oldest.account')} as next
        )
        select min(seq) as seq from oldest`,
      ),
    );
    const seq = rows[0]?.seq;
    return seq === null ? undefined : Number(seq);
  }

  async #survey(): Promise<readonly AccountSurvey[]> {
    const { schema, query } = this.#database;
    const { rows } = await query(
      `select account, sum(waiting)::bigint as waiting, sum(stopped)::bigint as stopped, min(stopped_since) as stopped_since,
        sum(dead)::bigint as dead, sum(unknown)::bigint as unknown,
        (select accepted_at from ${schema}.messages where messages.account = counted.account and state = 'waiting'
          order by seq limit 1) as oldest_at
      from (
        select account, sum(pending) as waiting, 0 as stopped, null::bigint as stopped_since, 0 as dead, 0 as unknown
        from ${schema}.conversations group by account
        union all
        select conversations.account, 0, count(*), min(settled_at), 0, 0
        from ${schema}.conversations join ${schema}.messages on seq = stopped_by
        where stopped_by is not null group by conversations.account
        union all
        select account, 0, 0, null, count(*) filter (where state = 'dead'), count(*) filter (where state = 'unknown')
        from ${schema}.messages where ${ASIDE} and account is not null group by account
      ) as counted
      group by account`,
    );
    return rows.map((row) => ({
      account: String(row.account),
      waiting: Number(row.waiting),
      oldestAt: row.oldest_at === null ? undefined : Number(row.oldest_at),
      stopped: Number(row.stopped),
      stoppedSince: row.stopped_since === null ? undefined : Number(row.stopped_since),
      dead: Number(row.dead),
      unknown: Number(row.unknown),
    }));
  }

  async #countStrays(): Promise<number> {
    const { schema, query } = this.#database;
    const { rows } = await query(`select count(*) as n from ${schema}.messages where ${ASIDE} and account is null`);
    return Number(rows[0]?.n);
  }
}

/** What of a filter an index serves, in the order of seq. */
function narrowed({ state, account }: MessageFilter, parameters: Parameter[]): string {
  if (state === 'dead' || state === 'unknown') {
    return account === undefined
      ? `state = '${state}'`
      : `state = '${state}' and account = $${parameters.push(account)}`;
  }
  return state === 'waiting' && account !== undefined
    ? `state = 'waiting' and account = $${parameters.push(account)}`
    : 'true';
}
