import { statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from '@jest/globals';
import { SqliteStore } from '../../src/outbox/sqlite.ts';
import { ManualClock, memoryLog, onTestEnd, temporaryFolder } from '../support/fixtures.ts';
import { type Opened, storeContract } from './contract.ts';
import { recordsContract } from './records-contract.ts';
import { DEAD, DELIVERED, delivery, message, entry as sample } from './samples.ts';

let ids = 0;

async function open(
  file?: string,
  clock = new ManualClock(),
  more: { maxBacklog?: number; eraseAtOnce?: boolean } = {},
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

/** A store, and the operator's side of it. */
async function openBoth(): Promise<Opened> {
  const { store, clock, path } = await open(undefined, undefined, { maxBacklog: 10_000 });
  const reopen = async () => {
    // A file that is closed without settling is what a killed process leaves behind.
    await store.close();
    const { store: after } = await open(path, clock);
    return { store: after, records: after.records };
  };
  return { store, records: store.records, clock, reopen };
}

storeContract('sqlite', openBoth);
recordsContract('sqlite', openBoth);

describe('the database file', () => {
  test('is made with its folder, for its owner alone, ready for a queue', async () => {
    const { path, store } = await open();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await store.accept([entry('m1')]);
    await store.close();
    const database = new DatabaseSync(path, { readOnly: true });
    onTestEnd(() => database.close());
    const pragma = (name: string) => Object.values(database.prepare(`pragma ${name}`).get() ?? {})[0];
    expect(['journal_mode', 'auto_vacuum', 'user_version'].map(pragma)).toEqual(['wal', 2, 2]);
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
