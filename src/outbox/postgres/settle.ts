import { conversationOf } from '../../message.ts';
import type { Row } from '../rows.ts';
import type { Claim, Settlement, SettleResult } from '../store.ts';
import { heads, toClaim } from './claim.ts';
import { shortKey } from './conversation.ts';
import { anyOf, type Database, type Query } from './database.ts';
import { logged } from './doubt.ts';

export interface Ended {
  readonly claim: Claim;
  readonly settlement: Settlement;
  readonly keepLease: { readonly leaseMs: number } | undefined;
}

export interface Settled {
  readonly result: SettleResult;
  /** How many messages wait no longer. */
  readonly changed: number;
  /** How much `pending` was wrong, where nothing waits any more. */
  readonly miscounted: number;
}

/** Ends attempts, within a transaction: locks their conversations, in the order of their ids, and then changes the messages. */
export async function settle(
  database: Database,
  query: Query,
  ended: readonly Ended[],
  eraseAtOnce: boolean,
): Promise<readonly Settled[]> {
  const held = await settleMessages(database, query, ended, eraseAtOnce);
  // A lease that is over may come together with the one that this process has of the same conversation since.
  const isHeld = ({ claim }: Ended) => held.get(claim.conversation)?.lease === claim.lease;
  const kept = ended.filter(isHeld);
  const next = await goOn(database, query, kept, held);
  const known = await settledBefore(
    database,
    query,
    ended.filter((one) => !isHeld(one)),
  );
  return ended.map((one) => {
    const { claim, settlement } = one;
    const row = isHeld(one) ? held.get(claim.conversation) : undefined;
    if (row === undefined) {
      const result = known.has(one) ? { next: undefined, hasMore: true } : 'stale';
      return { result, changed: 0, miscounted: 0 };
    }
    const changed = settledIn(row, settlement);
    const head = next.get(claim.conversation);
    const isKept = head !== undefined && goesOn(one);
    const hasMore = head !== undefined && !isKept && !stops(settlement);
    const conversation = { id: claim.conversation, account: claim.account, lease: claim.lease };
    const miscounted = head === undefined && !stops(settlement) ? changed - Number(row.pending) : 0;
    return { result: { next: isKept ? toClaim(conversation, head) : undefined, hasMore }, changed, miscounted };
  });
}

/** How many messages wait no longer: none where its message is to be tried again, or did not wait any more. */
function settledIn(row: Row | undefined, { state }: Settlement): number {
  return state === 'waiting' || row === undefined || row.seq === null ? 0 : 1;
}

/** @returns of each conversation whose lease is held its count, and the seq of its message where that waited until now */
async function settleMessages(
  { schema, now }: Database,
  query: Query,
  ended: readonly Ended[],
  eraseAtOnce: boolean,
): Promise<ReadonlyMap<unknown, Row>> {
  const content = (column: string) =>
    eraseAtOnce ? `case when w.state <> 'delivered' then m.${column} end` : `m.${column}`;
  const { rows } = await query(
    `with wanted as (
      select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::text[], $11::text[])
      as w (conversation, lease, id, state, spent, reason, detail, message_id, created_at, group_key, attempt)
    ), held as (
      select c.id, c.pending, c.lease from ${schema}.conversations c join wanted w on c.id = w.conversation and c.lease = w.lease
      where c.id = ${anyOf('$1::uuid[]')} order by c.id for update of c
    ), settled as (
      update ${schema}.messages m set state = w.state, reason = w.reason, detail = w.detail, message_id = w.message_id,
        created_at = w.created_at, group_key = w.group_key, in_doubt = m.in_doubt and w.state = 'waiting' and w.attempt is null, attempts = m.attempts + w.spent,
        conversation = case when w.state = 'waiting' then m.conversation end,
        settled_at = case when w.state = 'waiting' then null else ${now} end,
        message = ${content('message')}, delivery = ${content('delivery')},
        attempt_log = case when w.attempt is null then m.attempt_log else ${logged('w.attempt')} end
      from held h join wanted w on w.conversation = h.id and w.lease = h.lease
      where m.id = w.id and m.id = ${anyOf('$3::text[]')} and m.state = 'waiting'
      returning w.conversation, m.seq
    )
    select h.id, h.pending, h.lease, s.seq from held h left join settled s on s.conversation = h.id`,
    [
      ended.map(({ claim }) => String(claim.conversation)),
      ended.map(({ claim }) => claim.lease),
      ended.map(({ claim }) => claim.message.id),
      ended.map(({ settlement }) => settlement.state),
      ended.map(({ settlement }) => (settlement.state === 'waiting' && !settlement.isSpent ? 0 : 1)),
      ended.map(({ settlement }) => (settlement.state === 'dead' ? settlement.reason : null)),
      ended.map(({ settlement }) => (settlement.state === 'delivered' ? null : settlement.detail)),
      ended.map(({ settlement }) => (settlement.state === 'delivered' ? settlement.messageId : null)),
      ended.map(({ settlement }) => (settlement.state === 'delivered' ? settlement.createdAt : null)),
      ended.map(({ claim, settlement: { state } }) =>
        state === 'dead' || state === 'unknown' ? shortKey(conversationOf(claim.message.delivery)) : null,
      ),
      ended.map(({ settlement: { attempt } }) => (attempt ? attemptJson(attempt) : null)),
    ],
  );
  return new Map(rows.map((row) => [row.id, row]));
}

