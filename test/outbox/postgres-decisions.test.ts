import { describe, expect, test } from '@jest/globals';
import { conversationOf, type Placement } from '../../src/message.ts';
import { conversationId } from '../../src/outbox/postgres/conversation.ts';
import { PostgresStore } from '../../src/outbox/postgres/store.ts';
import { BackupRefused, type Decision, type MessageFilter, type Routing } from '../../src/outbox/records.ts';
import type { Entry } from '../../src/outbox/store.ts';
import { ManualClock, memoryLog, onTestEnd, until } from '../support/fixtures.ts';
import { testDatabase } from '../support/postgres.ts';
import { claimAll, ids, KEEP, LEASE_MS, one } from './contract.ts';
import { AGAIN, DEAD, DELIVERED, delivery, EVERY_ACCOUNT, entry, strayEntry, UNKNOWN } from './samples.ts';

const CONFIRM: Decision = { kind: 'confirm' };
const DISCARD: Decision = { kind: 'discard', reason: 'spam' };
const NO_ROUTE: Placement = { route: null, dead: 'unroutable', detail: 'no route fits' };
const ROUNDS = 15;
/** More than are put back by one statement, or discarded by one commit. */
const MANY = 250;

const groupOf = (authId: string, account = 'main') => conversationOf(delivery(authId, { account }));

function routing(placement: Placement, reroute = false): Routing {
  return { table: { version: 'v2', accounts: EVERY_ACCOUNT, place: () => placement }, reroute };
}

const AS_IT_WAS = routing(NO_ROUTE);
const REDRIVE: Decision = { kind: 'redrive', routing: AS_IT_WAS };
const to = (authId: string, account: string) =>
  routing({ route: 'routes[5]', delivery: delivery(authId, { account }) }, true);

/** Two processes that share a database. */
async function together() {
  const { url, query } = await testDatabase();
  const clock = new ManualClock();
  let tokens = 0;
  const start = async () => {
    const store = await PostgresStore.open({
      url,
      clock,
      now: () => `${clock.elapsed()}::bigint`,
      newToken: () => `token-${tokens++}`,
      log: memoryLog().log,
      maxBacklog: 1_000_000,
      eraseAtOnce: false,
    });
    onTestEnd(() => store.close());
    return store;
  };
  const [here, there] = [await start(), await start()];

  /** What waits is counted right, and all of it is in a conversation. */
  async function expectCounted(): Promise<void> {
    const wrong = await query(
      `select id, pending, n from haptik_bridge.conversations full join (
        select conversation, count(*) as n from haptik_bridge.messages where state = 'waiting' group by conversation
      ) as waiting on conversation = id
      where pending is distinct from coalesce(n, 0) or (pending = 0 and stopped_by is null)`,
    );
    expect(wrong).toEqual([]);
  }

  /** Of all of these that wait, each is delivered; in order within its conversation. */
  async function deliverAll(): Promise<string[]> {
    const delivered: string[] = [];
    clock.advance(LEASE_MS);
    for (let claims = await claimAll(here); claims.length > 0; claims = await claimAll(here)) {
      delivered.push(...ids(claims));
      await Promise.all(claims.map((claim) => here.settle(claim, DELIVERED, undefined)));
    }
    return delivered;
  }

  /** Dead letters of one conversation. */
  async function setAside(entries: readonly Entry[]): Promise<void> {
    await here.accept(entries);
    const claim = await one(here);
    for (let next: typeof claim | undefined = claim; next; ) {
      const settled = await here.settle(next, DEAD, KEEP);
      next = settled === 'stale' ? undefined : settled.next;
    }
  }

  async function count(filter: MessageFilter): Promise<number> {
    return (await here.records.list(filter, { after: undefined, limit: 10_000 })).items.length;
  }

  /** Somebody waits for a lock that another holds. */
  async function someoneWaits(): Promise<void> {
    await until('a lock is waited for', async () => {
      const rows = await query<{ n: number }>('select count(*)::int as n from pg_locks where not granted');
      return (rows[0]?.n ?? 0) > 0;
    });
  }

  return { here, there, clock, query, expectCounted, deliverAll, setAside, count, someoneWaits };
}

