import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Clock } from '../../clock.ts';
import { conversationOf, UNROUTED_REASONS } from '../../message.ts';
import type { Decision, DecisionResult, MessageFilter, MessageState, Redriven, Routing } from '../records.ts';
import { type Row, textOf } from '../rows.ts';
import type { Tally } from '../tally.ts';
import type { GroupCommit } from './group-commit.ts';
import { ASIDE, bound, deliveryIn, FITS, messageIn } from './rows.ts';
import type { Statements } from './statements.ts';
import { noteDoubt } from './upkeep.ts';

export interface DecisionsOptions {
  readonly database: DatabaseSync;
  readonly commits: GroupCommit;
  readonly clock: Pick<Clock, 'now'>;
  /** By which conversations are due, and leases end. */
  readonly steadyNow: () => number;
  /** Statements of the store's daily work that are needed here too. */
  readonly sql: Pick<Statements, 'doubt' | 'forget'>;
  /** Waiting messages of each account, kept up to date here too. */
  readonly waiting: Tally;
}

type Counts = ReadonlyMap<string, number>;
const NONE: Counts = new Map();
/** Each row is written whole, and may be a megabyte. */
const DISCARDS_A_COMMIT = 50;

/** What operators decide, carried out in the SQLite file. */
export class SqliteDecisions {
  readonly #options: DecisionsOptions;
  readonly #sql: ReturnType<typeof prepare>;

  constructor(options: DecisionsOptions) {
    this.#options = options;
    this.#sql = prepare(options.database);
  }

  async decide(id: string, decision: Decision): Promise<DecisionResult> {
    const { result, counts } = await this.#options.commits.run(() => this.#decide(id, decision));
    for (const [account, by] of counts) this.#options.waiting.add(account, by);
    return result;
  }

