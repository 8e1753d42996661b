import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from '@jest/globals';
import { GroupCommit } from '../../src/outbox/sqlite/group-commit.ts';
import { onTestEnd, temporaryFolder } from '../support/fixtures.ts';

async function open() {
  const database = new DatabaseSync(join(await temporaryFolder(), 'test.db'));
  onTestEnd(() => database.close());
  database.exec('pragma journal_mode = wal; create table lines (text)');
  const commits = new GroupCommit(database);
  const insert = (text: string) => commits.run(() => database.prepare('insert into lines values (?)').run(text));
  const count = () => database.prepare('select count(*) as n from lines').get()?.n;
  return { database, commits, insert, count };
}

test('what is asked for in one turn is one transaction', async () => {
  const { commits, database } = await open();
  const depth = await Promise.all([
    commits.run(() => database.exec('create table a (x)')),
    commits.run(() => database.exec('savepoint s; insert into a values (1); release s')),
    commits.run(() => database.prepare('select count(*) as n from a').get()),
  ]);
  expect(depth[2]).toEqual({ n: 1 });
});

test('nothing is confirmed before the commit', async () => {
  const { insert, database, count } = await open();
  const confirmed = insert('a').then(() => database.isTransaction);
  expect(count()).toBe(0);
  expect(await confirmed).toBe(false);
  expect(count()).toBe(1);
});

test('one that fails does not fail the others', async () => {
  const { commits, insert, count } = await open();
  const [first, bad, last] = await Promise.allSettled([
    insert('a'),
    commits.run(() => {
      throw new Error('a fault of its own');
    }),
    insert('b'),
  ]);
  expect([first?.status, bad?.status, last?.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(count()).toBe(2);
});

test('on a full disk what does not fit is refused, nothing of it is kept, and it recovers by itself', async () => {
  const { database, insert, count } = await open();
  await insert('a');
  const pages = Number(database.prepare('pragma page_count').get()?.page_count);
  database.exec(`pragma max_page_count = ${pages}`);
  await expect(insert('x'.repeat(100_000))).rejects.toMatchObject({ errcode: 13 });
  expect([count(), database.isTransaction]).toEqual([1, false]);

  database.exec(`pragma max_page_count = ${pages + 100}`);
  await insert('x'.repeat(100_000));
  expect(count()).toBe(2);
});

test('what is queued can be committed at once', async () => {
  const { commits, insert, count } = await open();
  const inserted = insert('a');
  commits.flush();
  expect(count()).toBe(1);
  await inserted;
});
