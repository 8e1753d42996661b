import { conversationOf, type Placement, UNROUTED_REASONS } from '../../message.ts';
import type { Redriven, Routing } from '../records.ts';
import type { Row } from '../rows.ts';
import { conversationId, shortKey } from './conversation.ts';
import { unstop } from './conversations.ts';
import type { Database, Parameter, Query } from './database.ts';
import { messageIn } from './rows.ts';

/** Messages put back by one statement: what is routed is read whole, and may be a megabyte each. */
const AT_ONCE = 100;

type Tables = Pick<Database, 'schema' | 'now'>;

/** Messages of one group, which nobody else changes until the transaction ends. */
export interface Scope {
  readonly group: string;
  readonly condition: string;
  readonly parameters: readonly Parameter[];
}

/** What becomes of a message; `placement` is there where it was routed again. */
type Fate = Back | Stays;

interface Back {
  readonly kind: 'back';
  readonly seq: number;
  readonly key: string;
  readonly account: string;
  readonly placement: Extract<Placement, { readonly delivery: unknown }> | undefined;
}

interface Stays {
  readonly kind: 'stays';
  readonly seq: number;
  readonly placement: Extract<Placement, { readonly dead: unknown }> | undefined;
}

/** A conversation, and how many messages come to it. */
interface Target {
  readonly key: string;
  readonly account: string;
  count: number;
}

/** Puts messages back. Where they are among others is by their seq, which they keep. */
export async function putBack(query: Query, tables: Tables, scope: Scope, routing: Routing): Promise<Redriven> {
  const targets = new Map<string, Target>();
  const targetOf = (key: string, account: string): Target => {
    const target = targets.get(key) ?? { key, account, count: 0 };
    targets.set(key, target);
    return target;
  };
  const unstopped: number[] = [];
  let redriven = 0;
  let unplaced = 0;
  for await (const rows of parts(query, tables, scope, routing)) {
    const fates = rows.map((row) => fateOf(row, scope.group, routing));
    const back = fates.filter((fate) => fate.kind === 'back');
    const stays = fates.filter((fate) => fate.kind === 'stays');
    await writeBack(query, tables, back, routing.table.version);
    await writeStays(query, tables, stays, routing.table.version);
    for (const { key, account } of back) targetOf(key, account).count += 1;
    const backSeqs = new Set(back.map(({ seq }) => seq));
    for (const { seq, stops, account } of rows) {
      if (stops !== true || !backSeqs.has(Number(seq))) continue;
      unstopped.push(Number(seq));
      // It is locked with the others, in their order: what stops a conversation is of its group.
      targetOf(scope.group, String(account));
    }
    redriven += back.length;
    unplaced += stays.length;
  }
  await enqueue(query, tables, [...targets.values()]);
  await unstop(query, tables, unstopped);
  return { redriven, unplaced };
}

async function* parts(
  query: Query,
  { schema }: Tables,
  { condition, parameters }: Scope,
  { reroute }: Routing,
): AsyncGenerator<readonly Row[]> {
  const at = parameters.length;
  for (let last = 0; ; ) {
    const { rows } = await query(
      `select seq, reason, channel, account,
        exists (select 1 from ${schema}.conversations where stopped_by = messages.seq) as stops,
        case when $${at + 1}::boolean or reason = any($${at + 2}::text[]) then message end as message
      from ${schema}.messages where ${condition} and seq > $${at + 3} order by seq limit ${AT_ONCE}`,
      [...parameters, reroute, UNROUTED_REASONS, last],
    );
    if (rows.length > 0) yield rows;
    if (rows.length < AT_ONCE) return;
    last = Number(rows.at(-1)?.seq);
  }
}

function fateOf(row: Row, group: string, { table, reroute }: Routing): Fate {
  const seq = Number(row.seq);
  const isRouted = reroute || UNROUTED_REASONS.some((reason) => reason === row.reason);
  const placement = isRouted ? table.place(String(row.channel), messageIn(row)) : undefined;
  if (placement && 'dead' in placement) return { kind: 'stays', seq, placement };
  const account = placement?.delivery.account ?? String(row.account);
  if (!table.accounts.has(account)) return { kind: 'stays', seq, placement: undefined };
  return {
    kind: 'back',
    seq,
    key: placement ? shortKey(conversationOf(placement.delivery)) : group,
    account,
    placement,
  };
}

async function writeBack(query: Query, { schema, now }: Tables, back: readonly Back[], version: string): Promise<void> {
  if (back.length === 0) return;
  const routed = <T>(of: (placement: NonNullable<Back['placement']>) => T) =>
    back.map(({ placement }) => (placement ? of(placement) : null));
  await query(
    `update ${schema}.messages set state = 'waiting', reason = null, detail = null, settled_at = null, attempts = 0,
      since = ${now}, group_key = null, conversation = back.conversation, account = back.account,
      business_id = coalesce(back.business_id, messages.business_id), auth_id = coalesce(back.auth_id, messages.auth_id),
      delivery = coalesce(back.delivery::json, messages.delivery), route = coalesce(back.route, messages.route),
      table_version = case when back.delivery is null then table_version else $8 end
    from unnest($1::bigint[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[])
      as back (seq, conversation, account, business_id, auth_id, delivery, route)
    where messages.seq = back.seq`,
    [
      back.map(({ seq }) => seq),
      back.map(({ key }) => conversationId(key)),
      back.map(({ account }) => account),
      routed(({ delivery }) => delivery.businessId),
      routed(({ delivery }) => delivery.authId),
      routed(({ delivery }) => JSON.stringify(delivery)),
      routed(({ route }) => route),
      version,
    ],
  );
}

/** What is dead is so for the reason of today. */
async function writeStays(query: Query, { schema }: Tables, stays: readonly Stays[], version: string): Promise<void> {
  const unrouted = stays.flatMap(({ seq, placement }) => (placement ? { seq, ...placement } : []));
  if (unrouted.length === 0) return;
  await query(
    `update ${schema}.messages set reason = stays.reason, detail = stays.detail, route = stays.route, table_version = $5
    from unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) as stays (seq, reason, detail, route)
    where messages.seq = stays.seq and state = 'dead'`,
    [
      unrouted.map(({ seq }) => seq),
      unrouted.map(({ dead }) => dead),
      unrouted.map(({ detail }) => detail),
      unrouted.map(({ route }) => route),
      version,
    ],
  );
}

/** A conversation that waits for its next try is tried at once; one that is leased goes on by itself. */
async function enqueue(query: Query, { schema, now }: Tables, targets: readonly Target[]): Promise<void> {
  if (targets.length === 0) return;
  await query(
    `insert into ${schema}.conversations (id, key, account, pending, ready_at)
    select id, key, account, count, ${now} from unnest($1::uuid[], $2::text[], $3::text[], $4::integer[])
      as target (id, key, account, count) order by id
    on conflict (id) do update set pending = conversations.pending + excluded.pending,
      ready_at = case when conversations.lease is null then excluded.ready_at else conversations.ready_at end`,
    [
      targets.map(({ key }) => conversationId(key)),
      targets.map(({ key }) => key),
      targets.map(({ account }) => account),
      targets.map(({ count }) => count),
    ],
  );
}
