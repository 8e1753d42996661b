import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { PostgresStore } from '../../src/outbox/postgres/store.ts';
import { ManualClock, memoryLog } from '../support/fixtures.ts';
import { testDatabase } from '../support/postgres.ts';
import { auditTables, readTables } from './tables.ts';

const MESSAGE = `insert into haptik_bridge.messages
  (id, conversation, state, channel, provider_id, sender, message, table_version, accepted_at, since)
  values ($1, $2, $3, 'chat', $4, 'someone', json_build_object('text', $1::text), 'v', 0, 0)`;
const CONVERSATION = `insert into haptik_bridge.conversations (id, key, account, pending, ready_at)
  values ($1, $2, 'main', $3, 0)`;

async function tables() {
  const database = await testDatabase();
  const store = await PostgresStore.open({
    url: database.url,
    clock: new ManualClock(),
    newToken: randomUUID,
    log: memoryLog().log,
    maxBacklog: 10,
    eraseAtOnce: false,
  });
  await store.close();
  return database;
}

test('what waits without its conversation, and what is counted wrong, is found', async () => {
  const database = await tables();
  const [lonely, miscounted, right, empty] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()];
  for (const [id, conversation] of [
    ['one', lonely],
    ['two', miscounted],
    ['three', right],
  ]) {
    await database.query(MESSAGE, [id, conversation, 'waiting', id]);
  }
  await database.query(CONVERSATION, [miscounted, 'miscounted', 2]);
  await database.query(CONVERSATION, [right, 'right', 1]);
  await database.query(CONVERSATION, [empty, 'empty', 0]);
  const found = await auditTables(database);
  expect(found).toHaveLength(3);
  expect(found).toEqual(
    expect.arrayContaining([
      `conversation ${lonely} has no row, 1 wait`,
      'conversation empty counts 0, 0 wait',
      'conversation miscounted counts 2, 1 wait',
    ]),
  );
});

test('what is kept is named by the id that is its text, given as an id or not', async () => {
  const database = await tables();
  for (const [key, id, state] of [
    ['a', 'north0x0-0', 'dead'],
    ['b', null, 'delivered'],
  ]) {
    await database.query(MESSAGE, [key, null, state, id]);
  }
  await database.query(MESSAGE.replace("json_build_object('text', $1::text)", `'{"text":"b"}'`), [
    'c',
    null,
    'unknown',
    null,
  ]);
  const kept = await readTables(database);
  expect(kept.dead).toEqual(new Map([['north0x0-0', '']]));
  expect(kept.unknown).toEqual(['b']);
  expect(kept.copies).toEqual(new Map([['b', 2]]));
});
