import { afterAll, describe, expect, test } from '@jest/globals';
import { type Clock, systemClock } from '../../src/clock.ts';
import { Database, POOL_SIZE } from '../../src/outbox/postgres/database.ts';
import type { PostgresStore } from '../../src/outbox/postgres/store.ts';
import { StoreUnavailable } from '../../src/outbox/store.ts';
import { until } from '../support/fixtures.ts';
import type { Proxy as Network } from '../support/network.ts';
import { type Server, startServer } from '../support/server.ts';
import { claimAll, ids, KEEP, LEASE_MS, one } from './contract.ts';
import { lockConversations, networkBefore, openKit, timed } from './postgres-kit.ts';
import { DELIVERED, entry } from './samples.ts';

/** Whoever sends something waits for so long at most, whatever happens to the database. */
const ANSWERED_MS = 2_000;
const OURS = "select 1 from pg_stat_activity where application_name = 'haptik-bridge'";
const EACH_MS = 100;

/** Pauses take a twentieth of their time; time limits are as they are. */
const HASTY: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms / 20, signal) };

interface Place {
  readonly server: Server;
  readonly schema: string;
  readonly proxy: Network;
  readonly store: PostgresStore;
}

/** Of all tests here, which leave it as it was; it knows a role that may do nothing but make its schemas. */
let shared: Promise<Server> | undefined;

afterAll(async () => (await shared)?.close());

async function startShared(): Promise<Server> {
  const server = await startServer();
  await server.query("create role bridge login password 'b'");
  await server.query('grant create on database postgres to bridge');
  return server;
}

let opened = 0;

/** A store on a schema of its own, and what a test may do anything to. */
async function open(): Promise<Place> {
  shared ??= startShared();
  const server = await shared;
  const proxy = await networkBefore(server.url);
  const url = new URL(proxy.via(server.url));
  url.username = 'bridge';
  url.password = 'b';
  const schema = `test_${opened++}`;
  url.searchParams.set('schema', schema);
  const kit = await openKit(server);
  const store = await kit.start({ url: url.href, clock: HASTY });
  return { server, schema, proxy, store };
}

/** What happens to a database, and what ends it. */
const TROUBLES: readonly (readonly [string, (place: Place) => unknown, (place: Place) => unknown])[] = [
  ['cannot be reached', ({ proxy }) => proxy.cut(), ({ proxy }) => proxy.heal()],
  ['does not answer', ({ proxy }) => proxy.hang(), ({ proxy }) => proxy.heal()],
  ['is stopped', ({ server }) => server.stop(), ({ server }) => server.start()],
  [
    'is read-only',
    async ({ server }) => {
      await server.query('alter system set default_transaction_read_only = on');
      await server.query('select pg_reload_conf()');
    },
    async ({ server }) => {
      await server.query('alter system reset default_transaction_read_only');
      await server.query('select pg_reload_conf()');
    },
  ],
  [
    'has no connections left',
    async ({ server }) => {
      await server.query('alter role bridge connection limit 0');
      await server.query(OURS.replace('1', 'pg_terminate_backend(pid)'));
    },
    ({ server }) => server.query('alter role bridge connection limit -1'),
  ],
  [
    'has no room left',
    async ({ server, schema }) => {
      await server.query(`
        create function ${schema}.full() returns trigger language plpgsql as
          $$ begin raise 'no space left on device' using errcode = '53100'; end $$;
        create trigger room before insert or update on ${schema}.messages execute function ${schema}.full();
        create trigger room before insert or update on ${schema}.replicas execute function ${schema}.full()`);
    },
    ({ server, schema }) => server.query(`drop function ${schema}.full cascade`),
  ],
];

describe('a database that', () => {
  test.each(TROUBLES)(
    '%s: it is noticed without traffic, all are answered in time, and it goes on by itself',
    async (_name, strike, mend) => {
      const place = await open();
      const { store, server } = place;
      await store.accept([entry('m0', 'a', { providerId: 'm0' })]);
      await strike(place);
      await until('it is noticed', async () => !(await store.isWritable()));
      const sent = Array.from({ length: 8 }, async (_, index) => {
        await systemClock.sleep(index * EACH_MS);
        return timed(store.accept([entry(`m${index + 1}`, 'a', { providerId: `m${index + 1}` })]));
      });
      for (const { ms, error } of await Promise.all(sent)) {
        expect(error).toBeInstanceOf(StoreUnavailable);
        expect(ms).toBeLessThan(ANSWERED_MS);
      }
      await mend(place);
      await until('it is writable', () => store.isWritable());
      const again = Array.from({ length: 9 }, (_, index) => entry(`again${index}`, 'a', { providerId: `m${index}` }));
      const firsts = (await store.accept(again)).map(({ id }) => id);
      let [claim] = await claimAll(store);
      for (const id of firsts) {
        expect(claim).toMatchObject({ isInDoubt: false, message: { id } });
        const settled = claim && (await store.settle(claim, DELIVERED, KEEP));
        claim = settled === 'stale' ? undefined : settled?.next;
      }
      expect(claim).toBeUndefined();
      await until('no connections are left over', async () => (await server.query(OURS)).length <= POOL_SIZE);
    },
  );

  test('stops to answer under traffic: nobody waits for longer for having come while others wait', async () => {
    const { store, proxy } = await open();
    await store.accept([entry('m', 'a')]);
    proxy.hang();
    const sent = Array.from({ length: 20 }, async (_, index) => {
      await systemClock.sleep(index * EACH_MS);
      return timed(store.accept([entry(`m${index}`, 'a')]));
    });
    for (const { ms, error } of await Promise.all(sent)) {
      expect(error).toBeInstanceOf(StoreUnavailable);
      expect(ms).toBeLessThan(ANSWERED_MS);
    }
    // Also what listens does not wait for it.
    store.listen(() => undefined);
    expect(await timed(store.close())).toMatchObject({ error: undefined });
  });
});

