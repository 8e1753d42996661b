import { statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from '@jest/globals';
import { SqliteStore } from '../../src/outbox/sqlite.ts';
import type { Entry } from '../../src/outbox/store.ts';
import { ManualClock, memoryLog, onTestEnd, temporaryFolder } from '../support/fixtures.ts';
import { storeContract } from './contract.ts';

let ids = 0;

async function open(file?: string, clock = new ManualClock()) {
  const path = file ?? join(await temporaryFolder(), 'data', 'bridge.db');
  const { log, lines } = memoryLog();
  const store = SqliteStore.open({ file: path, clock, log, newToken: () => `lease-${ids++}` });
  onTestEnd(() => store.close().catch(() => undefined));
  return { store, clock, lines, path };
}

function entry(id: string, text = 't'): Entry {
  const message = { sender: 's', recipient: 'r', text, fields: {}, attachments: [] };
  const delivery = { account: 'main', businessId: 1, authId: 'a', text, user: {} };
  return { id, channel: 'chat', tableVersion: 'v1', message, placement: { route: 'routes[0]', delivery } };
}

storeContract('sqlite', async () => {
  const { store, clock, path } = await open();
  const reopen = async () => {
    // A file that is closed without settling is what a killed process leaves behind.
    await store.close();
    return (await open(path, clock)).store;
  };
  return { store, clock, reopen };
});

describe('the database file', () => {
  test('is made with its folder, for its owner alone, ready for a queue', async () => {
    const { path, store } = await open();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await store.accept([entry('m1')]);
    await store.close();
    const database = new DatabaseSync(path, { readOnly: true });
    onTestEnd(() => database.close());
    const pragma = (name: string) => Object.values(database.prepare(`pragma ${name}`).get() ?? {})[0];
    expect(['journal_mode', 'auto_vacuum', 'user_version'].map(pragma)).toEqual(['wal', 2, 1]);
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
