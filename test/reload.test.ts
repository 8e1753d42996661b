import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { type Clock, systemClock } from '../src/clock.ts';
import { ACCOUNTS, startTestBridge } from './support/bridge.ts';
import { temporaryFolder, until } from './support/fixtures.ts';

/** Looks at the file are twenty times as frequent, so that many changes fit into a test. */
const HASTE: Clock = {
  ...systemClock,
  sleep: (ms, signal) => systemClock.sleep(ms === 200 ? 10 : ms, signal),
};

/** Everything in it says which version it is: a message that two of them have placed would show. */
const version = (number: number) => `
channels:
  chat: { verify: none }
  extra-${number}: { verify: none }
routes:
  - channel: chat
    business_id: ${number}
    auth_id: "u{{ sender }}v${number}"
    message_body: "{{ text }} by ${number}"
`;

/** Half of it is good, and lacks its end; the rest is not. */
const broken = (number: number) => `${version(number)}  - { channel: nowhere, business_id: ${number} }\n`;

async function start() {
  const folder = await temporaryFolder();
  const running = await startTestBridge({ routing: version(0), folder, overrides: { clock: HASTE } });
  const path = join(folder, 'routing.yaml');
  const routing = async () => (await running.admin.get('/api/routing')).body;
  return { ...running, folder, path, routing };
}

/** In place, by rename, or by turning a link, as Kubernetes does; in turn. */
async function replace(folder: string, path: string, change: number, content: string): Promise<void> {
  const next = join(folder, `change-${change}`);
  switch (change % 3) {
    case 0:
      return writeFile(path, content);
    case 1:
      await writeFile(next, content);
      return rename(next, path);
    default:
      await mkdir(next);
      await writeFile(join(next, 'routing.yaml'), content);
      await symlink(join(next, 'routing.yaml'), `${next}.link`);
      return rename(`${next}.link`, path);
  }
}

test('200 changes under load, every second one broken: each message is placed by one table, and none is refused or lost', async () => {
  const { bridge, folder, path, routing, simulator } = await start();
  let isLoading = true;
  const statuses = new Map<number, number>();
  const load = Array.from({ length: 4 }, async (_, sender) => {
    for (let count = 0; isLoading; count += 1) {
      const { status } = await fetch(`${bridge.url}/webhooks/chat`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ sender: String(sender), text: `m${sender}-${count}`, id: `${sender}-${count}` }),
      });
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  });
  try {
    for (let change = 1; change <= 200; change += 2) {
      const { version: before } = await routing();
      await replace(folder, path, change, ACCOUNTS + broken(change));
      await until('it is refused', async () => (await routing()).refused !== null);
      expect((await routing()).version).toBe(before);
      await replace(folder, path, change + 1, ACCOUNTS + version(change + 1));
      await until('it is in force', async () => {
        const { version: now, refused } = await routing();
        return refused === null && now !== before;
      });
    }
  } finally {
    isLoading = false;
    await Promise.all(load);
  }
  expect([...statuses.keys()]).toEqual([202]);
  const sent = statuses.get(202) ?? 0;
  await until('all is delivered', () => simulator.messages.length === sent, 60_000);
  const placed = simulator.messages.map(({ business_id, auth_id, message_body }) => {
    const [, byAuthId] = /^u\dv(\d+)$/.exec(String(auth_id)) ?? [];
    const [, byText] = / by (\d+)$/.exec(String(message_body)) ?? [];
    return [...new Set([String(business_id), byAuthId, byText])];
  });
  expect(placed.filter((versions) => versions.length > 1)).toEqual([]);
  expect(placed.flat().filter((number) => Number(number) % 2 === 1)).toEqual([]);
  expect(new Set(placed.flat()).size).toBeGreaterThan(10);
}, 180_000);

