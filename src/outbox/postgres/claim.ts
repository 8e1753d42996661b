import type { Delivery } from '../../message.ts';
import type { Row } from '../rows.ts';
import type { Claim, ClaimRequest, ClaimResult } from '../store.ts';
import { anyOf, type Database, type Query } from './database.ts';
import { noteDoubt } from './doubt.ts';

/** What one process asks for, with what only the store knows of it. */
export interface Wanted extends ClaimRequest {
  readonly token: string;
  /** Before it nothing of the account is due: rows that are gone, and not yet cleaned up, are not looked at again and again. */
  readonly floor: number;
}

export interface Claimed {
  readonly results: readonly ClaimResult[];
  /** Conversations that were counted wrong: `pending` said that messages wait, and none does. */
  readonly mended: readonly { readonly conversation: string; readonly account: string; readonly by: number }[];
}

/**
 * Leases conversations that are due, within a transaction, of each account the one that has waited longest first. First
 * they are locked; then, in a statement of its own, their messages are read and the leases written: in one statement the
 * messages would be seen as they were before the lock, and what others had just delivered would be given out again.
 */
export async function claim(database: Database, query: Query, wanted: readonly Wanted[]): Promise<Claimed> {
  const allowed = await mayProbe(database, query, wanted);
  const locked = await lock(database, query, allowed);
  const heads = await giveOut(database, query, locked);
  const empty = locked.filter(({ id }) => !heads.has(String(id)));
  await forget(database, query, empty);
  const given = allowed.map((request) =>
    locked.flatMap((row) => {
      const head = row.lease === request.token ? heads.get(String(row.id)) : undefined;
      return head ? toClaim(row, head) : [];
    }),
  );
  const unused = allowed.filter(({ probe }, index) => probe !== undefined && given[index]?.length === 0);
  await giveProbesBack(database, query, unused);
  const due = await nextDue(
    database,
    query,
    allowed.filter(({ limit }, index) => (given[index]?.length ?? 0) < limit),
  );
  const results = wanted.map((request) => {
    const index = allowed.indexOf(request);
    const nextDueMs = index < 0 || given[index]?.length === request.limit ? 0 : due.get(request);
    return { claims: given[index] ?? [], nextDueMs: index < 0 ? undefined : nextDueMs };
  });
  const mended = empty.map(({ id, account, pending }) => ({
    conversation: String(id),
    account: String(account),
    by: -Number(pending),
  }));
  return { results, mended };
}

export function toClaim(conversation: Row, head: Row): Claim {
  return {
    conversation: String(conversation.id),
    account: String(conversation.account),
    lease: String(conversation.lease),
    isInDoubt: head.in_doubt === true,
    message: {
      id: String(head.id),
      delivery: head.delivery as Delivery,
      attempts: Number(head.attempts),
      ageMs: Math.max(0, Number(head.age)),
      acceptedAt: Number(head.accepted_at),
    },
  };
}

/**
 * The oldest waiting message of each of `ids`, a list of conversations in the statement. It is put so that no other index
 * gives the order that is asked for: a planner that believes the first message to be among the oldest of all would look
 * for it through all that were ever delivered.
 */
export function heads({ schema, now }: Database, ids: string): string {
  return `
    select c.id as conversation, m.seq, m.id, m.delivery, m.attempts, ${now} - m.since as age, m.accepted_at, m.in_doubt
    from unnest(${ids}) as c (id) cross join lateral (
      select * from ${schema}.messages
      where conversation >= c.id and conversation <= c.id and state = 'waiting' order by conversation, seq limit 1
    ) m`;
}

/** Of refused credentials, those that nobody else is trying and that are due to be tried; from now on we try them. */
async function mayProbe(
  { schema, now }: Database,
  query: Query,
  wanted: readonly Wanted[],
): Promise<readonly Wanted[]> {
  const allowed: Wanted[] = [];
  for (const request of wanted) {
    if (request.probe === undefined) {
      allowed.push(request);
      continue;
    }
    const { fingerprint, everyMs } = request.probe;
    const { rowCount } = await query(
      `update ${schema}.holds set probe_at = ${now} + $3
      where account = $1 and cause = 'unauthorized' and fingerprint = $2 and probe_at <= ${now}`,
      [request.account, fingerprint, everyMs],
    );
    if (rowCount > 0) allowed.push(request);
  }
  return allowed;
}