const entriesOf = (authId: string, count: number, name: string) =>
  Array.from({ length: count }, (_, index) => entry(`${name}-${String(index).padStart(4, '0')}`, authId));

describe('decisions of one process while another', () => {
  test('accepts into the conversation: all of it waits, in order', async () => {
    const { here, there, setAside, expectCounted, deliverAll } = await together();
    for (let round = 0; round < ROUNDS; round += 1) {
      const dead = entriesOf('a', 8, `dead${round}`);
      await setAside(dead);
      const [redriven] = await Promise.all([
        here.records.redrive(groupOf('a'), {}, AS_IT_WAS),
        ...[1, 2, 3].map((n) => there.accept([entry(`new${round}-${n}`, 'a')])),
      ]);
      expect(redriven).toEqual({ redriven: 8, unplaced: 0 });
      await expectCounted();
      const delivered = await deliverAll();
      expect(delivered).toHaveLength(11);
      expect(delivered.slice(0, 8)).toEqual(dead.map(({ id }) => id));
    }
  });

  test('claims what is discarded: it is either', async () => {
    const { here, there, expectCounted } = await together();
    for (let round = 0; round < ROUNDS; round += 1) {
      const id = `m${round}`;
      await here.accept([entry(id, 'a')]);
      const [result, claims] = await Promise.all([here.records.decide(id, DISCARD), claimAll(there)]);
      expect({ result, claimed: ids(claims) }).toEqual(
        result === 'done' ? { result, claimed: [] } : { result: 'leased', claimed: [id] },
      );
      await expectCounted();
      for (const claim of claims) await there.settle(claim, DELIVERED, undefined);
      await expectCounted();
    }
  });

  test('redrives the same: each message is counted by one of them', async () => {
    const { here, there, setAside, expectCounted, deliverAll } = await together();
    const entries = entriesOf('a', MANY, 'm');
    await setAside(entries);
    const both = await Promise.all([here, there].map(({ records }) => records.redrive(groupOf('a'), {}, AS_IT_WAS)));
    expect(both.reduce((sum, { redriven }) => sum + redriven, 0)).toBe(MANY);
    await expectCounted();
    expect(await deliverAll()).toEqual(entries.map(({ id }) => id));
  });

  test('redrives the same one: it waits once', async () => {
    const { here, there, setAside, expectCounted } = await together();
    for (let round = 0; round < ROUNDS; round += 1) {
      const id = `m${round}`;
      await setAside([entry(id, 'a')]);
      const results = await Promise.all([here, there].map(({ records }) => records.decide(id, REDRIVE)));
      expect(results.toSorted()).toEqual(['done', 'unchanged']);
      await expectCounted();
      await one(here).then((claim) => here.settle(claim, DELIVERED, undefined));
    }
  });

  test.each([UNKNOWN, { ...DEAD, stops: true }])(
    'accepts behind a message that is confirmed: the conversation goes on ($state)',
    async (settlement) => {
      const { here, there, expectCounted, deliverAll } = await together();
      for (let round = 0; round < ROUNDS; round += 1) {
        await here.accept([entry(`m${round}`, 'a'), ...(round % 2 ? [entry(`behind${round}`, 'a')] : [])]);
        await here.settle(await one(here), settlement, undefined);
        const [result] = await Promise.all([
          here.records.decide(`m${round}`, CONFIRM),
          there.accept([entry(`new${round}`, 'a')]),
        ]);
        expect(result).toBe('done');
        await expectCounted();
        expect(await deliverAll()).toEqual([...(round % 2 ? [`behind${round}`] : []), `new${round}`]);
      }
    },
  );

  test('discards all that is redriven: each message is either', async () => {
    const { here, there, setAside, expectCounted, count } = await together();
    await setAside(entriesOf('a', MANY, 'm'));
    const discarding = there.records.discard(groupOf('a'), {}, 'spam');
    const { redriven } = await here.records.redrive(groupOf('a'), { since: 0 }, AS_IT_WAS);
    const discarded = await discarding;
    expect(discarded + redriven).toBe(MANY);
    expect([await count({ state: 'discarded' }), await count({ state: 'waiting' })]).toEqual([discarded, redriven]);
    await expectCounted();
  });

  test('sets aside more of the group that is redriven', async () => {
    const { here, there, setAside, expectCounted, deliverAll } = await together();
    for (let round = 0; round < ROUNDS; round += 1) {
      await setAside([entry(`dead${round}`, 'a')]);
      await here.accept([entry(`m${round}`, 'a')]);
      const claim = await one(there);
      const [settled] = await Promise.all([
        there.settle(claim, DEAD, KEEP),
        here.records.redrive(groupOf('a'), {}, AS_IT_WAS),
      ]);
      await expectCounted();
      if (settled !== 'stale' && settled.next) await there.settle(settled.next, AGAIN, undefined);
      await here.records.redrive(groupOf('a'), {}, AS_IT_WAS);
      await expectCounted();
      expect(await deliverAll()).toEqual([`dead${round}`, `m${round}`]);
    }
  });

  test('moves what waits the other way: nothing is lost, and neither fails', async () => {
    const { here, there, expectCounted, count } = await together();
    const gone = { account: 'gone' };
    const waiting = (authId: string) =>
      Array.from({ length: 120 }, (_, index) => entry(`${authId}${index}`, authId, gone));
    await here.accept([...waiting('a'), ...waiting('b')]);
    const move = (store: PostgresStore, from: string, into: string) =>
      store.records.redrive(groupOf(from, 'gone'), { state: 'waiting', account: 'gone' }, to(into, 'gone'));
    const done = await Promise.all([move(here, 'a', 'b'), move(there, 'b', 'a')]);
    expect(done.every(({ redriven }) => redriven >= 120)).toBe(true);
    await expectCounted();
    expect(await count({ state: 'waiting' })).toBe(240);
  });

  test('does all kinds of things: what waits is counted right, and can be delivered', async () => {
    const { here, there, clock, expectCounted, deliverAll, count } = await together();
    const processes = [here, there];
    let accepted = 0;
    // The same deeds every time, though not the same course of events.
    let seed = 1;
    const random = (below: number) => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    const some = <T>(items: readonly T[]): T => items[random(items.length)] as T;
    const conversations = ['a', 'b', 'c'];
    const gone = groupOf('d', 'gone');
    const deeds: readonly ((store: PostgresStore) => Promise<unknown>)[] = [
      (store) => store.accept([0, 1, 2].map(() => entry(`m${accepted++}`, some(conversations)))),
      (store) => store.accept([strayEntry(`m${accepted++}`, 's')]),
      async (store) => {
        for (const claim of await claimAll(store)) {
          await store.settle(
            claim,
            some([DELIVERED, DEAD, { ...DEAD, stops: true }, UNKNOWN, AGAIN]),
            some([KEEP, undefined]),
          );
        }
      },
      ({ records }) => records.decide(`m${random(accepted + 1)}`, some([REDRIVE, CONFIRM, DISCARD])),
      ({ records }) =>
        records.redrive(groupOf(some(conversations)), {}, some([AS_IT_WAS, to(some(conversations), 'main')])),
      ({ records }) => records.redrive(gone, { state: 'waiting' }, to(some(conversations), 'main')),
      ({ records }) => records.discard(groupOf(some(conversations)), { reason: 'refused' }, 'spam'),
      (store) => store.recount(undefined, 10),
    ];
    for (let round = 0; round < 40; round += 1) {
      await here.accept([entry(`m${accepted++}`, 'd', { account: 'gone' })]);
      await Promise.all(Array.from({ length: 8 }, () => some(deeds)(some(processes))));
      await expectCounted();
      clock.advance(some([0, 1_000, LEASE_MS]));
    }
    for (const group of (await here.records.walk({}, undefined)).groups) {
      await here.records.redrive(group, {}, to('a', 'main'));
    }
    await here.records.redrive(gone, { state: 'waiting' }, to('a', 'main'));
    await deliverAll();
    await expectCounted();
    expect((await count({ state: 'delivered' })) + (await count({ state: 'discarded' }))).toBe(accepted);
  });
});

