import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { systemClock } from '../../src/clock.ts';
import { SqliteStore } from '../../src/outbox/sqlite/store.ts';
import { CHAT, type Running, startTestBridge } from '../support/bridge.ts';
import { memoryLog, onTestEnd, temporaryFolder, until } from '../support/fixtures.ts';

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

async function post({ request }: Running, messages: readonly object[]): Promise<string[]> {
  const answer = await request.post('/webhooks/chat').send({ messages });
  expect(answer.status).toBe(202);
  return answer.body.messages.map(({ id }: { id: string }) => id);
}

function open(file: string): SqliteStore {
  const options = { clock: systemClock, log: memoryLog().log, maxBacklog: 1_000, eraseAtOnce: false };
  const store = new SqliteStore({ file, newToken: () => 'token', ...options });
  onTestEnd(() => store.close());
  return store;
}

describe('a backup', () => {
  test('opens, and holds everything as it was', async () => {
    const running = await startTestBridge({ routing: CHAT });
    const file = join(await temporaryFolder(), 'copy.db');
    const [delivered = ''] = await post(running, [{ sender: 'a', text: 'delivered' }]);
    await until('it has arrived', () => running.simulator.messages.length === 1);
    await running.admin.post('/api/accounts/main/pause').send({});
    const [waiting = ''] = await post(running, [{ sender: 'a', text: 'waits' }]);
    const answer = await running.admin.post('/api/backup').send({ file });
    expect([answer.status, answer.body]).toEqual([201, { file }]);
    await post(running, [{ sender: 'a', text: 'too late' }]);

    const store = open(file);
    const { records } = store;
    expect(await records.get(delivered)).toMatchObject({ state: 'delivered', text: 'delivered' });
    expect(await records.get(waiting)).toMatchObject({ state: 'waiting', text: 'waits' });
    expect((await records.list({}, { after: undefined, limit: 10 })).items.length).toBe(2);
    expect((await store.look([])).holds).toMatchObject([{ account: 'main', cause: 'operator' }]);
  });

  test('is what a bridge can go on from', async () => {
    const running = await startTestBridge({ routing: CHAT });
    const folder = await temporaryFolder();
    await running.admin.post('/api/accounts/main/pause').send({});
    await post(
      running,
      upTo(20).map((n) => ({ sender: 'u', text: String(n) })),
    );
    await running.admin.post('/api/backup').send({ file: join(folder, 'bridge.db') });

    const next = await startTestBridge({ routing: CHAT, folder });
    await next.admin.post('/api/accounts/main/resume').send({});
    await until('all have arrived', () => next.simulator.messages.length === 20);
    expect(next.simulator.messages.map(({ message_body }) => message_body)).toEqual(upTo(20).map(String));
    expect(running.simulator.messages).toEqual([]);
  });

  test('is whole also while messages come and go', async () => {
    const running = await startTestBridge({ routing: CHAT });
    const file = join(await temporaryFolder(), 'copy.db');
    const stored = await post(
      running,
      upTo(2_000).map((n) => ({ sender: `u${n % 50}`, text: 'x'.repeat(60) })),
    );
    let isDone = false;
    const backup = running.admin
      .post('/api/backup')
      .send({ file })
      .then(({ status }) => {
        isDone = true;
        return status;
      });
    let during = 0;
    for (; !isDone; during += 1) await post(running, [{ sender: `u${during % 50}`, text: 'new' }]);
    expect(await backup).toBe(201);
    const { records } = open(file);
    const states = await Promise.all(stored.map(async (id) => (await records.get(id))?.state));
    expect(new Set(states)).toEqual(new Set(states.filter((state) => state === 'waiting' || state === 'delivered')));
    await until('all have arrived', () => running.simulator.messages.length === 2_000 + during);
  });

  test('never overwrites anything, and leaves nothing half done', async () => {
    const { admin, database } = await startTestBridge({ routing: CHAT });
    const folder = await temporaryFolder();
    const file = join(folder, 'mine.txt');
    await writeFile(file, 'precious');
    for (const [name, detail] of [
      [file, /is there already/],
      [database, /is there already/],
      [folder, /is there already/],
      [join(folder, 'no', 'such', 'folder.db'), /cannot be written/],
      [join(file, 'x.db'), /cannot be written/],
      [`${folder}/a\0b`, /cannot be written/],
    ] as const) {
      const answer = await admin.post('/api/backup').send({ file: name });
      expect([answer.status, answer.type]).toEqual([409, 'application/problem+json']);
      expect(answer.body.detail).toMatch(detail);
    }
    expect(await readdir(folder)).toEqual(['mine.txt']);
  });

  test('of the same name twice at once is made once', async () => {
    const { admin } = await startTestBridge({ routing: CHAT });
    const folder = await temporaryFolder();
    const ask = () => admin.post('/api/backup').send({ file: join(folder, 'copy.db') });
    const answers = await Promise.all([ask().then(({ status }) => status), ask().then(({ status }) => status)]);
    expect(answers.sort()).toEqual([201, 409]);
    expect(await readdir(folder)).toEqual(['copy.db']);
  });

  test.each([[{ file: 'copy.db' }], [{ file: './copy.db' }], [{ file: '' }], [{}], [{ file: 5 }]])(
    'goes to an absolute path only, not %j',
    async (body) => {
      const { admin } = await startTestBridge({ routing: CHAT });
      const answer = await admin.post('/api/backup').send(body);
      expect([answer.status, answer.body.errors]).toEqual([422, [{ path: 'file', message: expect.any(String) }]]);
    },
  );
});
