import type { Database, Query } from './database.ts';
import { noteDoubt } from './doubt.ts';

/** What decisions change of conversations. Who locks several does so in the order of their ids, and messages that wait after them. */

type Tables = Pick<Database, 'schema' | 'now'>;

/** A conversation that nobody else changes until our transaction ends. */
export interface Locked {
  readonly id: string;
  readonly isStopped: boolean;
  /** A message of it is being delivered. */
  readonly isLeased: boolean;
  /** Given out under a lease, whether or not that has run out. */
  readonly flight: { readonly seq: number; readonly givenAt: number } | undefined;
}

/** @returns undefined where nothing waits in it and nothing stops it: then it is not there */
export async function lock(query: Query, { schema, now }: Tables, id: string): Promise<Locked | undefined> {
  const { rows } = await query(
    `select stopped_by is not null as is_stopped, lease is not null and ready_at > ${now} as is_leased, in_flight, given_at
    from ${schema}.conversations where id = $1 for update`,
    [id],
  );
  return (
    rows[0] && {
      id,
      isStopped: rows[0].is_stopped === true,
      isLeased: rows[0].is_leased === true,
      flight:
        rows[0].in_flight === null ? undefined : { seq: Number(rows[0].in_flight), givenAt: Number(rows[0].given_at) },
    }
  );
}

/** Ends a lease that has run out: whoever held it is told so when he settles, and what was in flight is in doubt. */
export async function takeOver(query: Query, database: Tables, { id, flight }: Locked): Promise<void> {
  if (flight === undefined) return;
  await noteDoubt(query, database, [flight]);
  await query(`update ${database.schema}.conversations set lease = null, in_flight = null where id = $1`, [id]);
}

/**
 * Where a conversation waits behind one of these messages, it waits no longer. What waits in it is as young as if it came
 * now: what it waited for a person is not what it is given up for.
 */
export async function unstop(query: Query, database: Tables, seqs: readonly number[]): Promise<void> {
  const { schema, now } = database;
  const { rows } = await query(
    `update ${schema}.conversations set stopped_by = null, ready_at = ${now} where stopped_by = any($1) returning id`,
    [seqs],
  );
  if (rows.length === 0) return;
  const ids = rows.map(({ id }) => String(id));
  await query(
    `update ${schema}.messages set since = ${now} where conversation = any($1) and state = 'waiting' and since <> ${now}`,
    [ids],
  );
  await forget(query, database, ids);
}

/** Of these that are locked, those go in which nothing waits and that nothing stops. */
export async function forget(query: Query, { schema }: Tables, ids: readonly string[]): Promise<void> {
  // Whatever was counted: what waits in a conversation that is not there is never come to.
  await query(
    `delete from ${schema}.conversations where id = any($1) and pending = 0 and stopped_by is null
      and not exists (select 1 from ${schema}.messages where conversation = conversations.id and state = 'waiting')`,
    [ids],
  );
}
