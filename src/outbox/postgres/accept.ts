import { conversationOf } from '../../message.ts';
import { strayGroup } from '../records.ts';
import { keptKey } from '../repeat.ts';
import type { Row } from '../rows.ts';
import { type Acceptance, type Entry, StoreUnavailable } from '../store.ts';
import { conversationId, repeatKey, shortKey } from './conversation.ts';
import { anyOf, type Database, type Query } from './database.ts';
import { openWindows } from './windows.ts';

/** Each of these is an array of one value an entry, in the order in which the statement names them. */
const COLUMNS = {
  id: 'text',
  channel: 'text',
  provider_id: 'text',
  repeat_key: 'uuid',
  sender: 'text',
  message: 'text',
  route: 'text',
  table_version: 'text',
  reason: 'text',
  detail: 'text',
  group_key: 'text',
  delivery: 'text',
  account: 'text',
  business_id: 'bigint',
  auth_id: 'text',
  conversation: 'uuid',
  key: 'text',
  lease: 'text',
  lease_ms: 'bigint',
} as const;

type Column = keyof typeof COLUMNS;

/** Stores entries in their order, within a transaction: what is no repeat within its window. */
export async function accept(
  database: Database,
  query: Query,
  entries: readonly Entry[],
): Promise<readonly Acceptance[]> {
  const firsts = await openWindows(database, query, entries);
  const fresh = entries.filter((entry) => !firsts.has(entry));
  const stored = await store(database, query, fresh);
  const acceptances = new Map(fresh.map((entry, index) => [entry, stored[index]]));
  return entries.map((entry) => acceptances.get(entry) ?? repeatOf(firsts.get(entry)));
}

/**
 * In one statement: first the messages, so that who waits for a repeat's first one holds no conversation, then their
 * conversations, in the order of their ids, so that two who store at once cannot wait for each other. A conversation is
 * leased with its first message, where nothing of it waited.
 */
async function store(database: Database, query: Query, entries: readonly Entry[]): Promise<readonly Acceptance[]> {
  if (entries.length === 0) return [];
  const values = entries.map(valuesOf);
  const columns = Object.keys(COLUMNS) as Column[];
  const parameters = columns.map((column) => values.map((value) => value[column]));
  const { rows } = await query(statement(database), parameters);
  const stored = new Map(rows.map((row) => [String(row.id), row]));
  const repeats = entries.filter(({ id }) => !stored.has(id));
  const firsts = await firstsOf(database, query, repeats);
  return entries.map((entry, index) => {
    const row = stored.get(entry.id);
    return row ? toAcceptance(entry, row, values[index]?.conversation) : repeatOf(firsts.get(entry));
  });
}

/** @param first its id, undefined where there is none any more */
function repeatOf(first: string | undefined): Acceptance {
  if (first === undefined) throw new StoreUnavailable('a message was forgotten in the moment of its repeat.');
  return { id: first, isDuplicate: true, claim: undefined };
}

function toAcceptance({ id, placement, lease }: Entry, row: Row, conversation: unknown): Acceptance {
  if (!('delivery' in placement) || lease === undefined || row.lease !== lease.token) {
    return { id, isDuplicate: false, claim: undefined };
  }
  const { delivery } = placement;
  const message = { id, delivery, attempts: 0, ageMs: 0, acceptedAt: Number(row.accepted_at) };
  const claim = {
    conversation: String(conversation),
    account: delivery.account,
    lease: lease.token,
    isInDoubt: false,
    message,
  };
  return { id, isDuplicate: false, claim };
}

/**
 * By now they are committed, or of this very transaction: whoever meets a repeat waits for its first one. A commit may be
 * seen that its standby has not confirmed, as that of a server that was restarted over it: they are locked, which is
 * written, so that our own commit is confirmed only when theirs are.
 */
async function firstsOf(
  { schema }: Database,
  query: Query,
  repeats: readonly Entry[],
): Promise<ReadonlyMap<Entry | undefined, string>> {
  const { rows } =
    repeats.length === 0
      ? { rows: [] }
      : await query(
          `select r.place, m.id from unnest($1::uuid[]) with ordinality as r (key, place)
          join ${schema}.messages m on m.repeat_key = r.key and m.repeat_key = ${anyOf('$1::uuid[]')} for key share of m`,
          [repeats.map(keyOf)],
        );
  return new Map(rows.map(({ place, id }) => [repeats[Number(place) - 1], String(id)]));
}

function keyOf(entry: Entry): string | null {
  const key = keptKey(entry);
  return key === undefined ? null : repeatKey(entry.channel, key);
}

function valuesOf(entry: Entry): Record<Column, string | number | null> {
  const { id, channel, message, placement, tableVersion, lease } = entry;
  const common = {
    id,
    channel,
    provider_id: message.providerId ?? null,
    repeat_key: keyOf(entry),
    sender: message.sender,
    message: JSON.stringify(message),
    route: placement.route,
    table_version: tableVersion,
  };
  if ('dead' in placement) {
    const nowhere = { delivery: null, account: null, business_id: null, auth_id: null, conversation: null, key: null };
    const { dead: reason, detail } = placement;
    const group_key = shortKey(strayGroup(channel, message));
    return { ...common, ...nowhere, reason, detail, group_key, lease: null, lease_ms: null };
  }
  const { delivery } = placement;
  const key = shortKey(conversationOf(delivery));
  return {
    ...common,
    reason: null,
    detail: null,
    group_key: null,
    delivery: JSON.stringify(delivery),
    account: delivery.account,
    business_id: delivery.businessId,
    auth_id: delivery.authId,
    conversation: conversationId(key),
    key,
    lease: lease?.token ?? null,
    lease_ms: lease?.leaseMs ?? null,
  };
}

function statement({ schema, now }: Database): string {
  const columns = Object.entries(COLUMNS);
  const arrays = columns.map(([, type], index) => `$${index + 1}::${type}[]`);
  return `
    with entries as (
      select * from unnest(${arrays.join(', ')}) with ordinality as e (${Object.keys(COLUMNS).join(', ')}, place)
    ), stored as (
      insert into ${schema}.messages (id, conversation, state, reason, detail, channel, provider_id, repeat_key, account, business_id,
        auth_id, sender, message, delivery, group_key, route, table_version, accepted_at, since, settled_at)
      select id, conversation, case when conversation is null then 'dead' else 'waiting' end, reason, detail, channel,
        provider_id, repeat_key, account, business_id, auth_id, sender, message::json, delivery::json, group_key, route, table_version,
        ${now}, ${now}, case when conversation is null then ${now} end
      from entries order by place
      on conflict (repeat_key) where repeat_key is not null do nothing
      returning seq, id, conversation, accepted_at
    ), firsts as (
      select distinct on (s.conversation) s.conversation, s.seq, e.key, e.account, e.lease, e.lease_ms
      from stored s join entries e using (id) where s.conversation is not null order by s.conversation, s.seq
    ), counts as (
      select conversation, count(*) as pending from stored where conversation is not null group by conversation
    ), queued as (
      insert into ${schema}.conversations as c (id, key, account, pending, ready_at, lease, in_flight, given_at)
      select conversation, key, account, pending, ${now} + coalesce(lease_ms, 0), lease,
        case when lease is not null then seq end, case when lease is not null then ${now} end
      from firsts join counts using (conversation) order by conversation
      on conflict (id) do update set pending = c.pending + excluded.pending
      returning id, lease
    )
    select s.id, s.accepted_at, q.lease from stored s left join queued q on q.id = s.conversation`;
}
