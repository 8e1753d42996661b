import { randomUUID } from 'node:crypto';
import { cpSync, existsSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from '@jest/globals';
import { systemClock } from '../../src/clock.ts';
import { conversationOf } from '../../src/message.ts';
import { type MoveOptions, moveOutbox } from '../../src/outbox/move/move.ts';
import { PostgresStore } from '../../src/outbox/postgres/store.ts';
import type { Records, Routing } from '../../src/outbox/records.ts';
import { SqliteStore } from '../../src/outbox/sqlite/store.ts';
import type { Claim, Store } from '../../src/outbox/store.ts';
import type { Tables } from '../../src/outbox/tables.ts';
import { memoryLog, onTestEnd, temporaryFolder } from '../support/fixtures.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { claimAll, ids } from './contract.ts';
import { firstVersion } from './first-version.ts';
import {
  AGAIN,
  ATTEMPT,
  DEAD,
  DELIVERED,
  delivery,
  EVERY_ACCOUNT,
  entry,
  message,
  strayEntry,
  table,
  UNKNOWN,
} from './samples.ts';

/** More than one batch. */
const MANY = 2_500;
const common = () => ({
  clock: systemClock,
  newToken: randomUUID,
  log: memoryLog().log,
  maxBacklog: 1_000_000,
  eraseAtOnce: false,
});

const NO_ROUTE = { route: null, dead: 'unroutable', detail: 'no route fits' } as const;
const AS_IT_WAS: Routing = {
  table: { version: 'v2', accounts: EVERY_ACCOUNT, place: () => NO_ROUTE },
  reroute: false,
};

function openSqlite(file: string): SqliteStore {
  const store = new SqliteStore({ ...common(), file });
  onTestEnd(() => store.close().catch(() => undefined));
  return store;
}

/** What a bridge says that is started on it before the end. */
const HALF = /holds a part of what is being moved to it; run haptik-bridge migrate again/;

async function openPostgres({ url }: TestDatabase): Promise<PostgresStore> {
  const store = await PostgresStore.open({ ...common(), url });
  onTestEnd(() => store.close().catch(() => undefined));
  return store;
}

/** A file that a bridge has worked on and left, and an empty database. */
async function filled(work: (store: SqliteStore) => Promise<unknown>) {
  const file = join(await temporaryFolder(), 'bridge.db');
  const store = openSqlite(file);
  await work(store);
  await store.close();
  return { file, database: await testDatabase() };
}

function move(file: string, { url }: TestDatabase, more: Partial<MoveOptions> = {}) {
  const usual = { from: file, to: url, clock: systemClock, newName: randomUUID, onProgress: () => undefined };
  return moveOutbox({ ...usual, ...more });
}

/** Changes a file that no store has open. */
function alter(file: string, ...statements: string[]): void {
  const database = new DatabaseSync(file);
  for (const statement of statements) database.exec(statement);
  database.close();
}

async function settle(store: Store, [claim]: readonly Claim[], settlement: Parameters<Store['settle']>[1]) {
  if (claim === undefined) throw new Error('no claim');
  return store.settle(claim, settlement, undefined);
}

/** Delivers what can be, but no more than that. @returns the ids, conversation by conversation */
async function deliver(store: Store, most = Number.POSITIVE_INFINITY): Promise<Record<string, string[]>> {
  const delivered: Record<string, string[]> = {};
  for (let count = 0; count < most; ) {
    const claims = await claimAll(store, 'main', Math.min(100, most - count));
    if (claims.length === 0) break;
    count += claims.length;
    await Promise.all(
      claims.map((claim) => {
        const { authId } = claim.message.delivery;
        delivered[authId] = [...(delivered[authId] ?? []), claim.message.id];
        return store.settle(claim, DELIVERED, undefined);
      }),
    );
  }
  return delivered;
}

const many = (count: number) =>
  Array.from({ length: count }, (_, index) => entry(`m${index}`, `u${index % 50}`, { providerId: `p${index}` }));

const byUser = (list: readonly string[]) => {
  const users: Record<string, string[]> = {};
  for (const id of list) {
    const user = `u${Number(id.slice(1)) % 50}`;
    users[user] = [...(users[user] ?? []), id];
  }
  return users;
};

async function all(records: Records) {
  const { items } = await records.list({}, { after: undefined, limit: 10_000 });
  return Promise.all(items.map(({ id }) => records.get(id)));
}

describe('a moved outbox', () => {
  test('is delivered on from where it was: in order in each conversation, nothing twice, nothing missing', async () => {
    let before = {};
    const { file, database } = await filled(async (store) => {
      await store.accept(many(MANY));
      before = await deliver(store, MANY / 2);
    });
    const { counts } = await move(file, database);
    expect(counts).toMatchObject({ waiting: MANY / 2, delivered: MANY / 2, dead: 0, stopped: 0 });
    const store = await openPostgres(database);
    await store.accept([entry('m2550', 'u0')]);
    const after = await deliver(store);
    const merged = Object.entries(byUser(many(MANY).map(({ id }) => id))).map(([user, messages]) => [
      user,
      user === 'u0' ? [...messages, 'm2550'] : messages,
    ]);
    const found = merged.map(([user]) => {
      const name = String(user);
      return [name, [...(Reflect.get(before, name) ?? []), ...(after[name] ?? [])]];
    });
    expect(found).toEqual(merged);
    expect(await store.recount(undefined, 1_000)).toEqual({ next: undefined, mended: [] });
    expect(await database.query('select * from haptik_bridge.conversations')).toEqual([]);
  });

  test('knows repeats of all that it has, whatever became of it', async () => {
    const { file, database } = await filled(async (store) => {
      for (const id of ['delivered', 'dead', 'discarded', 'unknown']) {
        await store.accept([entry(id, id, { providerId: `p-${id}` })]);
        await settle(store, await claimAll(store), id === 'dead' ? DEAD : id === 'delivered' ? DELIVERED : UNKNOWN);
      }
      await store.accept([entry('waiting', 'a', { providerId: 'p-waiting' })]);
      await store.accept([entry('keyed', 'a', { providerId: 'p-keyed', repeat: { key: 'k-keyed' } })]);
      await store.accept([entry('form', 'a', { providerId: 'p-form', repeat: { key: 'f', withinMs: 60_000 } })]);
      await store.accept([{ ...strayEntry('stray', 's'), message: message({ providerId: 'p-stray' }) }]);
      await store.records.decide('discarded', { kind: 'discard', reason: 'spam' });
    });
    await move(file, database);
    const store = await openPostgres(database);
    for (const id of ['delivered', 'dead', 'discarded', 'unknown', 'waiting', 'stray']) {
      const [answer] = await store.accept([entry(`again-${id}`, 'a', { providerId: `p-${id}` })]);
      expect(answer).toMatchObject({ id, isDuplicate: true });
    }
    const [keyed] = await store.accept([entry('again-keyed', 'a', { repeat: { key: 'k-keyed' } })]);
    expect(keyed).toMatchObject({ id: 'keyed', isDuplicate: true });
    expect(await store.records.get('keyed')).toMatchObject({ providerId: 'p-keyed' });
    // Its id is not what it was known by.
    for (const id of ['keyed', 'form']) {
      const [answer] = await store.accept([entry(`new-${id}`, 'a', { providerId: `p-${id}` })]);
      expect(answer).toMatchObject({ isDuplicate: false });
    }
    const [answer] = await store.accept([entry('new', 'a', { channel: 'other', providerId: 'p-waiting' })]);
    expect(answer).toMatchObject({ isDuplicate: false });
  });

  test('keeps all that is known of each message, also odd content', async () => {
    const odd = 'a "quoted" \\ \n\u0001\u007f\u2028 name, é 😀 {,} NULL';
    const far = { ...ATTEMPT, detail: `${odd} \u0000 \ud83d` };
    const { file, database } = await filled(async (store) => {
      const texts = { text: odd, fields: { [odd]: [odd, 1e300, null, { a: '' }] }, name: odd, email: '' };
      const placement = { route: odd, delivery: delivery(odd, { text: odd, user: { custom_data: { [odd]: odd } } }) };
      const odds = { message: message({ ...texts, sender: odd, providerId: odd }), channel: odd, placement };
      for (const id of [odd, 'dead', 'again', 'large']) {
        const text = id === 'large' ? 'é'.repeat(1_000_000) : odd;
        const mine = { ...placement, delivery: { ...placement.delivery, authId: id, text } };
        await store.accept([
          { ...entry(id, id), ...odds, placement: mine, message: message({ providerId: id, text }) },
        ]);
      }
      for (const claim of await claimAll(store)) {
        const { id } = claim.message;
        if (id === 'dead') await store.settle(claim, { ...DEAD, detail: odd, attempt: far }, undefined);
        else if (id === 'again') await store.settle(claim, { ...AGAIN, detail: odd, attempt: far }, undefined);
        else if (id === 'large') await store.settle(claim, { ...DELIVERED, createdAt: odd }, undefined);
        else await store.settle(claim, { ...UNKNOWN, detail: odd }, undefined);
      }
      await store.accept([strayEntry('stray', odd)]);
    });
    const sqlite = openSqlite(file);
    const before = await all(sqlite.records);
    const recent = await sqlite.records.recent({ before: undefined, limit: 10 });
    await sqlite.close();
    await move(file, database);
    const store = await openPostgres(database);
    const known = (await all(store.records)).map((details) => JSON.stringify(details));
    const cleaned = before.map((details) => JSON.stringify(details).replaceAll(/\\u0000|\\ud83d/g, '\u{fffd}'));
    expect(known.map((text) => JSON.parse(text))).toEqual(cleaned.map((text) => JSON.parse(text)));
    expect(known).toHaveLength(5);
    expect(await store.records.recent({ before: undefined, limit: 10 })).toEqual(recent);
    const groups = (await store.records.walk({}, undefined)).groups.toSorted();
    expect(groups).toContain(conversationOf(delivery('dead')));
  });

  test('holds nothing of what was erased, and is asked to erase nothing again', async () => {
    const { file, database } = await filled(async (store) => {
      await store.accept([{ ...entry('m1', 'a'), message: message({ text: 'secret', sender: 'me' }) }]);
      await settle(store, await claimAll(store), DELIVERED);
      await store.prune({ contentMs: -1_000, rowsMs: 1_000_000, limit: 10 });
      await store.accept([entry('m2', 'a', { message: message({ text: '' }) })]);
    });
    await move(file, database);
    const rows = await database.query('select * from haptik_bridge.messages');
    expect(rows).toMatchObject([{ message: null, delivery: null, detail: null, sender: 'me', auth_id: 'a' }, {}]);
    const store = await openPostgres(database);
    expect(await store.records.get('m1')).toMatchObject({ state: 'delivered', account: 'main', text: undefined });
    expect((await store.records.recent({ before: undefined, limit: 10 })).items).toEqual([
      { id: 'm2', channel: 'chat', message: message({ text: '' }) },
      { id: 'm1', channel: 'chat', message: undefined },
    ]);
  });

  test('has those conversations stopped that were, and no others, until a person decides', async () => {
    const { file, database } = await filled(async (store) => {
      const stop = { onUnknown: 'stop', onDead: 'stop' } as const;
      await store.accept([
        entry('a1', 'a', stop),
        entry('a2', 'a', stop),
        entry('b1', 'b', stop),
        entry('c1', 'c', stop),
      ]);
      for (const claim of await claimAll(store)) {
        if (claim.message.id === 'a1') await store.settle(claim, UNKNOWN, undefined);
        if (claim.message.id === 'b1') await store.settle(claim, { ...DEAD, stops: true }, undefined);
      }
    });
    expect((await move(file, database)).counts).toMatchObject({ waiting: 2, unknown: 1, dead: 1, stopped: 2 });
    const store = await openPostgres(database);
    expect(await store.records.survey()).toMatchObject([{ account: 'main', waiting: 2, stopped: 2 }]);
    expect(await store.records.get('a2')).toMatchObject({ waitsBehind: 'a1' });
    expect(await store.records.get('b1')).toMatchObject({ stops: true });
    expect(await deliver(store)).toEqual({ c: ['c1'] });
    await store.accept([entry('b2', 'b')]);
    expect(await claimAll(store)).toEqual([]);
    expect(await store.records.decide('a1', { kind: 'confirm' })).toBe('done');
    expect(await store.records.decide('b1', { kind: 'redrive', routing: AS_IT_WAS })).toBe('done');
    expect(await deliver(store)).toEqual({ a: ['a2'], b: ['b1', 'b2'] });
  });

  test('has its dead letters redriven in front of what is newer', async () => {
    const { file, database } = await filled(async (store) => {
      await store.accept([entry('m1', 'a')]);
      await settle(store, await claimAll(store), DEAD);
      await store.accept([entry('m2', 'a'), strayEntry('stray', 's')]);
    });
    await move(file, database);
    const store = await openPostgres(database);
    const group = conversationOf(delivery('a'));
    expect(await store.records.redrive(group, { state: 'dead' }, AS_IT_WAS)).toEqual({ redriven: 1, unplaced: 0 });
    expect(await deliver(store)).toEqual({ a: ['m1', 'm2'] });
    expect(await store.records.strays()).toBe(1);
  });

  test('is in doubt of what was in flight, and counts the attempts on', async () => {
    const { file, database } = await filled(async (store) => {
      await store.accept([entry('flying', 'a'), entry('behind', 'a'), entry('tried', 'b'), entry('doubted', 'c')]);
      const claims = await claimAll(store);
      await settle(
        store,
        claims.filter(({ message: { id } }) => id === 'tried'),
        AGAIN,
      );
    });
    alter(file, "update messages set in_doubt = 1 where id = 'doubted'");
    await move(file, database);
    const store = await openPostgres(database);
    const claims = await claimAll(store);
    const told = claims.map(({ isInDoubt, message: { id, attempts } }) => [id, isInDoubt, attempts]);
    expect(told.toSorted()).toEqual([
      ['doubted', true, 0],
      ['flying', true, 0],
      ['tried', false, 1],
    ]);
    expect((await store.records.get('flying'))?.attemptLog).toMatchObject([{ outcome: 'unknown' }]);
  });

  test('has those accounts paused that an operator has, and holds for no credentials', async () => {
    const { file, database } = await filled(async (store) => {
      await store.hold({ account: 'main', cause: 'operator', fingerprint: '', since: 5 }, 0);
      await store.hold({ account: 'other', cause: 'unauthorized', fingerprint: 'f', since: 6 }, 0);
    });
    expect((await move(file, database)).paused).toEqual(['main']);
    const { holds } = await (await openPostgres(database)).look([]);
    expect(holds).toMatchObject([{ account: 'main', cause: 'operator', fingerprint: '', since: 5 }]);
  });

  test('remembers the routing tables that were in force, beside those that came in force on its side', async () => {
    const { file, database } = await filled(async ({ tables }) => {
      await tables.put(table('v1', ['a', 'b'], 60_000));
      await tables.put(table('v2', [], 30_000));
      await tables.put(table('v3', ['c']));
    });
    const before = await openPostgres(database);
    await before.tables.put(table('v3', ['c']));
    await before.close();
    await database.query('update haptik_bridge.replicas set seen_at = 0');
    await move(file, database);
    const store = await openPostgres(database);
    await store.tables.put(table('v2', [], 0));
    const { newest, channels } = await store.tables.look();
    expect([newest?.version, channels]).toEqual(['v2', new Set(['a', 'b', 'c'])]);
    expect(await database.query('select 1 from haptik_bridge.tables')).toHaveLength(3);
  });

  test('remembers the routing tables in the order in which they were in force, those of the file as the last', async () => {
    const many = async ({ tables }: { readonly tables: Tables }, from: number, to: number) => {
      // Each with a file that is older than the one before.
      for (let number = from; number <= to; number += 1)
        await tables.put(table(`v${number}`, [`c${number}`], number * 1_000));
    };
    const { file, database } = await filled((store) => many(store, 9, 18));
    const before = await openPostgres(database);
    await many(before, 1, 9);
    await before.close();
    await database.query('update haptik_bridge.replicas set seen_at = 0');
    await move(file, database);
    const store = await openPostgres(database);
    await many(store, 19, 28);
    const numbered = Array.from({ length: 20 }, (_, index) => `c${index + 9}`);
    expect((await store.tables.look()).channels).toEqual(new Set(numbered));
  });

  test('of a file of the first version is as that file would have been', async () => {
    const database = await testDatabase();
    const name = 'a "quoted" \\ \n\u0001 name, é 😀';
    const { counts } = await move(await firstVersion(name), database);
    expect(counts).toEqual({ waiting: 1, delivered: 1, unknown: 0, dead: 2, discarded: 0, stopped: 0 });
    const store = await openPostgres(database);
    expect(await store.records.redrive(conversationOf(delivery(name)), {}, AS_IT_WAS)).toMatchObject({ redriven: 1 });
    expect(await deliver(store)).toEqual({ [name]: ['dead', 'waiting'] });
    expect(await store.accept([entry('m', 'a', { providerId: 'delivered' })])).toMatchObject([{ isDuplicate: true }]);
  });

  test('may be empty', async () => {
    const { file, database } = await filled(async () => undefined);
    expect((await move(file, database)).counts).toMatchObject({ waiting: 0, delivered: 0 });
    expect(await (await openPostgres(database)).accept([entry('m1', 'a')])).toMatchObject([{ id: 'm1' }]);
  });
});

describe('a move that is broken off', () => {
  async function brokenOff() {
    const { file, database } = await filled((store) => store.accept(many(MANY)));
    await (await openPostgres(database)).close();
    await database.query(`
      create function haptik_bridge.fail() returns trigger language plpgsql as
      $$ begin raise exception 'no room' using errcode = '53100'; end $$`);
    await database.query(`
      create trigger fail before insert on haptik_bridge.messages for each row when (new.seq = 1500)
      execute function haptik_bridge.fail()`);
    await expect(move(file, database)).rejects.toMatchObject({
      name: 'StoreUnavailable',
      message: expect.stringMatching(/\(no room\)\. Run it again: it goes on where it was\.$/),
    });
    await database.query('drop trigger fail on haptik_bridge.messages');
    return { file, database };
  }

  test('goes on after its last batch, when it is run again', async () => {
    const { file, database } = await brokenOff();
    const seen: number[] = [];
    await move(file, database, { onProgress: ({ moved }) => seen.push(moved) });
    expect(seen).toEqual([1_000, 2_000, 2_500]);
    const store = await openPostgres(database);
    expect(await deliver(store)).toEqual(byUser(many(MANY).map(({ id }) => id)));
  });

  test('has nothing delivered from the one or kept from the other', async () => {
    const { file, database } = await brokenOff();
    await expect(openPostgres(database)).rejects.toThrow(HALF);
    const here = openSqlite(file);
    expect(ids(await claimAll(here, 'main', 1))).toEqual(['m0']);
  });

  test('is not gone on with where a bridge has worked on the file since', async () => {
    const { file, database } = await brokenOff();
    const store = openSqlite(file);
    await deliver(store, 10);
    await store.close();
    await expect(move(file, database)).rejects.toMatchObject({
      name: 'StoreRefused',
      message: expect.stringMatching(
        /holds messages already.* of a move that has not come to its end;.* drop schema haptik_bridge cascade\.$/,
      ),
    });
    const other = await testDatabase();
    expect((await move(file, other)).counts).toMatchObject({ waiting: MANY - 10, delivered: 10 });
  });

  test('between the mark and the end leaves nobody delivering, and is ended when it is run again', async () => {
    const { file, database } = await filled((store) => store.accept([entry('m1', 'a')]));
    await (await openPostgres(database)).close();
    await database.query(`
      create function haptik_bridge.fail() returns trigger language plpgsql as
      $$ begin raise exception 'no room' using errcode = '53100'; end $$`);
    await database.query(`
      create trigger fail before update on haptik_bridge.moves for each row when (new.is_done)
      execute function haptik_bridge.fail()`);
    await expect(move(file, database)).rejects.toMatchObject({ name: 'StoreUnavailable' });
    await database.query('drop trigger fail on haptik_bridge.moves');
    expect(() => openSqlite(file)).toThrow(/are being moved to postgres:.*; run migrate once more/);
    await expect(openPostgres(database)).rejects.toThrow(HALF);
    await expect(move(file, await testDatabase())).rejects.toThrow(/are being moved to postgres:.*; name that/);
    await move(file, database);
    expect(ids(await claimAll(await openPostgres(database)))).toEqual(['m1']);
  });

  test('since the file cannot be marked says so, and nothing is delivered before it is', async () => {
    const { file, database } = await filled((store) => store.accept([entry('m1', 'a')]));
    alter(file, "create trigger fail before update on move begin select raise(abort, 'this disk is broken'); end");
    await expect(move(file, database)).rejects.toMatchObject({
      name: 'StoreUnavailable',
      message: expect.stringMatching(
        /disk is broken\).* All messages are moved, but the file is not marked as moved; start no bridge .* Run it again/,
      ),
    });
    await expect(openPostgres(database)).rejects.toThrow(HALF);
    alter(file, 'drop trigger fail');
    await move(file, database);
    expect(ids(await claimAll(await openPostgres(database)))).toEqual(['m1']);
  });

  test('by rows that did not arrive never comes to its end', async () => {
    const { file, database } = await filled((store) => store.accept(many(10)));
    await (await openPostgres(database)).close();
    await database.query(`
      create function haptik_bridge.lose() returns trigger language plpgsql as $$ begin return null; end $$`);
    await database.query(`
      create trigger lose before insert on haptik_bridge.messages for each row when (new.seq = 3)
      execute function haptik_bridge.lose()`);
    await expect(move(file, database)).rejects.toMatchObject({
      name: 'StoreRefused',
      message: expect.stringMatching(/does not hold what .*bridge\.db does \(waiting: 9 instead of 10, miscounted: 1/),
    });
    expect(await deliver(openSqlite(file))).toEqual(byUser(many(10).map(({ id }) => id)));
  });
});

describe('a move that is done', () => {
  test('is done once: run again it says the same, also once the other has gone on', async () => {
    const { file, database } = await filled((store) => store.accept(many(10)));
    const first = await move(file, database);
    const store = await openPostgres(database);
    await deliver(store, 3);
    await store.accept([entry('later', 'a')]);
    expect(await move(file, database)).toEqual(first);
    const [{ n } = { n: 0 }] = await database.query<{ n: number }>(
      'select count(*)::int as n from haptik_bridge.messages',
    );
    expect(n).toBe(11);
  });

  test('leaves a file on which no bridge starts, wherever it is put, and which says where to go', async () => {
    const { file, database } = await filled((store) => store.accept([entry('m1', 'a')]));
    const { address } = await move(file, database);
    const copy = join(await temporaryFolder(), 'copy.db');
    cpSync(file, copy);
    const { password } = new URL(database.url);
    for (const place of [file, copy]) {
      const fault = expect.stringMatching(/were moved to postgres:\/\/.* on 20\d\d-.*Z; set DATABASE_URL to it\.$/);
      const refused = await (async () => openSqlite(place))().catch((error: unknown) => error);
      expect(refused).toMatchObject({ name: 'StoreRefused', message: fault });
      expect(String(refused)).toContain(address);
      expect(address).not.toContain(`:${password}@`);
    }
    await expect(move(file, await testDatabase())).rejects.toMatchObject({
      name: 'StoreRefused',
      message: expect.stringContaining(`were moved to ${address} already`),
    });
  });

  test('is known by what is in the file, not by where it is', async () => {
    const { file, database } = await filled((store) => store.accept([entry('m1', 'a')]));
    await move(file, database);
    const copy = join(await temporaryFolder(), 'copy.db');
    cpSync(file, copy);
    expect((await move(copy, database)).counts).toMatchObject({ waiting: 1 });
  });
});

describe('a move is refused', () => {
  test('into a database that holds other messages', async () => {
    const { file, database } = await filled((store) => store.accept(many(3)));
    const store = await openPostgres(database);
    await store.accept([entry('theirs', 'a')]);
    await store.close();
    await expect(move(file, database)).rejects.toMatchObject({
      name: 'StoreRefused',
      message: expect.stringMatching(/holds messages already, which would mix up the order of those to come; name/),
    });
    expect(await deliver(openSqlite(file))).toEqual(byUser(['m0', 'm1', 'm2']));
  });

  test('into one to which another file was moved, and of two at once one is', async () => {
    const one = await filled((store) => store.accept(many(MANY)));
    const other = await filled((store) => store.accept(many(MANY)));
    await (await openPostgres(one.database)).close();
    const results = await Promise.allSettled([move(one.file, one.database), move(other.file, one.database)]);
    expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    const refused = results.find(({ status }) => status === 'rejected');
    expect(refused).toMatchObject({ reason: { name: expect.stringMatching(/^(Contended|StoreRefused)$/) } });
    const store = await openPostgres(one.database);
    expect(await deliver(store)).toEqual(byUser(many(MANY).map(({ id }) => id)));
    await store.close();
    const loser = results[0].status === 'rejected' ? one.file : other.file;
    await expect(move(loser, one.database)).rejects.toMatchObject({ name: 'StoreRefused' });
  });

  test('while another one is at work on the database', async () => {
    const { file, database } = await filled((store) => store.accept(many(3)));
    await database.query("select pg_advisory_lock(x'6d6f7665'::int, hashtext('haptik_bridge'))");
    await expect(move(file, database)).rejects.toMatchObject({
      name: 'Contended',
      message: expect.stringMatching(/^another migrate is at work on .*; wait until it has ended\.$/),
    });
  });

  test('while a bridge runs on the database', async () => {
    const { file, database } = await filled((store) => store.accept(many(3)));
    const store = await openPostgres(database);
    const refusal = { name: 'StoreUnavailable', message: expect.stringMatching(/a bridge runs on .*; stop it/) };
    await expect(move(file, database)).rejects.toMatchObject(refusal);
    await store.close();
    expect((await move(file, database)).counts).toMatchObject({ waiting: 3 });
  });

  test('as soon as a bridge starts on the database in the middle, and goes on when it is stopped', async () => {
    const { file, database } = await filled((store) => store.accept(many(MANY)));
    await (await openPostgres(database)).close();
    const beat = "insert into haptik_bridge.replicas values ('r', 0, (extract(epoch from now()) * 1000)::bigint)";
    let beaten: Promise<unknown> = Promise.resolve();
    const onProgress = ({ moved }: { readonly moved: number }) => {
      if (moved === 1_000) beaten = database.query(beat);
    };
    // Whatever the batch after it saw, the one after that sees it.
    await database.query(`
      create function haptik_bridge.wait() returns trigger language plpgsql as
      $$ begin perform pg_sleep(0.3); return new; end $$`);
    await database.query(`
      create trigger wait before insert on haptik_bridge.messages for each row when (new.seq = 1001)
      execute function haptik_bridge.wait()`);
    await expect(move(file, database, { onProgress })).rejects.toMatchObject({
      name: 'StoreUnavailable',
      message: expect.stringMatching(
        /a bridge runs on .*, or did seconds ago; stop it until all is moved\. Run it again/,
      ),
    });
    await beaten;
    await database.query('delete from haptik_bridge.replicas');
    expect((await move(file, database)).counts).toMatchObject({ waiting: MANY });
  });

  test('from a file that a bridge has', async () => {
    const { file, database } = await filled((store) => store.accept(many(3)));
    openSqlite(file);
    await expect(move(file, database)).rejects.toMatchObject({
      name: 'FileInUse',
      message: expect.stringMatching(/bridge\.db is in use by another process; stop the bridge that runs on it, and/),
    });
  });

  test('from a file that is not there, and none is made', async () => {
    const folder = await temporaryFolder();
    const file = join(folder, 'below', 'bridge.db');
    await expect(move(file, await testDatabase())).rejects.toMatchObject({
      name: 'StoreRefused',
      message: expect.stringMatching(/bridge\.db: there is no such file; name the one in which the messages are/),
    });
    expect(existsSync(file)).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('from what is no database, or not ours', async () => {
    const folder = await temporaryFolder();
    const database = await testDatabase();
    const other = join(folder, 'other.db');
    alter(other, 'create table theirs (x)');
    await expect(move(other, database)).rejects.toMatchObject({
      name: 'StoreRefused',
      message: expect.stringMatching(/another program/),
    });
    const text = join(folder, 'text.db');
    await writeFile(text, 'no database, whatever it is called');
    await expect(move(text, database)).rejects.toMatchObject({ name: 'StoreRefused' });
    await expect(move(folder, database)).rejects.toMatchObject({ name: 'StoreRefused' });
  });
});
