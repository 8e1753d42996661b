import { describe, expect, test } from '@jest/globals';
import { ACCOUNTS, CHAT, type Running, startSimulator, startTestBridge } from './support/bridge.ts';
import { onTestEnd, until } from './support/fixtures.ts';
import { startProxy } from './support/network.ts';
import { testDatabase } from './support/postgres.ts';

interface Options {
  readonly count?: number;
  readonly accounts?: string;
  readonly routing?: string;
}

/** Whole bridges on one database, in front of one Haptik. Each has its own way to the database. */
async function startReplicas({ count = 2, accounts = ACCOUNTS, routing = CHAT }: Options = {}) {
  const database = await testDatabase();
  const haptik = await startSimulator();
  const replicas: Running[] = [];
  const ways: Awaited<ReturnType<typeof startProxy>>[] = [];
  for (let index = 0; index < count; index += 1) {
    const way = await startProxy(Number(new URL(database.url).port));
    onTestEnd(() => way.close());
    ways.push(way);
    replicas.push(await startTestBridge({ accounts, routing, haptik, env: { DATABASE_URL: way.via(database.url) } }));
  }
  const [first, second] = replicas;
  const [way] = ways;
  if (!first || !second || !way) throw new Error('at least two');
  return { first, second, way, replicas, database, simulator: haptik.simulator };
}

const texts = ({ messages }: Running['simulator']) => messages.map(({ message_body }) => message_body);

test('a message that arrives at two replicas at once is one message', async () => {
  const { replicas, simulator } = await startReplicas();
  const ids = Array.from({ length: 20 }, (_, index) => `id-${index}`);
  const answers = await Promise.all(
    ids.flatMap((id) =>
      replicas.map(async ({ request }) => {
        const { status, body } = await request.post('/webhooks/chat').send({ sender: id, text: id, id });
        return { sent: id, status, id: body.id as string };
      }),
    ),
  );
  for (const sent of ids) {
    const [one, other] = answers.filter((answer) => answer.sent === sent);
    expect(other?.id).toBe(one?.id);
    expect([one?.status, other?.status].sort()).toEqual([200, 202]);
  }
  await until('all are delivered', () => simulator.messages.length >= ids.length);
  expect(texts(simulator).sort()).toEqual(ids.toSorted());
});

test('messages of a conversation arrive in order, though each comes to another replica', async () => {
  const { replicas, simulator } = await startReplicas({ count: 3 });
  const senders = Array.from({ length: 10 }, (_, index) => `user${index}`);
  await Promise.all(
    senders.map(async (sender, offset) => {
      for (let turn = 0; turn < 30; turn += 1) {
        const replica = replicas[(turn + offset) % replicas.length];
        const answer = await replica?.request.post('/webhooks/chat').send({ sender, text: `${sender} ${turn}` });
        expect(answer?.status).toBe(202);
      }
    }),
  );
  await until('all are delivered', () => simulator.messages.length >= 300);
  for (const sender of senders) {
    const expected = Array.from({ length: 30 }, (_, turn) => `${sender} ${turn}`);
    expect(texts(simulator).filter((text) => text.startsWith(`${sender} `))).toEqual(expected);
  }
});

test('whoever waits for a delivery is told of it, also when another replica delivers', async () => {
  // Of what is one, the first replica has all: the second can only hand over.
  const accounts = ACCOUNTS.replace('client_id:', 'max_concurrency: 1, client_id:');
  const { second, simulator } = await startReplicas({ accounts });
  const answer = await second.request
    .post('/webhooks/chat')
    .set('Prefer', 'wait=15')
    .send({ sender: 'u', text: 'hello' });
  expect([answer.status, answer.body]).toMatchObject([200, { status: 'delivered' }]);
  expect(second.lines.filter(({ message }) => message === 'delivered')).toEqual([]);
  expect(texts(simulator)).toEqual(['hello']);
});

test('a new user is registered once, by whichever replica', async () => {
  const routing = `
channels:
  chat: { verify: none }
  sales: { verify: none }
routes:
  - { channel: chat, business_id: 343, auth_id: "{{ sender | alnum }}" }
  - { channel: sales, business_id: 344, auth_id: "{{ sender | alnum }}" }
`;
  const { replicas, simulator } = await startReplicas({ routing });
  const senders = Array.from({ length: 15 }, (_, index) => `user${index}`);
  const send = (sender: string) =>
    replicas.map(({ request }, index) =>
      request.post(`/webhooks/${index === 0 ? 'chat' : 'sales'}`).send({ sender, text: sender }),
    );
  await Promise.all(senders.flatMap(send));
  await until('all are delivered', () => simulator.messages.length >= 30);
  expect(texts(simulator)).toHaveLength(30);
  const registered = simulator.requests.filter(({ path }) => path === '/v1.0/user/');
  expect(registered).toHaveLength(senders.length);
});

describe('while a replica has no way to the database', () => {
  test.each(['cut', 'hang'] as const)('(%s) it says so, is not ready, and goes on by itself', async (trouble) => {
    const { first, second, way, simulator } = await startReplicas();
    const post = ({ request }: Running, id: string) =>
      request.post('/webhooks/chat').send({ sender: 'u', text: id, id });
    expect((await post(first, 'before')).status).toBe(202);
    way[trouble]();
    const askedAt = performance.now();
    const refused = await post(first, 'meanwhile');
    expect(refused.status).toBe(503);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect(performance.now() - askedAt).toBeLessThan(2_000);
    expect((await first.request.get('/readyz')).status).toBe(503);
    expect((await first.request.get('/livez')).status).toBe(200);
    expect((await post(second, 'by another')).status).toBe(202);
    way[trouble === 'cut' ? 'heal' : 'resume']();
    await until('it is ready', async () => (await first.request.get('/readyz')).status === 200);
    expect((await post(first, 'meanwhile')).status).toBe(202);
    await until('all are delivered', () => simulator.messages.length >= 3);
    expect(texts(simulator).sort()).toEqual(['before', 'by another', 'meanwhile']);
  });

  test('it is found out without any message', async () => {
    const { first, way } = await startReplicas();
    way.cut();
    await until('it is not ready', async () => (await first.request.get('/readyz')).status === 503);
  });
});

test('accounts are held and paused for all replicas', async () => {
  const { first, second, simulator } = await startReplicas();
  const account = async ({ admin }: Running) => (await admin.get('/api/accounts')).body.items[0];
  await first.admin.post('/api/accounts/main/pause').send({});
  await until('the other knows', async () => (await account(second)).cause === 'operator');
  await second.request.post('/webhooks/chat').send({ sender: 'u', text: 'later' });
  expect(await account(first)).toMatchObject({ state: 'held', waiting: 1 });
  await second.admin.post('/api/accounts/main/resume').send({});
  await until('it is delivered', () => simulator.messages.length === 1);
});
