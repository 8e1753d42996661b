import type { Decision, DecisionResult, MessageFilter, MessageState, Redriven, Routing } from '../records.ts';
import type { Row } from '../rows.ts';
import { conversationId } from './conversation.ts';
import { forget, lock, takeOver, unstop } from './conversations.ts';
import type { Database, Parameter, Query } from './database.ts';
import { inTurn } from './pace.ts';
import { putBack, type Scope } from './redrive.ts';
import { ASIDE, fits } from './rows.ts';

/** A group is as large as an outage was long, and all of it goes back at once. */
const DECISION_MS = 60_000;
/** Others may settle or decide a message while it is looked at. */
const TRIES = 5;
/** Few enough that others who decide of the same group come in between. */
const DISCARDS_A_COMMIT = 100;
/** Tells these locks from those of others: "hapt" in ASCII. */
const ALONE_LOCK = 0x68617074;
/** What waits is moved by one at a time; no group is called so. */
const MOVES = '';

/**
 * What operators decide, carried out in PostgreSQL; in turn, so that it takes one connection. What is set aside is changed
 * by decisions alone, and who decides of a group has it to himself. Conversations are locked after that, then what waits.
 */
export class PostgresDecisions {
  readonly #database: Database;
  readonly #turn = inTurn();

  constructor(database: Database) {
    this.#database = database;
  }

  async decide(id: string, decision: Decision): Promise<DecisionResult> {
    for (let tries = 1; tries <= TRIES; tries += 1) {
      const result = await this.#transaction((query) => this.#decide(query, id, decision));
      if (result !== undefined) return result;
    }
    return 'leased';
  }