  #decide(id: string, decision: Decision): { result: DecisionResult; counts: Counts } {
    const row = this.#sql.get.get(id);
    if (row === undefined) return { result: 'missing', counts: NONE };
    const state = row.state as MessageState;
    if (state === 'waiting') return this.#decideWaiting(row, decision);
    if (state === 'delivered' || state === 'discarded') {
      const isSo = decision.kind === (state === 'delivered' ? 'confirm' : 'discard');
      return { result: isSo ? 'unchanged' : 'impossible', counts: NONE };
    }
    switch (decision.kind) {
      case 'redrive': {
        const account = this.#putBack(row, decision.routing);
        return account === undefined
          ? { result: 'unplaced', counts: NONE }
          : { result: 'done', counts: new Map([[account, 1]]) };
      }
      case 'confirm':
        // What no route fitted was never sent.
        if (row.delivery === null) return { result: 'impossible', counts: NONE };
        this.#settle(id, 'delivered', null);
        return { result: 'done', counts: NONE };
      case 'discard':
        this.#settle(id, 'discarded', decision.reason);
        return { result: 'done', counts: NONE };
      default:
        return decision satisfies never;
    }
  }

  #decideWaiting(row: Row, decision: Decision): { result: DecisionResult; counts: Counts } {
    if (decision.kind === 'redrive') return { result: 'unchanged', counts: NONE };
    if (decision.kind === 'confirm') return { result: 'impossible', counts: NONE };
    const conversation = Number(row.conversation);
    if (this.#sql.isLeased.get(conversation) !== undefined) return { result: 'leased', counts: NONE };
    const isFirst = this.#sql.firstWaiting.get(conversation)?.seq === row.seq;
    this.#sql.dropWaiting.run({ id: String(row.id), reason: decision.reason, now: this.#options.clock.now() });
    this.#sql.dequeue.run(conversation);
    // What the first one failed for may have been its own fault alone: the next need not wait for its next try.
    if (isFirst) this.#sql.makeDue.run(this.#options.steadyNow(), conversation);
    this.#options.sql.forget.run({ id: conversation });
    return { result: 'done', counts: new Map([[String(row.account), -1]]) };
  }

  async redrive(group: string, filter: MessageFilter, routing: Routing): Promise<Redriven> {
    const { counts, redriven, unplaced } = await this.#options.commits.run(() => {
      const counts = new Map<string, number>();
      const count = (account: string, by: number) => counts.set(account, (counts.get(account) ?? 0) + by);
      const isWaiting = filter.state === 'waiting';
      const rows = isWaiting ? this.#movable(group, filter) : this.#sql.group.all({ ...bound(filter), group });
      let unplaced = 0;
      for (const { id } of rows) {
        const row = this.#sql.get.get(String(id));
        const account = row && this.#putBack(row, routing);
        if (account === undefined) {
          unplaced += 1;
          continue;
        }
        count(account, 1);
        if (isWaiting) count(String(row?.account), -1);
      }
      return { counts, redriven: rows.length - unplaced, unplaced };
    });
    for (const [account, by] of counts) this.#options.waiting.add(account, by);
    return { redriven, unplaced };
  }

  /** What waits in a conversation, where nothing of it is in flight and it is not stopped. */
  #movable(group: string, filter: MessageFilter): readonly Row[] {
    const idle = this.#sql.idle.get({ group });
    if (idle === undefined) return [];
    if (idle.in_flight !== null) noteDoubt(this.#options.sql, Number(idle.in_flight), Number(idle.given_at));
    this.#sql.forgetFlight.run(Number(idle.id));
    return this.#sql.groupWaiting.all({ ...bound(filter), conversation: Number(idle.id) });
  }

  async discard(group: string, filter: MessageFilter, reason: string): Promise<number> {
    const rows = this.#sql.group.all({ ...bound(filter), group });
    let discarded = 0;
    for (let done = 0; done < rows.length; done += DISCARDS_A_COMMIT) {
      const some = rows.slice(done, done + DISCARDS_A_COMMIT);
      discarded += await this.#options.commits.run(() =>
        some.reduce((count, { id }) => count + this.#settle(String(id), 'discarded', reason), 0),
      );
    }
    return discarded;
  }

  /** @returns the account that it waits for now; undefined where no route fits it, or its account is gone: it stays then */
  #putBack(row: Row, { table, reroute }: Routing): string | undefined {
    const seq = Number(row.seq);
    const mustRoute = reroute || UNROUTED_REASONS.some((reason) => reason === row.reason);
    const placement = mustRoute ? table.place(String(row.channel), messageIn(row)) : undefined;
    if (placement && 'dead' in placement) {
      const { dead: reason, detail, route } = placement;
      this.#sql.stillDead.run({ seq, reason, detail, route, version: table.version });
      return undefined;
    }
    const delivery = placement?.delivery ?? deliveryIn(row);
    const { account } = delivery;
    if (!table.accounts.has(account)) return undefined;
    if (row.conversation === null) this.#unstop(seq);
    else this.#sql.dequeue.run(Number(row.conversation));
    this.#sql.putBack.run({
      seq,
      conversation: Number(
        this.#sql.enqueueAgain.get(conversationOf(delivery), account, this.#options.steadyNow())?.id,
      ),
      account,
      now: this.#options.clock.now(),
      delivery: JSON.stringify(delivery),
      route: placement?.route ?? textOf(row.route),
      version: placement ? table.version : String(row.table_version),
    });
    if (row.conversation !== null) this.#options.sql.forget.run({ id: Number(row.conversation) });
    return account;
  }

  /** Ends what is set aside. @returns how many it was: none where somebody else has dealt with it meanwhile */
  #settle(id: string, state: 'delivered' | 'discarded', reason: string | null): number {
    const row = this.#sql.settle.get({ id, state, reason, now: this.#options.clock.now() });
    if (row === undefined) return 0;
    this.#unstop(Number(row.seq));
    return 1;
  }

  /**
   * Where a conversation waits behind this message, it waits no longer. Its messages are as young as if they came now: what
   * they waited for a person is not what they are given up for.
   */
  #unstop(seq: number): void {
    const conversation = this.#sql.unstop.get(this.#options.steadyNow(), seq)?.id;
    if (conversation === undefined) return;
    this.#sql.makeYoung.run(this.#options.clock.now(), Number(conversation));
    this.#options.sql.forget.run({ id: Number(conversation) });
  }
}

function prepare(database: DatabaseSync) {
  const sql = (text: string): StatementSync => database.prepare(text);
  return {
    get: sql('select * from messages where id = ?'),
    // In flight with nobody, and behind nobody who waits for a person.
    idle: sql(`
      select id, in_flight, given_at from conversations
      where key = :group and stopped_by is null and lease is null`),
    forgetFlight: sql('update conversations set in_flight = null where id = ?'),
    groupWaiting: sql(`
      select id from messages where conversation = :conversation and state = 'waiting' and ${FITS} order by seq`),
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
      update messages set state = :state, reason = :reason, settled_at = :now, group_key = null
      where id = :id and ${ASIDE} returning seq`),
    dropWaiting: sql(`
      update messages set state = 'discarded', reason = :reason, settled_at = :now, conversation = null where id = :id`),
    // A conversation that waits for its next try is tried at once; one that is leased goes on by itself.
    enqueueAgain: sql(`
      insert into conversations (key, account, pending, ready_at) values (?, ?, 1, ?)
      on conflict (key) do update set pending = pending + 1, ready_at = iif(lease is null, excluded.ready_at, ready_at)
      returning id`),
    unstop: sql('update conversations set stopped_by = null, ready_at = ? where stopped_by = ? returning id'),
    isLeased: sql('select 1 from conversations where id = ? and lease is not null'),
    makeYoung: sql("update messages set since = ? where conversation = ? and state = 'waiting'"),
    firstWaiting: sql("select min(seq) as seq from messages where conversation = ? and state = 'waiting'"),
    makeDue: sql('update conversations set ready_at = ? where id = ?'),
    dequeue: sql('update conversations set pending = pending - 1 where id = ?'),
  };
}
