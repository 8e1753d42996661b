import { conversationOf, type Delivery } from '../../message.ts';
import type { ConversationRef } from '../store.ts';
import { shortKey } from './conversation.ts';
import type { Database, Query } from './database.ts';

/** What keeps the tables small and right, a little at a time. Several processes may do so at once: each skips what another has in hand. */

interface Age {
  readonly contentMs: number;
  readonly rowsMs: number;
  readonly limit: number;
}

/** A hold that nobody has probed for so long is of credentials that nobody has any more. */
const HOLD_MS = 24 * 3_600_000;
/** Whoever is not seen for so long is gone. */
const REPLICA_MS = 3_600_000;
/** There should be none ever: the rest is for the next time. */
const FOUND_AT_ONCE = 100;
/** Who began to wait for a turn of others has got it by then. */
const TURN_MS = 3_600_000;

/** @returns whether there is nothing left to do for now */
export async function prune(database: Database, { contentMs, rowsMs, limit }: Age): Promise<boolean> {
  const { schema, now } = database;
  const chosen = (condition: string, age: string) => `
    select seq from ${schema}.messages where state in ('delivered', 'discarded') ${condition} and settled_at <= ${now} - ${age}
    order by settled_at limit $2 for update skip locked`;
  const erased = await database.transaction((query) =>
    query(
      `update ${schema}.messages set message = null, delivery = null, detail = null
      where seq in (${chosen('and message is not null', '$1::bigint')})`,
      [Math.round(contentMs), limit],
    ),
  );
  const pruned = await database.transaction((query) =>
    query(`delete from ${schema}.messages where seq in (${chosen('', '$1::bigint')})`, [Math.round(rowsMs), limit]),
  );
  const over = await database.transaction((query) =>
    query(
      `delete from ${schema}.repeats where key in (
        select key from ${schema}.repeats where until <= ${now} order by until limit $1 for update skip locked)`,
      [limit],
    ),
  );
  const isDone = [erased, pruned, over].every(({ rowCount }) => rowCount < limit);
  if (isDone) await forgetOthers(database);
  return isDone;
}

async function forgetOthers({ schema, now, query }: Database): Promise<void> {
  await query(`delete from ${schema}.holds where cause = 'unauthorized' and probe_at <= ${now} - ${HOLD_MS}`);
  await query(`delete from ${schema}.replicas where seen_at <= ${now} - ${REPLICA_MS}`);
  await query(`delete from ${schema}.turns where until <= ${now} - ${TURN_MS}`);
}

/** A conversation that was counted wrong, and by how many. */
export interface Miscount {
  readonly conversation: string;
  readonly account: string;
  readonly by: number;
}

/**
 * Counts within a transaction: first locks conversations, so that nothing is stored in them meanwhile, and then, in a
 * statement that sees all that was, counts.
 *
 * @returns where to go on, undefined at the end, and what was wrong
 */
export async function recount({ schema }: Database, query: Query, after: ConversationRef | undefined, limit: number) {
  const part = await query(
    `select id, account, pending from ${schema}.conversations where $1::uuid is null or id > $1 order by id limit $2
    for update skip locked`,
    [after === undefined ? null : String(after), limit],
  );
  const counted = await query(
    `select c.id, (
      select count(*) from ${schema}.messages where conversation = c.id and state = 'waiting'
    ) as waiting from unnest($1::uuid[]) as c (id)`,
    [part.rows.map(({ id }) => String(id))],
  );
  const waiting = new Map(counted.rows.map(({ id, waiting }) => [id, Number(waiting)]));
  const wrong: Miscount[] = part.rows.flatMap(({ id, account, pending }) => {
    const by = (waiting.get(id) ?? 0) - Number(pending);
    return by === 0 ? [] : [{ conversation: String(id), account: String(account), by }];
  });
  if (wrong.length > 0) {
    await query(
      `update ${schema}.conversations c set pending = c.pending + w.wrong
      from unnest($1::uuid[], $2::bigint[]) as w (id, wrong) where c.id = w.id`,
      [wrong.map(({ conversation }) => conversation), wrong.map(({ by }) => by)],
    );
    await query(
      `delete from ${schema}.conversations where id = any ($1::uuid[]) and pending = 0 and stopped_by is null`,
      [wrong.map(({ conversation }) => conversation)],
    );
  }
  const last = part.rows.length < limit ? undefined : part.rows.at(-1)?.id;
  return { next: last === undefined ? undefined : String(last), wrong };
}

/**
 * Messages that wait in no conversation would wait for ever: they are given theirs back. All that waits is looked through,
 * so it is a transaction of its own, which has nothing locked meanwhile.
 */
export async function findAgain(
  { schema, now }: Pick<Database, 'schema' | 'now'>,
  query: Query,
): Promise<readonly Miscount[]> {
  const { rows } = await query(
    `select conversation, min(seq) as seq, count(*) as waiting from ${schema}.messages m
    where state = 'waiting' and not exists (select 1 from ${schema}.conversations c where c.id = m.conversation)
    group by conversation order by conversation limit ${FOUND_AT_ONCE}`,
  );
  const found: Miscount[] = [];
  for (const { conversation, seq, waiting } of rows) {
    const { rows: first } = await query(`select account, delivery from ${schema}.messages where seq = $1`, [
      Number(seq),
    ]);
    const delivery = first[0]?.delivery as Delivery;
    const { rowCount } = await query(
      `insert into ${schema}.conversations (id, key, account, pending, ready_at) values ($1, $2, $3, $4, ${now})
      on conflict (id) do nothing`,
      [String(conversation), shortKey(conversationOf(delivery)), delivery.account, Number(waiting)],
    );
    if (rowCount > 0)
      found.push({ conversation: String(conversation), account: delivery.account, by: Number(waiting) });
  }
  return found;
}