describe('a decision', () => {
  test('is made anew of what was settled before its conversation could be locked', async () => {
    const { here, query, someoneWaits, expectCounted } = await together();
    await here.accept([entry('m1', 'a'), entry('m2', 'a')]);
    await query('begin');
    await query('update haptik_bridge.conversations set pending = 1');
    const result = here.records.decide('m1', DISCARD);
    await someoneWaits();
    await query(
      `update haptik_bridge.messages set state = 'dead', conversation = null, group_key = $1 where id = 'm1'`,
      [groupOf('a')],
    );
    await query('commit');
    expect(await result).toBe('done');
    expect(await here.records.get('m1')).toMatchObject({ state: 'discarded', reason: 'spam' });
    await expectCounted();
  });

  test('is made anew of what was leased meanwhile', async () => {
    const { here, query, someoneWaits } = await together();
    await here.accept([entry('m1', 'a')]);
    await query('begin');
    await query("update haptik_bridge.conversations set lease = 'other', ready_at = ready_at + 15000");
    const result = here.records.decide('m1', DISCARD);
    await someoneWaits();
    await query('commit');
    expect(await result).toBe('leased');
  });

  test('about what a lease that has run out was for: its holder is told, and what was in flight is in doubt', async () => {
    const { here, there, clock, expectCounted } = await together();
    await here.accept([entry('m1', 'a'), entry('m2', 'a')]);
    const claim = await one(there);
    const givenAt = clock.elapsed();
    clock.advance(LEASE_MS);
    expect(await here.records.decide('m2', DISCARD)).toBe('done');
    expect(await there.settle(claim, DELIVERED, undefined)).toBe('stale');
    expect(await one(here)).toMatchObject({ isInDoubt: true, message: { id: 'm1' } });
    expect((await here.records.get('m1'))?.attemptLog).toMatchObject([
      { at: givenAt, outcome: 'unknown', duration: null },
    ]);
    await expectCounted();
  });

  test('is not kept waiting by one about another group', async () => {
    const { here, there, query, someoneWaits, setAside } = await together();
    await setAside([entry('m1', 'a')]);
    await setAside([entry('m2', 'b')]);
    await query('begin');
    await query("select 1 from haptik_bridge.messages where id = 'm1' for update");
    const held = here.records.redrive(groupOf('a'), {}, AS_IT_WAS);
    await someoneWaits();
    expect(await there.records.redrive(groupOf('b'), {}, AS_IT_WAS)).toEqual({ redriven: 1, unplaced: 0 });
    await query('commit');
    expect(await held).toEqual({ redriven: 1, unplaced: 0 });
  });

  test('about very many is made whole, or not at all', async () => {
    const { here, query, setAside, count, expectCounted } = await together();
    await setAside(entriesOf('a', MANY, 'm'));
    let routed = 0;
    const failing: Routing = {
      reroute: true,
      table: {
        ...AS_IT_WAS.table,
        place: () => {
          routed += 1;
          if (routed === MANY) throw new Error('no more');
          return { route: 'routes[5]', delivery: delivery('b') };
        },
      },
    };
    await expect(here.records.redrive(groupOf('a'), {}, failing)).rejects.toThrow('no more');
    expect(await count({ state: 'dead' })).toBe(MANY);
    await expectCounted();
    expect(await query('select 1 from haptik_bridge.conversations')).toEqual([]);
  });
});

test('a conversation is found by its group', async () => {
  const { here, query } = await together();
  await here.accept([entry('m1', 'a')]);
  expect(await query('select id from haptik_bridge.conversations')).toEqual([{ id: conversationId(groupOf('a')) }]);
});

test('a backup is left to those who run the database', async () => {
  const { here } = await together();
  await expect(here.records.backup('/tmp/copy.db')).rejects.toThrow(BackupRefused);
});