/**
 * Gives the next messages out where their lease is kept, the others back; conversations of which nothing waits any more
 * go. In a statement of its own, which sees what was stored until the conversations were locked.
 */
async function goOn(
  database: Database,
  query: Query,
  kept: readonly Ended[],
  held: ReadonlyMap<unknown, Row>,
): Promise<ReadonlyMap<unknown, Row>> {
  if (kept.length === 0) return new Map();
  const { schema, now } = database;
  const { rows } = await query(
    `with wanted as (
      select * from unnest($1::uuid[], $2::int[], $3::bigint[], $4::bigint[], $5::bigint[])
        as w (id, changed, lease_ms, due_ms, stopped_by)
    ), heads as (${heads(database, '$1::uuid[]')}),
    changed as (
      update ${schema}.conversations c set pending = c.pending - w.changed, stopped_by = w.stopped_by,
        ready_at = ${now} + coalesce(w.lease_ms, w.due_ms),
        lease = case when w.lease_ms is not null then c.lease end,
        in_flight = case when w.lease_ms is not null then h.seq end,
        given_at = case when w.lease_ms is not null then ${now} end
      from wanted w left join heads h on h.conversation = w.id
      where c.id = w.id and c.id = ${anyOf('$1::uuid[]')} and (h.seq is not null or w.stopped_by is not null)
    ), gone as (
      delete from ${schema}.conversations c
      using wanted w left join heads h on h.conversation = w.id
      where c.id = w.id and c.id = ${anyOf('$1::uuid[]')} and h.seq is null and w.stopped_by is null
    )
    select * from heads`,
    [
      kept.map(({ claim }) => String(claim.conversation)),
      kept.map(({ claim, settlement }) => settledIn(held.get(claim.conversation), settlement)),
      kept.map((one) => (goesOn(one) ? (one.keepLease?.leaseMs ?? null) : null)),
      kept.map(({ settlement }) => (settlement.state === 'waiting' ? Math.round(settlement.dueInMs) : 0)),
      kept.map(({ claim, settlement }) => {
        const seq = held.get(claim.conversation)?.seq;
        return stops(settlement) && typeof seq === 'number' ? seq : null;
      }),
    ],
  );
  return new Map(rows.map((row) => [row.conversation, row]));
}

/** Those of which the same was written before, and only the answer was lost. */
async function settledBefore({ schema }: Database, query: Query, stale: readonly Ended[]): Promise<ReadonlySet<Ended>> {
  if (stale.length === 0) return new Set();
  const { rows } = await query(
    `select w.place from unnest($1::text[], $2::text[], $3::text[]) with ordinality as w (id, state, attempt, place)
    join ${schema}.messages m on m.id = w.id and m.id = ${anyOf('$1::text[]')} and m.state = w.state
      and case when w.attempt is null then m.state <> 'waiting' else m.attempt_log -> -1 = w.attempt::jsonb end`,
    [
      stale.map(({ claim }) => claim.message.id),
      stale.map(({ settlement }) => settlement.state),
      stale.map(({ settlement: { attempt } }) => (attempt ? attemptJson(attempt) : null)),
    ],
  );
  return new Set(rows.flatMap(({ place }) => stale[Number(place) - 1] ?? []));
}

/** jsonb takes no NUL, and no half of a pair. */
function attemptJson(attempt: object): string {
  return JSON.stringify(attempt, (_name, value) =>
    typeof value === 'string' ? value.toWellFormed().replaceAll('\0', '\u{fffd}') : value,
  );
}

/** Its conversation is to wait for a person. */
function stops(settlement: Settlement): boolean {
  return settlement.state === 'unknown' || (settlement.state === 'dead' && settlement.stops);
}

function goesOn({ settlement, keepLease }: Ended): boolean {
  return keepLease !== undefined && settlement.state !== 'waiting' && !stops(settlement);
}
