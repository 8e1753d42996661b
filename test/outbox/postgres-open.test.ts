import { describe, expect, test } from '@jest/globals';
import type { PostgresStore } from '../../src/outbox/postgres/store.ts';
import { StoreRefused, StoreUnavailable } from '../../src/outbox/store.ts';
import { claimAll, ids } from './contract.ts';
import { type Kit, openKit } from './postgres-kit.ts';
import { entry } from './samples.ts';

/** What a fault says, and that it gives nothing away. */
async function refusal(kit: Kit, change: (url: URL) => void): Promise<Error> {
  const url = new URL(kit.url);
  change(url);
  const error: unknown = await kit.start({ url: url.href }).catch((cause: unknown) => cause);
  if (!(error instanceof Error)) throw new Error('it opened');
  for (const password of ['secret', 'wrong-word']) {
    expect(`${error.message} ${error.stack} ${JSON.stringify(error)}`).not.toContain(password);
  }
  return error;
}

/** A role of the test's, which may do nothing but what it is given. */
async function role(kit: Kit): Promise<{ readonly name: string; readonly as: (url: URL) => void }> {
  const database = new URL(kit.url).pathname.slice(1);
  const name = `${database}_role`;
  await kit.query(`create role ${name} login password 'wrong-word'`);
  return {
    name,
    as: (url) => {
      url.username = name;
      url.password = 'wrong-word';
    },
  };
}

describe('opening', () => {
  test('by many processes at once makes the tables once', async () => {
    const kit = await openKit();
    const stores = await Promise.all(Array.from({ length: 10 }, () => kit.start()));
    await Promise.all(stores.map((store, index) => store.accept([entry(`m${index}`, `c${index}`)])));
    const [first] = stores;
    expect(first && (await claimAll(first))).toHaveLength(10);
    expect(await kit.query('select * from haptik_bridge.version')).toHaveLength(1);
    expect((await first?.look([]))?.share.of).toBe(10);
  });

  test('what the first version has made adds to it, and its replicas go on beside', async () => {
    const kit = await openKit();
    const before = await kit.start();
    await before.accept([entry('m1', 'a', { providerId: 'p' })]);
    await kit.query('drop table haptik_bridge.repeats, haptik_bridge.tables');
    await kit.query('alter table haptik_bridge.replicas drop column table_version');
    await kit.query('update haptik_bridge.version set version = 1');
    const [store] = await Promise.all([kit.start(), kit.start()]);
    expect(await kit.query('select * from haptik_bridge.version')).toEqual([{ version: 3, oldest_code: 1 }]);
    const form = (id: string) => entry(id, 'b', { repeat: { key: 'f', withinMs: 60_000 } });
    expect(await store.accept([form('m2'), form('m3')])).toMatchObject([{ id: 'm2' }, { id: 'm2' }]);
    const again = entry('m4', 'a', { repeat: { key: 'p' } });
    expect(await store.accept([again])).toMatchObject([{ id: 'm1', isDuplicate: true }]);
    expect(await before.accept([{ ...again, id: 'm5' }])).toMatchObject([{ id: 'm1', isDuplicate: true }]);
    expect(ids(await claimAll(before)).sort()).toEqual(['m1', 'm2']);
  });

  test('what a newer version has made that this one can work with', async () => {
    const kit = await openKit();
    const store = await kit.start();
    await store.accept([entry('m1', 'a')]);
    await kit.query('update haptik_bridge.version set version = version + 1');
    expect(ids(await claimAll(await kit.start()))).toEqual(['m1']);
    expect(await kit.query('select 1 from haptik_bridge.version where version = 1')).toEqual([]);
  });

  test('what a newer version has made that this one cannot work with is refused, and left as it is', async () => {
    const kit = await openKit();
    await kit.start();
    await kit.query('update haptik_bridge.version set version = 99, oldest_code = 99');
    const error = await refusal(kit, () => undefined);
    expect(error).toBeInstanceOf(StoreRefused);
    expect(error.message).toMatch(/schema 99 .* run that version, or restore a backup/);
    expect(await kit.query('select * from haptik_bridge.version')).toEqual([{ version: 99, oldest_code: 99 }]);
  });

  test('says what to do about a wrong password, a missing database, and a server that is not there', async () => {
    const kit = await openKit();
    const password = await refusal(kit, (url) => {
      url.password = 'wrong-word';
    });
    expect(password).toBeInstanceOf(StoreRefused);
    expect(password.message).toMatch(/password authentication failed.*see user, password and database in DATABASE_URL/);
    const database = await refusal(kit, (url) => {
      url.pathname = '/nowhere';
    });
    expect(database).toBeInstanceOf(StoreRefused);
    expect(database.message).toMatch(/"nowhere" does not exist.*see user, password and database in DATABASE_URL/);
    const server = await refusal(kit, (url) => {
      url.port = '1';
    });
    expect(server).toBeInstanceOf(StoreUnavailable);
    expect(server.message).toMatch(/127\.0\.0\.1:1\/.*cannot be used right now/);
  });

  test('without the right to make a schema says so; one that is given is enough', async () => {
    const kit = await openKit();
    const { name, as } = await role(kit);
    try {
      const error = await refusal(kit, as);
      expect(error).toBeInstanceOf(StoreRefused);
      expect(error.message).toMatch(/permission denied.*give its user the schema, or the right to create one/);
      await kit.query(`create schema own authorization ${name}`);
      const url = new URL(kit.url);
      as(url);
      url.searchParams.set('schema', 'own');
      const store = await kit.start({ url: url.href });
      await store.accept([entry('m1', 'a')]);
      expect(ids(await claimAll(store))).toEqual(['m1']);
      // The tables of others.
      await kit.start();
      expect((await refusal(kit, as)).message).toMatch(/give its user the schema/);
      await store.close();
    } finally {
      await kit.query(`drop owned by ${name}`);
      await kit.query(`drop role ${name}`);
    }
  });

  test('two schemas of one database are two outboxes', async () => {
    const kit = await openKit();
    const store = await kit.start();
    const url = new URL(kit.url);
    url.searchParams.set('schema', 'Other "one"');
    const other: PostgresStore = await kit.start({ url: url.href });
    await store.accept([entry('m1', 'a')]);
    await other.accept([entry('m2', 'a')]);
    expect(ids(await claimAll(store))).toEqual(['m1']);
    expect(ids(await claimAll(other))).toEqual(['m2']);
    expect((await other.look([])).share.of).toBe(1);
  });
});

test('what waits in no conversation is given one when it is counted, and so delivered', async () => {
  const kit = await openKit();
  const store = await kit.start();
  await store.accept([entry('m1', 'a'), entry('m2', 'a'), entry('m3', 'b')]);
  await kit.query('delete from haptik_bridge.conversations where key = \'["main",1,"a"]\'');
  const { next, mended } = await store.recount(undefined, 10);
  expect([next, mended.length > 0]).toEqual([undefined, true]);
  expect(ids(await claimAll(store)).sort()).toEqual(['m1', 'm3']);
  expect((await store.recount(undefined, 10)).mended).toEqual([]);
});
