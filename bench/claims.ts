import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { v7 } from 'uuid';
import { systemClock as clock } from '../src/clock.ts';
import { createLog } from '../src/log.ts';
import { PostgresStore } from '../src/outbox/postgres/store.ts';
import type { Claim, Entry } from '../src/outbox/store.ts';
import { TEXT } from './load.ts';
import { startPostgres } from './postgres.ts';
import { median, printTable, type Row, ratioColumns } from './table.ts';

const ACCOUNT = 'main';
const BUSINESS_ID = 343;
const LEASE_MS = 15_000;
/** Conversations claimed at once, whose messages are then settled at once. */
const BATCH = 50;
const ROUNDS = 9;
const BATCHES_A_ROUND = 40;
const WARM_UP_BATCHES = 100;
/** As a dispatcher does. */
const LOOK_MS = 1_000;
/** What the cost may grow by, from a thousand waiting to a million, and in a minute of an old snapshot. */
const ALLOWED = 2;

const SNAPSHOT_MS = 60_000;
/** At the beginning and at the end of which it is measured. */
const PART_MS = 5_000;
/** One batch is begun that often, so that the same is changed behind the snapshot on every machine: 1,000 messages a second. */
const BATCH_EVERY_MS = 50;

const FEW = 1_000;
const MANY = 1_000_000;

interface Backlog extends AsyncDisposable {
  readonly name: string;
  readonly url: string;
  readonly store: PostgresStore;
  /** Claims and settles a batch, and puts as much back. */
  turn(): Promise<Took>;
}

/** In milliseconds. */
interface Took {
  readonly claim: number;
  readonly settle: number;
}

/** What it costs to claim and to settle with little and with much waiting, and while somebody holds an old snapshot. */
export async function measureClaims(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await startPostgres());
  const open = async (messages: number, each: number) =>
    stack.use(await openBacklog(await postgres.newDatabase(), messages, each));
  // In pairs: what the second of them costs is compared with the first.
  const backlogs = [await open(FEW, 1), await open(MANY, 1), await open(FEW, 10), await open(MANY, 10)];
  await compareSizes(backlogs);
  await measureSnapshots(backlogs, await open(FEW, 1));
}

async function compareSizes(backlogs: readonly Backlog[]): Promise<void> {
  for (const backlog of backlogs) await turns(backlog, WARM_UP_BATCHES);
  const rounds: Took[][] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const tookOfRound: Took[] = [];
    for (const backlog of backlogs) tookOfRound.push(medians(await turns(backlog, BATCHES_A_ROUND)));
    rounds.push(tookOfRound);
  }
  const claims = rounds.map((round) => round.map(({ claim }) => claim));
  const settles = rounds.map((round) => round.map(({ settle }) => settle));
  const both = rounds.map((round) => round.map(bothOf));
  const rows = backlogs.map(({ name }, index): Row => {
    const base = index - (index % 2);
    const [claim] = ratioColumns(claims, index, base, 2);
    const [settle] = ratioColumns(settles, index, base, 2);
    return [name, claim, settle, ...ratioColumns(both, index, base, 2)];
  });
  rows.push(['allowed', '', '', '', ALLOWED.toFixed(2), '']);
  printTable(
    `Claim and settle ${BATCH} conversations (median of ${ROUNDS} rounds of ${BATCHES_A_ROUND} batches)`,
    ['waiting', 'claim, ms', 'settle, ms', 'both, ms', 'ratio', 'lowest–highest'],
    rows,
  );
}

/**
 * The first and the last seconds of a minute in which somebody else holds a snapshot, and so all that is dead stays. Turns
 * alternate with those of another database, where nobody does: what else the machine is at then falls on both.
 */
async function measureSnapshots(backlogs: readonly Backlog[], control: Backlog): Promise<void> {
  const rows: Row[] = [];
  for (const backlog of backlogs) {
    const before = await alternate(backlog, control, PART_MS);
    const holder = new pg.Client(backlog.url);
    await holder.connect();
    await holder.query('begin isolation level repeatable read');
    // The snapshot is taken by the first statement.
    await holder.query('select 1');
    await alternate(backlog, control, SNAPSHOT_MS - PART_MS);
    const after = await alternate(backlog, control, PART_MS);
    await holder.end();
    const growth = (cost: (took: Took) => number) =>
      cost(after.held) / cost(after.free) / (cost(before.held) / cost(before.free));
    rows.push([
      backlog.name,
      bothOf(before.held).toFixed(2),
      bothOf(after.held).toFixed(2),
      bothOf(before.free).toFixed(2),
      bothOf(after.free).toFixed(2),
      growth(bothOf).toFixed(2),
      growth(({ claim }) => claim).toFixed(2),
      growth(({ settle }) => settle).toFixed(2),
    ]);
  }
  rows.push(['allowed', '', '', '', '', ALLOWED.toFixed(2), '', '']);
  const pace = `${(BATCH * 1_000) / BATCH_EVERY_MS} messages a second`;
  printTable(
    `Claim and settle ${BATCH} at ${pace}, before and after ${SNAPSHOT_MS / 1_000} s of a held snapshot, ms; beside a database without`,
    ['waiting', 'before', 'after', 'without, before', 'without, after', 'ratio', 'of claim', 'of settle'],
    rows,
  );
}