describe('what others hold locked', () => {
  test('is not waited for by those who need something else', async () => {
    const kit = await openKit();
    const store = await kit.start();
    await store.accept([entry('m0', 'held')]);
    const letGo = await lockConversations(await kit.session());
    const sent = await Promise.all(
      ['held', 'held', 'held', 'held', 'a', 'b', 'c', 'd'].map((name, index) =>
        timed(store.accept([entry(name === 'held' ? `m${index + 1}` : `m-${name}`, name)])),
      ),
    );
    for (const { error } of sent.slice(0, 4)) expect(error).toBeInstanceOf(StoreUnavailable);
    for (const { error } of sent.slice(4)) expect(error).toBeUndefined();
    for (const { ms } of sent) expect(ms).toBeLessThan(ANSWERED_MS);
    expect(await store.isWritable()).toBe(true);
    expect(ids(await claimAll(store)).sort()).toEqual(['m-a', 'm-b', 'm-c', 'm-d']);
    await letGo();
    expect(ids(await claimAll(store))).toEqual(['m0']);
  });

  test('keeps neither the outcomes of others from being written, nor their leases', async () => {
    const kit = await openKit();
    const store = await kit.start();
    await store.accept([entry('m0', 'held')]);
    const held = await one(store);
    const letGo = await lockConversations(await kit.session());
    await store.accept(['a', 'b', 'c', 'd'].map((name) => entry(`m-${name}`, name)));
    const others = await claimAll(store);
    const { renewed, lost } = await store.renew([held, ...others], LEASE_MS);
    expect([ids(renewed).sort(), lost]).toEqual([ids(others).sort(), []]);
    const [stuck, ...settled] = await Promise.all(
      [held, ...others].map((claim) => timed(store.settle(claim, DELIVERED, undefined))),
    );
    expect(stuck?.error).toBeInstanceOf(StoreUnavailable);
    expect(settled.map(({ error }) => error)).toEqual([undefined, undefined, undefined, undefined]);
    await letGo();
    expect(await store.settle(held, DELIVERED, undefined)).toEqual({ next: undefined, hasMore: false });
  });

  test('leaves nothing waiting in the database when we have given up', async () => {
    const kit = await openKit();
    const store = await kit.start();
    const holder = await kit.session();
    await holder.query('begin');
    await holder.query('lock table haptik_bridge.messages in access exclusive mode');
    const { ms, error } = await timed(store.accept([entry('m0', 'a')]));
    expect(error).toBeInstanceOf(StoreUnavailable);
    expect(ms).toBeLessThan(ANSWERED_MS);
    const waiting = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    expect(await kit.query(waiting)).toEqual([]);
    await holder.query('commit');
    await store.accept([entry('m1', 'a')]);
    expect(ids(await claimAll(store))).toEqual(['m1']);
  });

  test('by a process that froze is free again before long', async () => {
    const kit = await openKit();
    const store = await kit.start();
    await store.accept([entry('m1', 'a')]);
    const claim = await one(store);
    const database = new Database({ url: kit.url, clock: systemClock });
    const thawed = Promise.withResolvers<void>();
    const frozen = Promise.withResolvers<void>();
    const broken = database.transaction(async (query) => {
      await query('select 1 from haptik_bridge.conversations for update');
      frozen.resolve();
      await thawed.promise;
    });
    await frozen.promise;
    const settle = () => store.settle(claim, DELIVERED, KEEP);
    await until(
      'its outcome is written',
      () =>
        settle().then(
          (result) => result !== 'stale',
          () => false,
        ),
      4_000,
    );
    expect(await claimAll(store)).toEqual([]);
    thawed.resolve();
    await expect(broken).rejects.toThrow(StoreUnavailable);
    await database.close();
  });
});