describe('a reload', () => {
  test('is asked for, and says what is in force', async () => {
    const { admin, path, routing } = await start();
    const before = await routing();
    expect(before).toEqual({
      version: expect.stringMatching(/^[0-9a-f]{12}$/),
      loaded_at: expect.any(String),
      rolled_back_at: null,
      behind: null,
      refused: null,
    });
    await writeFile(path, ACCOUNTS + version(2));
    const { status, body } = await admin.post('/api/routing/reload').send({});
    expect([status, body]).toEqual([200, await routing()]);
    expect(body.version).not.toBe(before.version);
  });

  test('that is refused says where and why, in the answer, the log and the metrics, and readiness stays on', async () => {
    const { admin, request, path, routing, lines } = await start();
    const { version: before } = await routing();
    await writeFile(path, ACCOUNTS + broken(3));
    const { status, body } = await admin.post('/api/routing/reload').send({});
    const place = `${path}:${(ACCOUNTS + version(3)).split('\n').length}:16`;
    expect(status).toBe(422);
    expect(body.errors).toEqual([
      { path: `${place}:`, message: expect.stringMatching(/^routes\[1\]\.channel: there is no channel "nowhere"/) },
    ]);
    expect(lines).toContainEqual(
      expect.objectContaining({
        level: 'error',
        message: 'routing file refused: the table before stays in force',
        version: before,
        problems: [expect.stringContaining(place)],
      }),
    );
    const { refused } = await routing();
    expect(refused.problems).toEqual([expect.objectContaining({ code: 'dangling', file: path, column: 16 })]);
    expect((await admin.get('/metrics')).text).toMatch(/^haptik_bridge_routing_refused 1$/m);
    expect((await request.get('/readyz')).status).toBe(200);
    await writeFile(path, ACCOUNTS + version(4));
    await admin.post('/api/routing/reload').send({}).expect(200);
    expect((await admin.get('/metrics')).text).toMatch(/^haptik_bridge_routing_refused 0$/m);
  });

  test('that takes a channel out makes it 503 with Retry-After; what never was one is 404', async () => {
    const { request, admin, path } = await start();
    await writeFile(path, ACCOUNTS + version(2));
    await admin.post('/api/routing/reload').send({}).expect(200);
    const gone = await request.post('/webhooks/extra-0').send({ sender: 'u', text: 't' });
    expect([gone.status, gone.headers['retry-after']]).toEqual([503, '5']);
    expect((await request.post('/webhooks/extra-1').send({ sender: 'u', text: 't' })).status).toBe(404);
    expect((await request.post('/webhooks/extra-2').send({ sender: 'u', text: 't' })).status).toBe(202);
  });

  test('that mends the token releases the account', async () => {
    const { request, admin, path, simulator } = await start();
    await writeFile(path, ACCOUNTS.replace('test-token', 'wrong') + version(2));
    await admin.post('/api/routing/reload').send({}).expect(200);
    await request.post('/webhooks/chat').send({ sender: '1', text: 'hello' }).expect(202);
    const state = async () => (await admin.get('/api/accounts')).body.items[0].state;
    await until('it is held', async () => (await state()) === 'held');
    await writeFile(path, ACCOUNTS + version(4));
    await admin.post('/api/routing/reload').send({}).expect(200);
    await until('it is delivered', () => simulator.messages.length === 1);
    expect(await state()).toBe('active');
  });

  test('that takes an account out lets its messages wait, and tells of them', async () => {
    const { request, admin, path, lines, simulator } = await start();
    await admin.post('/api/accounts/main/pause').send({}).expect(200);
    await request.post('/webhooks/chat').send({ sender: '1', text: 'hello' }).expect(202);
    await writeFile(path, ACCOUNTS.replace('main:', 'other:') + version(2));
    await admin.post('/api/routing/reload').send({}).expect(200);
    expect(lines).toContainEqual(
      expect.objectContaining({
        message: 'messages wait for an account that the routing file does not have',
        account: 'main',
        waiting: 1,
      }),
    );
    await admin.post('/api/accounts/main/resume').send({});
    await writeFile(path, ACCOUNTS + version(4));
    await admin.post('/api/routing/reload').send({}).expect(200);
    await until('it is delivered', () => simulator.messages.length === 1);
  });
});

test('what the file refers to may be unreadable in the moment of a reload: that is told, and changes nothing', async () => {
  const folder = await temporaryFolder();
  let isReadable = true;
  const env = () => {
    if (!isReadable) throw new Error('EACCES: .env');
    return { HAPTIK_BASE_URL: 'http://127.0.0.1:9' };
  };
  const { admin, bridge, lines } = await startTestBridge({
    routing: version(0),
    folder,
    overrides: { clock: HASTE, env },
  });
  const { body: before } = await admin.get('/api/routing');
  isReadable = false;
  await bridge.reload();
  expect(lines).toContainEqual(
    expect.objectContaining({
      level: 'error',
      version: before.version,
      problems: [expect.stringMatching(/cannot be loaded: EACCES: \.env$/)],
    }),
  );
  const { version: after, refused } = (await admin.get('/api/routing')).body;
  expect([after, refused.problems[0].code]).toEqual([before.version, 'failed']);
  await admin.post('/api/routing/reload').send({}).expect(422);
});

test('a file that is missing in the moment of a start stops it; in that of a reload it does not', async () => {
  const { admin, path, routing } = await start();
  const { version: before } = await routing();
  await rm(path);
  const { status, body } = await admin.post('/api/routing/reload').send({});
  expect([status, body.detail]).toEqual([422, expect.stringContaining('there is no such file')]);
  expect((await routing()).version).toBe(before);
});
