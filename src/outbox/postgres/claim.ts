import type { Delivery } from '../../message.ts';
import type { Row } from '../rows.ts';
import type { Claim, ClaimRequest, ClaimResult } from '../store.ts';
import type { Database, Query } from './database.ts';
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
 * Leases conversations that are due, within a transaction, of each account the one that has waited longest first. The
 * messages are read by a statement of its own, begun when the conversations are locked: in one statement they would be
 * seen as they were before that, and what others had just delivered would be given out again.
 */
export async function claim(database: Database, query: Query, wanted: readonly Wanted[]): Promise<Claimed> {
  const allowed = await mayProbe(database, query, wanted);
  const leased = await lease(database, query, allowed);
  const heads = await giveOut(database, query, leased);
  const empty = leased.filter(({ id }) => !heads.has(String(id)));
  await forget(database, query, empty);
  const given = allowed.map((request) =>
    leased.flatMap((row) => {
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

/** The oldest waiting message of each of `ids`, a list of conversations in the statement. */
export function heads({ schema, now }: Database, ids: string): string {
  return `
    select c.id as conversation, m.seq, m.id, m.delivery, m.attempts, ${now} - m.since as age, m.accepted_at, m.in_doubt
    from unnest(${ids}) as c (id) cross join lateral (
      select * from ${schema}.messages where conversation = c.id and state = 'waiting' order by seq limit 1
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

/** @returns the conversations, with `in_flight` and `given_at` as the lease before left them, the longest due first */
async function lease({ schema, now }: Database, query: Query, wanted: readonly Wanted[]): Promise<readonly Row[]> {
  if (wanted.length === 0) return [];
  const { rows } = await query(
    `with due as (
      select c.*, w.lease_ms, w.token from unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::text[])
        as w (account, most, floor, lease_ms, token)
      cross join lateral (
        select id, ready_at, in_flight, given_at from ${schema}.conversations
        where account = w.account and stopped_by is null and ready_at >= w.floor and ready_at <= ${now}
          and id <> all ($6::uuid[])
        order by ready_at limit w.most for update skip locked
      ) c
    )
    update ${schema}.conversations c set lease = due.token, ready_at = ${now} + due.lease_ms
    from due where c.id = due.id
    returning c.id, c.account, c.pending, c.lease, due.ready_at, due.in_flight, due.given_at`,
    [
      wanted.map(({ account }) => account),
      wanted.map(({ limit }) => limit),
      wanted.map(({ floor }) => floor),
      wanted.map(({ leaseMs }) => leaseMs),
      wanted.map(({ token }) => token),
      busyOf(wanted),
    ],
  );
  return rows.toSorted((a, b) => Number(a.ready_at) - Number(b.ready_at));
}

/** Gives the first message of each leased conversation out. What a lease without a settle has left behind is in doubt. */
async function giveOut(database: Database, query: Query, leased: readonly Row[]): Promise<ReadonlyMap<string, Row>> {
  if (leased.length === 0) return new Map();
  const left = leased.filter(({ in_flight }) => in_flight !== null);
  const inDoubt = left.map((row) => ({ seq: Number(row.in_flight), givenAt: Number(row.given_at) }));
  if (inDoubt.length > 0) await noteDoubt(query, database, inDoubt);
  const { schema, now } = database;
  const { rows } = await query(
    `with heads as (${heads(database, '$1::uuid[]')}),
    given as (
      update ${schema}.conversations c set in_flight = heads.seq, given_at = ${now}
      from heads where c.id = heads.conversation
    )
    select * from heads`,
    [leased.map(({ id }) => String(id))],
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