  /** @returns undefined where it has changed since it was looked at: to look again takes a transaction without locks */
  async #decide(query: Query, id: string, decision: Decision): Promise<DecisionResult | undefined> {
    const { rows } = await query(
      `select id, state, conversation, group_key, delivery is null as is_stray from ${this.#database.schema}.messages
      where id = $1`,
      [id],
    );
    const row = rows[0];
    if (row === undefined) return 'missing';
    const state = row.state as MessageState;
    if (state === 'waiting') return this.#decideWaiting(query, row, decision);
    if (state === 'delivered' || state === 'discarded') {
      const isSo = decision.kind === (state === 'delivered' ? 'confirm' : 'discard');
      return isSo ? 'unchanged' : 'impossible';
    }
    // What no route fitted was never sent.
    if (decision.kind === 'confirm' && row.is_stray === true) return 'impossible';
    const group = String(row.group_key);
    await lockAlone(query, group);
    const scope: Scope = { group, condition: `${ASIDE} and group_key = $1 and id = $2`, parameters: [group, id] };
    if (decision.kind === 'redrive') {
      const { redriven, unplaced } = await putBack(query, this.#database, scope, decision.routing);
      if (redriven > 0) return 'done';
      return unplaced > 0 ? 'unplaced' : undefined;
    }
    const isConfirmed = decision.kind === 'confirm';
    const settled = await this.#settle(
      query,
      scope,
      isConfirmed ? 'delivered' : 'discarded',
      isConfirmed ? null : decision.reason,
    );
    return settled.length > 0 ? 'done' : undefined;
  }

  async #decideWaiting(query: Query, row: Row, decision: Decision): Promise<DecisionResult | undefined> {
    if (decision.kind === 'redrive') return 'unchanged';
    if (decision.kind === 'confirm') return 'impossible';
    const { schema, now } = this.#database;
    const conversation = String(row.conversation);
    const locked = await lock(query, this.#database, conversation);
    const { rows } = await query(
      `select seq, seq = (select min(seq) from ${schema}.messages where conversation = $2 and state = 'waiting') as is_first
      from ${schema}.messages where id = $1 and conversation = $2 and state = 'waiting'`,
      [String(row.id), conversation],
    );
    const found = rows[0];
    if (locked === undefined || found === undefined) return undefined;
    if (locked.isLeased) return 'leased';
    await takeOver(query, this.#database, locked);
    await query(
      `update ${schema}.messages set state = 'discarded', reason = $2, settled_at = ${now}, conversation = null where seq = $1`,
      [Number(found.seq), decision.reason],
    );
    // What the first one failed for may have been its own fault alone: the next need not wait for its next try.
    const due = found.is_first === true ? `, ready_at = ${now}` : '';
    await query(`update ${schema}.conversations set pending = pending - 1${due} where id = $1`, [conversation]);
    await forget(query, this.#database, [conversation]);
    return 'done';
  }

  redrive(group: string, filter: MessageFilter, routing: Routing): Promise<Redriven> {
    return this.#transaction(async (query) => {
      if (filter.state === 'waiting') return this.#move(query, group, filter, routing);
      await lockAlone(query, group);
      return putBack(query, this.#database, aside(group, filter), routing);
    });
  }

  /** Moves what waits in a conversation, where nothing of it is in flight and it is not stopped. */
  async #move(query: Query, group: string, filter: MessageFilter, routing: Routing): Promise<Redriven> {
    // Its conversation is locked before those it goes to, whatever their ids: two who move could wait for each other.
    await lockAlone(query, MOVES);
    const conversation = conversationId(group);
    const locked = await lock(query, this.#database, conversation);
    if (locked === undefined || locked.isLeased || locked.isStopped) return { redriven: 0, unplaced: 0 };
    await takeOver(query, this.#database, locked);
    const parameters: Parameter[] = [conversation];
    const condition = `conversation = $1 and ${fits(filter, parameters)}`;
    const done = await putBack(query, this.#database, { group, condition, parameters }, routing);
    await query(`update ${this.#database.schema}.conversations set pending = pending - $2 where id = $1`, [
      conversation,
      done.redriven,
    ]);
    await forget(query, this.#database, [conversation]);
    return done;
  }

  async discard(group: string, filter: MessageFilter, reason: string): Promise<number> {
    const { condition, parameters } = aside(group, filter);
    const end = await this.#lastOf(condition, parameters);
    const at = parameters.length;
    let discarded = 0;
    for (let last = 0; last < end; ) {
      const part = {
        group,
        condition: `${condition} and seq > $${at + 1} and seq <= $${at + 2}`,
        parameters: [...parameters, last, end],
      };
      const seqs = await this.#transaction(async (query) => {
        await lockAlone(query, group);
        return this.#settle(query, part, 'discarded', reason);
      });
      discarded += seqs.length;
      last = seqs.length < DISCARDS_A_COMMIT ? end : Math.max(...seqs);
    }
    return discarded;
  }

  /** What is set aside from now on is not what is decided of. @returns 0 where there is nothing */
  async #lastOf(condition: string, parameters: readonly Parameter[]): Promise<number> {
    const { schema, query } = this.#database;
    const { rows } = await this.#turn(() =>
      query(`select max(seq) as seq from ${schema}.messages where ${condition}`, parameters),
    );
    return Number(rows[0]?.seq ?? 0);
  }

  /** Ends what is set aside, and lets the conversation go on that waits behind it. @returns the seqs of what it was */
  async #settle(
    query: Query,
    { condition, parameters }: Scope,
    state: 'delivered' | 'discarded',
    reason: string | null,
  ): Promise<readonly number[]> {
    const { schema, now } = this.#database;
    const at = parameters.length;
    const { rows } = await query(
      `update ${schema}.messages set state = $${at + 1}, reason = $${at + 2}, settled_at = ${now}, group_key = null
      where seq in (select seq from ${schema}.messages where ${condition} order by seq limit ${DISCARDS_A_COMMIT})
      returning seq`,
      [...parameters, state, reason],
    );
    const seqs = rows.map(({ seq }) => Number(seq));
    await unstop(query, this.#database, seqs);
    return seqs;
  }

  #transaction<T>(work: (query: Query) => Promise<T>): Promise<T> {
    return this.#turn(() => this.#database.transaction(work, { withinMs: DECISION_MS }));
  }
}

/** All that fits of the messages of a group that are set aside. */
function aside(group: string, filter: MessageFilter): Scope {
  const parameters: Parameter[] = [group];
  return { group, condition: `${ASIDE} and group_key = $1 and ${fits(filter, parameters)}`, parameters };
}

/** Until the transaction ends, nobody else has that to himself. What is read from then on is as others have left it. */
async function lockAlone(query: Query, what: string): Promise<void> {
  const number = Number.parseInt(conversationId(what).slice(0, 8), 16) | 0;
  await query('select pg_advisory_xact_lock($1::integer, $2::integer)', [ALONE_LOCK, number]);
}