function bothOf({ claim, settle }: Took): number {
  return claim + settle;
}

/** At a steady pace; a turn that is late is not caught up with. */
async function alternate(
  backlog: Backlog,
  control: Backlog,
  ms: number,
): Promise<Readonly<Record<'held' | 'free', Took>>> {
  const held: Took[] = [];
  const free: Took[] = [];
  const endsAt = performance.now() + ms;
  while (performance.now() < endsAt) {
    const nextAt = performance.now() + BATCH_EVERY_MS;
    held.push(await backlog.turn());
    free.push(await control.turn());
    await sleep(Math.max(0, nextAt - performance.now()));
  }
  return { held: medians(held), free: medians(free) };
}

function medians(turns: readonly Took[]): Took {
  return { claim: median(turns.map(({ claim }) => claim)), settle: median(turns.map(({ settle }) => settle)) };
}

/** One after the other, without a pause. */
async function turns(backlog: Backlog, count: number): Promise<readonly Took[]> {
  const took: Took[] = [];
  for (let index = 0; index < count; index += 1) took.push(await backlog.turn());
  return took;
}

async function openBacklog(url: string, messages: number, each: number): Promise<Backlog> {
  const store = await PostgresStore.open({
    url,
    clock,
    newToken: randomUUID,
    log: createLog({ logLevel: 'error', logFormat: 'json' }),
    maxBacklog: Number.POSITIVE_INFINITY,
    eraseAtOnce: false,
  });
  await fill(url, messages / each, each);
  let lookAt = 0;
  return {
    name: `${messages.toLocaleString('en')}, in ${(messages / each).toLocaleString('en')} conversations`,
    url,
    store,
    turn: async () => {
      if (performance.now() >= lookAt) {
        lookAt = performance.now() + LOOK_MS;
        await store.look([ACCOUNT]);
      }
      const startedAt = performance.now();
      const request = { account: ACCOUNT, limit: BATCH, leaseMs: LEASE_MS, busy: new Set<string>() };
      const { claims } = await store.claim(request);
      const claimedAt = performance.now();
      if (claims.length < BATCH) throw new Error(`of ${BATCH} conversations only ${claims.length} were given`);
      await Promise.all(claims.map((claim) => store.settle(claim, delivered(), undefined)));
      const settledAt = performance.now();
      // As many wait in each as before.
      await store.accept(claims.map(successor));
      return { claim: claimedAt - startedAt, settle: settledAt - claimedAt };
    },
    [Symbol.asyncDispose]: () => store.close(),
  };
}

function delivered() {
  const attempt = { at: clock.now(), outcome: 'delivered', status: 200, duration: 12, detail: null } as const;
  return { state: 'delivered', messageId: '4711', createdAt: null, attempt } as const;
}

function successor({ message: { delivery } }: Claim): Entry {
  const message = { ...MESSAGE, providerId: randomUUID() };
  return { id: v7(), channel: 'chat', message, placement: { route: ROUTE, delivery }, tableVersion: 'bench' };
}

const MESSAGE = { sender: '+919820000000', recipient: 'chat', text: TEXT, fields: {}, attachments: [] };
const ROUTE = 'routes[0]';

/** What the store would have written for as many conversations with so many messages each, all of them due. */
async function fill(url: string, conversations: number, each: number): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  const delivery = { account: ACCOUNT, businessId: BUSINESS_ID, text: TEXT, user: {} };
  const onFault = { onUnknown: 'retry', onDead: 'continue' };
  const now = '(extract(epoch from now()) * 1000)::bigint';
  // A conversation is called by the digest of its key; its messages come one after the other, as customers write.
  await client.query(`
    create temporary table numbers as
      select n, 'sms' || n as auth_id, format('["${ACCOUNT}",${BUSINESS_ID},"sms%s"]', n) as key
      from generate_series(1, ${conversations}) as n;
    alter table numbers add id uuid;
    update numbers set id = left(encode(sha256(convert_to(key, 'UTF8')), 'hex'), 32)::uuid;
    insert into haptik_bridge.messages (id, conversation, state, channel, provider_id, account, business_id, auth_id,
        sender, message, delivery, route, table_version, accepted_at, since)
      select gen_random_uuid()::text, id, 'waiting', 'chat', gen_random_uuid()::text, '${ACCOUNT}', ${BUSINESS_ID},
        auth_id, '+919820000000', ${literal(MESSAGE)}::json,
        (${literal({ ...delivery, ...onFault })}::jsonb || jsonb_build_object('authId', auth_id))::json,
        '${ROUTE}', 'bench', ${now}, ${now}
      from generate_series(1, ${each}) as turn cross join numbers order by turn, n;
    insert into haptik_bridge.conversations (id, key, account, pending, ready_at)
      select id, key, '${ACCOUNT}', ${each}, ${now} - ${conversations} + n from numbers order by n`);
  await client.query('vacuum (analyze) haptik_bridge.messages');
  await client.query('vacuum (analyze) haptik_bridge.conversations');
  await client.query('checkpoint');
  await client.end();
}

function literal(value: object): string {
  return pg.escapeLiteral(JSON.stringify(value));
}