async function giveProbesBack({ schema, now }: Database, query: Query, unused: readonly Wanted[]): Promise<void> {
  for (const { account, probe } of unused) {
    await query(
      `update ${schema}.holds set probe_at = ${now} where account = $1 and cause = 'unauthorized' and fingerprint = $2`,
      [account, probe?.fingerprint ?? ''],
    );
  }
}

/** @returns conversations, each under the token that it is to be leased with, the longest due first */
async function lock({ schema, now }: Database, query: Query, wanted: readonly Wanted[]): Promise<readonly Row[]> {
  if (wanted.length === 0) return [];
  const { rows } = await query(
    `select c.*, w.token as lease, w.lease_ms from unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::text[])
      as w (account, most, floor, lease_ms, token)
    cross join lateral (
      select id, account, pending, ready_at, in_flight, given_at from ${schema}.conversations
      where account = w.account and stopped_by is null and ready_at >= w.floor and ready_at <= ${now}
        and id <> all ($6::uuid[])
      order by ready_at limit w.most for update skip locked
    ) c`,
    [
      wanted.map(({ account }) => account),
      wanted.map(({ limit }) => limit),
      wanted.map(({ floor }) => floor),
      wanted.map(({ leaseMs }) => leaseMs),
      wanted.map(({ token }) => token),
      busyOf(wanted),
    ],
  );
  // Two requests of one account meet in one transaction, which does not skip what it has locked itself.
  const each = new Map(rows.map((row) => [row.id, row]));
  return [...each.values()].toSorted((a, b) => Number(a.ready_at) - Number(b.ready_at));
}

/** Gives the first message of each locked conversation out. What a lease without a settle has left behind is in doubt. */
async function giveOut(database: Database, query: Query, locked: readonly Row[]): Promise<ReadonlyMap<string, Row>> {
  if (locked.length === 0) return new Map();
  const left = locked.filter(({ in_flight }) => in_flight !== null);
  const inDoubt = left.map((row) => ({ seq: Number(row.in_flight), givenAt: Number(row.given_at) }));
  if (inDoubt.length > 0) await noteDoubt(query, database, inDoubt);
  const { schema, now } = database;
  const { rows } = await query(
    `with heads as (${heads(database, '$1::uuid[]')}),
    given as (
      update ${schema}.conversations c
      set lease = w.lease, ready_at = ${now} + w.lease_ms, in_flight = heads.seq, given_at = ${now}
      from unnest($1::uuid[], $2::text[], $3::bigint[]) as w (id, lease, lease_ms) join heads on heads.conversation = w.id
      where c.id = w.id and c.id = ${anyOf('$1::uuid[]')}
    )
    select * from heads`,
    [
      locked.map(({ id }) => String(id)),
      locked.map(({ lease }) => String(lease)),
      locked.map(({ lease_ms }) => Number(lease_ms)),
    ],
  );
  return new Map(rows.map((row) => [String(row.conversation), row]));
}

async function forget({ schema }: Database, query: Query, empty: readonly Row[]): Promise<void> {
  if (empty.length === 0) return;
  await query(`delete from ${schema}.conversations where id = any ($1::uuid[])`, [empty.map(({ id }) => String(id))]);
}

async function nextDue(
  { schema, now }: Database,
  query: Query,
  wanted: readonly Wanted[],
): Promise<ReadonlyMap<Wanted, number>> {
  if (wanted.length === 0) return new Map();
  const { rows } = await query(
    `select w.place, (
      select ready_at - ${now} from ${schema}.conversations
      where account = w.account and stopped_by is null and ready_at >= w.floor and id <> all ($3::uuid[])
      order by ready_at limit 1
    ) as due from unnest($1::text[], $2::bigint[]) with ordinality as w (account, floor, place)`,
    [wanted.map(({ account }) => account), wanted.map(({ floor }) => floor), busyOf(wanted)],
  );
  return new Map(
    rows.flatMap(({ place, due }) => {
      const request = wanted[Number(place) - 1];
      return request && due !== null ? [[request, Math.max(0, Number(due))] as const] : [];
    }),
  );
}

function busyOf(wanted: readonly Wanted[]): readonly string[] {
  return [...new Set(wanted.flatMap(({ busy }) => [...busy].map(String)))];
}
