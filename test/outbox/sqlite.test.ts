import { readdirSync, statSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from '@jest/globals';
import { conversationOf } from '../../src/message.ts';
import { type Routing, strayGroup } from '../../src/outbox/records.ts';
import { openFile } from '../../src/outbox/sqlite/file.ts';
import { SqliteStore } from '../../src/outbox/sqlite/store.ts';
import { ManualClock, memoryLog, onTestEnd, temporaryFolder } from '../support/fixtures.ts';
import { claimAll, type Opened, one, storeContract } from './contract.ts';
import { firstVersion } from './first-version.ts';
import { recordsContract } from './records-contract.ts';
import {
  AGAIN,
  DEAD,
  DELIVERED,
  delivery,
  EVERY_ACCOUNT,
  message,
  entry as sample,
  table,
  UNKNOWN,
} from './samples.ts';
import { tablesContract } from './tables-contract.ts';

let ids = 0;

async function open(
  file?: string,
  clock = new ManualClock(),
  more: { maxBacklog?: number; eraseAtOnce?: boolean; onMended?: () => void; openFile?: typeof openFile } = {},
) {
  const path = file ?? join(await temporaryFolder(), 'data', 'bridge.db');
  const { log, lines } = memoryLog();
  const store = new SqliteStore({
    file: path,
    clock,
    log,
    newToken: () => `lease-${ids++}`,
    maxBacklog: 1_000,
    eraseAtOnce: false,
    ...more,
  });
  onTestEnd(() => store.close().catch(() => undefined));
  return { store, clock, lines, path };
}

const entry = (id: string, text = 't') => ({
  ...sample(id, 'a'),
  message: message({ text }),
  placement: { route: 'routes[0]', delivery: delivery('a', { text }) },
});

/** A store, and all sides of it. */
async function openBoth(): Promise<Opened> {
  const { store, clock, path } = await open(undefined, undefined, { maxBacklog: 10_000 });
  let last = store;
  const reopen = async () => {
    // A file that is closed without settling is what a killed process leaves behind.
    await last.close();
    last = (await open(path, clock)).store;
    return { store: last, records: last.records, tables: last.tables };
  };
  return { store, records: store.records, tables: store.tables, clock, reopen };
}

storeContract('sqlite', openBoth);
recordsContract('sqlite', openBoth);
tablesContract('sqlite', openBoth);

describe('the database file', () => {
  test('is made with its folder, for its owner alone, ready for a queue', async () => {
    const { path, store } = await open();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await store.accept([entry('m1')]);
    await store.close();
    const database = new DatabaseSync(path, { readOnly: true });
    onTestEnd(() => database.close());
    const pragma = (name: string) => Object.values(database.prepare(`pragma ${name}`).get() ?? {})[0];
    expect(['journal_mode', 'auto_vacuum', 'user_version'].map(pragma)).toEqual(['wal', 2, 6]);
  });

  test('has one owner: a second one is refused, and told what to do', async () => {
    const { path } = await open();
    await expect(open(path)).rejects.toMatchObject({
      name: 'FileInUse',
      message: expect.stringMatching(/bridge\.db is in use by another process; .*DATABASE_URL/),
    });
  });

  test('of a newer version is refused', async () => {
    const { path, store } = await open();
    await store.close();
    const database = new DatabaseSync(path);
    database.exec('pragma user_version = 99');
    database.close();
    await expect(open(path)).rejects.toMatchObject({
      name: 'StoreRefused',
      message: expect.stringMatching(/newer haptik-bridge \(schema 99/),
    });
  });

  test('of another program is refused and left as it is', async () => {
    const path = join(await temporaryFolder(), 'other.db');
    const database = new DatabaseSync(path);
    database.exec('create table theirs (x)');
    database.close();
    await expect(open(path)).rejects.toMatchObject({
      name: 'StoreRefused',
      message: expect.stringMatching(/another program/),
    });
    const after = new DatabaseSync(path);
    onTestEnd(() => after.close());
    expect(after.prepare('select name from sqlite_schema').all()).toEqual([{ name: 'theirs' }]);
    expect(after.prepare('pragma journal_mode').get()).toEqual({ journal_mode: 'delete' });
  });

  test('that is no database, or cannot be made, is refused with the reason', async () => {
    const folder = await temporaryFolder();
    await expect(open(folder)).rejects.toMatchObject({
      name: 'StoreRefused',
      message: expect.stringMatching(/cannot be used .*DATABASE_URL/),
    });
    await writeFile(join(folder, 'file'), 'no database');
    await expect(open(join(folder, 'file'))).rejects.toMatchObject({ name: 'StoreRefused' });
    await expect(open(join(folder, 'file/below/bridge.db'))).rejects.toMatchObject({ name: 'StoreRefused' });
  });

  test('is measured at start, and a slow disk is warned of', async () => {
    const { store, lines } = await open();
    let now = 0;
    expect(store.measureCommit(() => (now += 3))).toBe(3);
    expect(lines).toEqual([]);
    expect(store.measureCommit(() => (now += 7.5))).toBe(7.5);
    expect(lines).toMatchObject([{ level: 'warn', commit_ms: 7.5 }]);
  });
});

describe('a clock that is set', () => {
  const HALF_HOUR_MS = 1_800_000;

  async function again(store: SqliteStore) {
    await store.settle(await one(store), { ...AGAIN, dueInMs: 60_000 }, undefined);
  }

  test.each([-HALF_HOUR_MS, HALF_HOUR_MS])('by %i ms leaves what is due in a minute due in a minute', async (jump) => {
    const { store, clock } = await open();
    await store.accept([entry('m1')]);
    await again(store);
    clock.jump(jump);
    expect(await claimAll(store)).toEqual([]);
    clock.advance(59_000);
    expect(await claimAll(store)).toEqual([]);
    clock.advance(1_000);
    expect(await claimAll(store)).toHaveLength(1);
  });

  test.each([-HALF_HOUR_MS, -100 * HALF_HOUR_MS])(
    'by %i ms while no process ran puts nobody to sleep',
    async (jump) => {
      const { store, clock, path } = await open();
      await store.accept([entry('m1')]);
      await again(store);
      await store.close();
      clock.jump(jump);
      expect(await claimAll((await open(path, clock)).store)).toHaveLength(1);
    },
  );
});

describe('a window of repeats, and a clock that is set', () => {
  const form = (id: string) => ({ ...entry(id), repeat: { key: 'f', withinMs: 60_000 } });

  test.each([-1_800_000, 1_800_000])('by %i ms while the process runs: it is as long as it was', async (jump) => {
    const { store, clock } = await open();
    await store.accept([form('m1')]);
    clock.jump(jump);
    clock.advance(59_999);
    expect(await store.accept([form('m2')])).toMatchObject([{ id: 'm1' }]);
    clock.advance(60_000);
    expect(await store.accept([form('m3')])).toMatchObject([{ id: 'm3' }]);
  });

  test.each([
    ['a little', 2_000, 'm1'],
    ['for long', 7_200_000, 'm2'],
  ])('back %s while no process ran: it is not open for long', async (_name, jump, first) => {
    const { store, clock, path } = await open();
    await store.accept([form('m1')]);
    await store.close();
    clock.jump(-jump);
    const { store: after } = await open(path, clock);
    expect(await after.accept([form('m2')])).toMatchObject([{ id: first }]);
    clock.advance(62_000);
    expect(await after.accept([form('m3')])).toMatchObject([{ id: 'm3' }]);
  });
});

describe('what is kept', () => {
  const SECRET_TEXT = 'what the customer wrote';

  async function deliverOne(store: SqliteStore) {
    await store.accept([entry('m1', SECRET_TEXT)]);
    const { claims } = await store.claim({ account: 'main', limit: 1, leaseMs: 1_000, busy: new Set() });
    if (!claims[0]) throw new Error('no claim');
    await store.settle(claims[0], DELIVERED, undefined);
  }

  /** All that the file holds in its rows. */
  async function rows(store: SqliteStore, path: string): Promise<Record<string, unknown>[]> {
    await store.close();
    const database = new DatabaseSync(path, { readOnly: true });
    onTestEnd(() => database.close());
    return database.prepare('select * from messages').all();
  }

  test('of a delivered message is all of it until it is pruned', async () => {
    const { store, path } = await open();
    await deliverOne(store);
    expect(JSON.stringify(await rows(store, path))).toContain(SECRET_TEXT);
  });

  test('of a delivered message is what happened, not what was written, once its content is erased', async () => {
    const { store, path } = await open();
    await deliverOne(store);
    await store.prune({ contentMs: 0, rowsMs: 1_000, limit: 10 });
    const [row] = await rows(store, path);
    expect(JSON.stringify(row)).not.toContain(SECRET_TEXT);
    expect(row).toMatchObject({ id: 'm1', state: 'delivered', message_id: '7', channel: 'chat' });
    expect(JSON.parse(String(row?.delivery))).toEqual({
      account: 'main',
      businessId: 1,
      authId: 'a',
      onUnknown: 'retry',
      onDead: 'continue',
    });
  });

  test('of a delivered message is no content at all where that is asked for', async () => {
    const { store, path } = await open(undefined, undefined, { eraseAtOnce: true });
    await deliverOne(store);
    expect((await store.records.recent({ before: undefined, limit: 1 })).items).toMatchObject([{ message: undefined }]);
    expect(JSON.stringify(await rows(store, path))).not.toContain(SECRET_TEXT);
  });

  test('of a conversation is nothing once nothing of it waits', async () => {
    const { store, path } = await open();
    await deliverOne(store);
    await store.close();
    const database = new DatabaseSync(path, { readOnly: true });
    onTestEnd(() => database.close());
    expect(database.prepare('select count(*) as n from conversations').get()).toEqual({ n: 0 });
  });

  test('gives its space back to the disk', async () => {
    const { store, path } = await open();
    const text = 'x'.repeat(100_000);
    await store.accept(Array.from({ length: 100 }, (_, index) => entry(`m${index}`, text)));
    let [claim] = (await store.claim({ account: 'main', limit: 1, leaseMs: 1_000, busy: new Set() })).claims;
    while (claim) {
      const settled = await store.settle(claim, DELIVERED, { leaseMs: 1_000 });
      claim = settled === 'stale' ? undefined : settled.next;
    }
    while (!(await store.prune({ contentMs: 0, rowsMs: 0, limit: 10 })));
    await store.close();
    expect(statSync(path).size).toBeLessThan(1_000_000);
  });
});

describe('a backlog that is full', () => {
  test('is not filled by repeats, and opens no windows', async () => {
    const { store, clock } = await open(undefined, undefined, { maxBacklog: 2 });
    const form = (id: string, key: string) => ({ ...entry(id), repeat: { key, withinMs: 60_000 } });
    await store.accept([form('m1', 'f'), form('m2', 'f')]);
    await store.accept([form('m3', 'f')]);
    expect(store.waiting.of('main')).toBe(1);
    await store.accept([entry('m4')]);
    for (const key of ['f', 'g']) await expect(store.accept([form('m5', key)])).rejects.toThrow('wait already');
    await store.settle(await one(store), DELIVERED, undefined);
    expect(await store.accept([form('m6', 'g')])).toMatchObject([{ id: 'm6', isDuplicate: false }]);
    clock.advance(1);
    await store.settle(await one(store), DELIVERED, undefined);
    expect(await store.accept([form('m7', 'f')])).toMatchObject([{ id: 'm1', isDuplicate: true }]);
  });

  test('takes no more of that account, until some of it is delivered, also after a restart', async () => {
    const { store, path, clock } = await open(undefined, undefined, { maxBacklog: 2 });
    await store.accept([entry('m1'), entry('m2')]);
    await expect(store.accept([entry('m3')])).rejects.toMatchObject({
      name: 'BacklogFull',
      message: expect.stringMatching(/^2 messages of account main wait/),
    });
    await store.close();
    const { store: after } = await open(path, clock, { maxBacklog: 2 });
    await expect(after.accept([entry('m3')])).rejects.toMatchObject({ name: 'BacklogFull' });
    const { claims } = await after.claim({ account: 'main', limit: 1, leaseMs: 1_000, busy: new Set() });
    if (!claims[0]) throw new Error('no claim');
    await after.settle(claims[0], DEAD, undefined);
    expect(await after.accept([entry('m3')])).toMatchObject([{ id: 'm3' }]);
  });
});

/** Changes a file that no store has open. */
function alter(path: string, ...statements: string[]): void {
  const database = new DatabaseSync(path);
  for (const statement of statements) database.exec(statement);
  database.close();
}

describe('a conversation that was counted wrong', () => {
  async function spoilt(pending: number) {
    const { store, path, clock } = await open();
    await store.accept([entry('m1'), entry('m2')]);
    await store.close();
    alter(path, `update conversations set pending = ${pending}`);
    let mendings = 0;
    const onMended = () => {
      mendings += 1;
    };
    return { ...(await open(path, clock, { maxBacklog: 2, onMended })), mendings: () => mendings };
  }

  async function deliverAll(store: SqliteStore): Promise<string[]> {
    const delivered: string[] = [];
    for (;;) {
      const { claims } = await store.claim({ account: 'main', limit: 1, leaseMs: 1_000, busy: new Set() });
      if (!claims[0]) return delivered;
      delivered.push(claims[0].message.id);
      await store.settle(claims[0], DELIVERED, undefined);
    }
  }

  test.each([
    ['too high', 7],
    ['too low', 1],
    ['at nothing', 0],
    ['below nothing', -3],
  ])('%s is mended and named, and delivered to its end', async (_, pending) => {
    const { store, lines, mendings } = await spoilt(pending);
    const { next, mended } = await store.recount(0, 10);
    expect(next).toBeUndefined();
    expect(mended).toHaveLength(1);
    expect(await store.recount(0, 10)).toEqual({ next: undefined, mended: [] });
    expect(await deliverAll(store)).toEqual(['m1', 'm2']);
    expect(lines).toMatchObject([{ level: 'error', account: 'main', by: 2 - pending }]);
    expect(mendings()).toBe(1);
  });

  test.each([
    ['too high', 7],
    ['too low', 0],
  ])('%s is counted right for its account too, once it is mended', async (_, pending) => {
    const { store } = await spoilt(pending);
    await store.recount(0, 10);
    expect(store.waiting.of('main')).toBe(2);
    await expect(store.accept([entry('m3')])).rejects.toMatchObject({ name: 'BacklogFull' });
    await deliverAll(store);
    expect(await store.accept([entry('m3')])).toMatchObject([{ id: 'm3' }]);
  });

  test('and in which nothing waits is forgotten when it is claimed', async () => {
    const { store, lines, mendings } = await spoilt(7);
    expect(await deliverAll(store)).toEqual(['m1', 'm2']);
    expect(mendings()).toBe(1);
    expect(lines).toMatchObject([{ level: 'error', message: expect.stringMatching(/counted wrong/) }]);
    expect(store.waiting.of('main')).toBe(0);
    expect(await store.recount(0, 10)).toEqual({ next: undefined, mended: [] });
  });

  test('and in which nothing waits is kept while it is stopped', async () => {
    const { store, path, clock } = await open();
    await store.accept([entry('m1')]);
    const { claims } = await store.claim({ account: 'main', limit: 1, leaseMs: 1_000, busy: new Set() });
    if (claims[0]) await store.settle(claims[0], UNKNOWN, undefined);
    await store.close();
    alter(path, 'update conversations set pending = 3');
    const { store: after } = await open(path, clock);
    expect((await after.recount(0, 10)).mended).toHaveLength(1);
    expect(await after.records.survey()).toMatchObject([{ stopped: 1, waiting: 0 }]);
  });
});

describe('a backup', () => {
  test('taken while messages come and go holds all that was there before, and can be worked with', async () => {
    const { store, clock } = await open(undefined, undefined, { maxBacklog: 100_000 });
    const text = 'x'.repeat(10_000);
    const before = Array.from({ length: 500 }, (_, index) => `m${index}`);
    await store.accept(before.map((id) => entry(id, text)));
    const form = (id: string) => ({ ...entry(id), repeat: { key: 'f', withinMs: 60_000 } });
    await store.accept([form('form')]);
    const copy = join(await temporaryFolder(), 'copy.db');
    let isDone = false;
    const backup = store.records.backup(copy).finally(() => {
      isDone = true;
    });
    let later = 0;
    for (; !isDone; later += 1) {
      await store.accept([entry(`later${later}`, text)]);
      const { claims } = await store.claim({ account: 'main', limit: 1, leaseMs: 1_000, busy: new Set() });
      if (claims[0]) await store.settle(claims[0], DELIVERED, undefined);
    }
    await backup;
    expect(later).toBeGreaterThan(1);
    expect((await store.records.list({}, { after: undefined, limit: 2_000 })).items).toHaveLength(501 + later);

    const { store: restored } = await open(copy, clock);
    expect(await restored.accept([form('m2')])).toMatchObject([{ id: 'form' }]);
    const { items } = await restored.records.list({}, { after: undefined, limit: 2_000 });
    const found = new Set(items.map(({ id }) => id));
    expect(before.filter((id) => !found.has(id))).toEqual([]);
    expect(await restored.recount(0, 10)).toEqual({ next: undefined, mended: [] });
    expect(await restored.accept([entry('new')])).toMatchObject([{ id: 'new' }]);
  });

  test('is for its owner alone, and one file', async () => {
    const { store } = await open();
    await store.accept([entry('m1')]);
    const folder = await temporaryFolder();
    await store.records.backup(join(folder, 'copy.db'));
    expect(readdirSync(folder)).toEqual(['copy.db']);
    expect(statSync(join(folder, 'copy.db')).mode & 0o777).toBe(0o600);
  });

  test('never writes over a file', async () => {
    const { store } = await open();
    const file = join(await temporaryFolder(), 'copy.db');
    await writeFile(file, 'theirs');
    await expect(store.records.backup(file)).rejects.toMatchObject({
      name: 'BackupRefused',
      message: expect.stringMatching(/copy\.db is there already; name a new file/),
    });
    expect(await readFile(file, 'utf8')).toBe('theirs');
  });

  test('into a folder that is not there is refused with the reason, and leaves nothing', async () => {
    const { store } = await open();
    const folder = await temporaryFolder();
    await expect(store.records.backup(join(folder, 'below', 'copy.db'))).rejects.toMatchObject({
      name: 'BackupRefused',
      message: expect.stringMatching(/cannot be written \(.*ENOENT/),
    });
    expect(readdirSync(folder)).toEqual([]);
  });

  test('that another one is writing already is refused, and the other one is not harmed', async () => {
    const { store } = await open();
    await store.accept([entry('m1')]);
    const folder = await temporaryFolder();
    const backup = () => store.records.backup(join(folder, 'copy.db'));
    const results = await Promise.allSettled([backup(), backup()]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(results[1]).toMatchObject({ reason: { name: 'BackupRefused' } });
    expect(readdirSync(folder)).toEqual(['copy.db']);
  });

  test('goes to its end though the store is closed meanwhile', async () => {
    const { store } = await open();
    const messages = Array.from({ length: 100 }, (_, index) => entry(`m${index}`, 'x'.repeat(100_000)));
    await store.accept(messages);
    const copy = join(await temporaryFolder(), 'copy.db');
    const backup = store.records.backup(copy);
    await store.close();
    await backup;
    const { store: restored } = await open(copy);
    const { items } = await restored.records.list({}, { after: undefined, limit: 1_000 });
    expect(items).toHaveLength(messages.length);
  });
});

describe('a routing table that could not be written', () => {
  /** With v1 in force, and v2 that came in force while the disk took nothing. */
  async function refused() {
    const opened = openFile(join(await temporaryFolder(), 'bridge.db'));
    const { store, clock } = await open('', undefined, { openFile: () => opened });
    const { tables } = store;
    await tables.put(table('v1', ['a']));
    opened.exec("create trigger fail before insert on tables begin select raise(abort, 'disk full'); end");
    clock.advance(1_000);
    const newest = { version: 'v2', since: clock.now() };
    await expect(tables.put(table('v2', ['b']))).rejects.toThrow('disk full');
    return { tables, clock, newest, mend: () => opened.exec('drop trigger fail') };
  }

  test('is nothing that is known of, until it can be: nobody is told that a channel of it is unknown', async () => {
    const { tables } = await refused();
    await expect(tables.look()).rejects.toThrow('disk full');
    await expect(tables.put(table('v3', ['c']))).rejects.toThrow('disk full');
    await expect(tables.look()).rejects.toThrow('disk full');
  });

  test('is written before its process looks, as of when it came in force', async () => {
    const { tables, clock, newest, mend } = await refused();
    mend();
    clock.advance(60_000);
    expect(await tables.look()).toEqual({ newest, isBehind: false, channels: new Set(['a', 'b']) });
  });

  test('is written with the one that comes after it', async () => {
    const { tables, clock, mend } = await refused();
    mend();
    clock.advance(1_000);
    await tables.put(table('v3', ['c']));
    const newest = { version: 'v3', since: clock.now() };
    expect(await tables.look()).toEqual({ newest, isBehind: false, channels: new Set(['a', 'b', 'c']) });
  });

  test('is written by whoever looks while the next one comes, each in its turn', async () => {
    const { tables, mend } = await refused();
    mend();
    const [sight] = await Promise.all([tables.look(), tables.put(table('v3', ['c'])), tables.put(table('v4', ['d']))]);
    expect(sight).toMatchObject({ newest: { version: 'v4' }, channels: new Set(['a', 'b', 'c', 'd']) });
  });
});

test('a file of the version before is brought to today’s, with what is in it, and remembers tables from then on', async () => {
  const { store, path } = await open();
  await store.accept([entry('m1')]);
  await store.close();
  alter(path, 'drop table tables', 'pragma user_version = 5');
  const { store: today } = await open(path);
  expect((await today.tables.look()).channels).toEqual(new Set());
  await today.tables.put(table('v1'));
  expect((await today.tables.look()).channels).toEqual(new Set(['chat']));
  expect(await one(today)).toMatchObject({ message: { id: 'm1' } });
});

describe('a file of the first version', () => {
  const NOWHERE = { route: null, dead: 'unroutable', detail: 'no route' } as const;
  const AS_IT_WAS: Routing = {
    table: { version: 'v2', accounts: EVERY_ACCOUNT, place: () => NOWHERE },
    reroute: false,
  };
  const ONE = { account: 'main', limit: 1, leaseMs: 1_000, busy: new Set<number>() };

  test('is brought to today’s: what waits is delivered as it would have been', async () => {
    const { store, clock } = await open(await firstVersion('a'));
    const { claims } = await store.claim(ONE);
    expect(claims).toMatchObject([{ isInDoubt: false, message: { id: 'waiting', attempts: 0, acceptedAt: 1_000 } }]);
    expect(claims[0]?.message).toMatchObject({ delivery: delivery('a'), ageMs: clock.now() - 1_000 });
    if (claims[0]) await store.settle(claims[0], DELIVERED, undefined);
    expect(await store.recount(0, 10)).toEqual({ next: undefined, mended: [] });
  });

  test('keeps what it knows, and repeats are known still', async () => {
    const { store } = await open(await firstVersion('a'));
    const { items } = await store.records.list({}, { after: undefined, limit: 10 });
    expect(items.map(({ id, state, account }) => [id, state, account])).toEqual([
      ['waiting', 'waiting', 'main'],
      ['stray', 'dead', null],
      ['dead', 'dead', 'main'],
      ['delivered', 'delivered', 'main'],
    ]);
    expect(await store.accept([sample('m1', 'a', { providerId: 'delivered' })])).toMatchObject([{ isDuplicate: true }]);
    expect(await store.accept([sample('m2', 'a', { repeat: { key: 'dead' } })])).toMatchObject([{ id: 'dead' }]);
    const { items: found } = await store.records.list({ providerId: 'stray' }, { after: undefined, limit: 10 });
    expect(found).toMatchObject([{ id: 'stray', providerId: 'stray' }]);
    expect(await store.records.survey()).toMatchObject([{ account: 'main', waiting: 1, dead: 1, oldestAt: 1_000 }]);
    expect(await store.records.get('dead')).toMatchObject({ detail: 'a fault', text: 't', attemptLog: [] });
  });

  test.each(['a', 'a "quoted" \\ \n\u0001\u007f name, é 😀/'])('has its dead letters redriven: %j', async (authId) => {
    const { store } = await open(await firstVersion(authId));
    const { groups } = await store.records.walk({}, undefined);
    expect([...groups].sort()).toEqual([strayGroup('chat', { sender: 's' }), conversationOf(delivery(authId))].sort());
    expect(await store.records.redrive(conversationOf(delivery(authId)), {}, AS_IT_WAS)).toMatchObject({ redriven: 1 });
    const placed = {
      table: { version: 'v2', accounts: EVERY_ACCOUNT, place: () => ({ route: 'r', delivery: delivery(authId) }) },
      reroute: false,
    };
    expect(await store.records.decide('stray', { kind: 'redrive', routing: placed })).toBe('done');
    const delivered: string[] = [];
    for (let [claim] = (await store.claim(ONE)).claims; claim; [claim] = (await store.claim(ONE)).claims) {
      delivered.push(claim.message.id);
      await store.settle(claim, DELIVERED, undefined);
    }
    expect(delivered).toEqual(['dead', 'stray', 'waiting']);
  });

  test('that was left while it delivered says that the message is in doubt', async () => {
    const path = await firstVersion('a');
    alter(path, "update conversations set lease = 'left'");
    const { store } = await open(path);
    expect((await store.claim(ONE)).claims).toMatchObject([{ isInDoubt: true, message: { id: 'waiting' } }]);
  });
});
