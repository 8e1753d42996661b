import { describe, expect, test } from '@jest/globals';
import { CHAT, startTestBridge } from './support/bridge.ts';
import { onTestEnd, until } from './support/fixtures.ts';
import { startProxy } from './support/network.ts';
import { type Server, startServer } from './support/server.ts';

/** Whoever sends something waits for so long at most. */
const ANSWERED_MS = 2_000;

/** A bridge on a PostgreSQL, and the network between them, that a test may break. */
async function startOnServer() {
  const server: Server = await startServer();
  onTestEnd(() => server.close());
  const proxy = await startProxy(server.port);
  onTestEnd(() => proxy.close());
  const env = { DATABASE_URL: proxy.via(server.url) };
  const running = await startTestBridge({ routing: CHAT, env, overrides: { random: () => 0.01 } });
  return { ...running, server, proxy };
}

type Running = Awaited<ReturnType<typeof startOnServer>>;

/** As a sender does: the messages of a conversation one after the other, each until it is taken. */
async function send({ request }: Running, sender: string, count: number): Promise<number> {
  let slowest = 0;
  for (let index = 0; index < count; index += 1) {
    for (let status = 503; status === 503; ) {
      const startedAt = performance.now();
      const answer = await request.post('/webhooks/chat').send({ sender, id: `${sender}-${index}`, text: `${index}` });
      slowest = Math.max(slowest, performance.now() - startedAt);
      status = answer.status;
      if (status === 503) expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
      else expect([200, 202]).toContain(status);
    }
  }
  return slowest;
}

describe('a bridge whose database', () => {
  test.each<[string, (running: Running) => Promise<void>]>([
    [
      'is stopped and started',
      async ({ server, request }) => {
        await server.stop('immediate');
        await until('it is not ready', async () => (await request.get('/readyz')).status === 503);
        await request.get('/livez').expect(200);
        await server.start();
      },
    ],
    [
      'is cut off again and again',
      async ({ proxy, simulator }) => {
        for (const share of [30, 45, 60]) {
          await until('some more are delivered', () => simulator.messages.length >= share);
          proxy.cut();
          proxy.heal();
        }
      },
    ],
    [
      'loses its answers',
      async ({ proxy, request }) => {
        proxy.dropAnswers();
        await until('it is not ready', async () => (await request.get('/readyz')).status === 503);
        proxy.heal();
      },
    ],
  ])('%s: senders are answered in time, and all is delivered in order, without a hand', async (_name, trouble) => {
    const running = await startOnServer();
    const { simulator, request } = running;
    const senders = ['anna', 'berta', 'carla', 'dora'];
    const EACH = 25;
    const sent = Promise.all(senders.map((sender) => send(running, sender, EACH)));
    await until('some are delivered', () => simulator.messages.length >= 20);
    await trouble(running);
    expect(Math.max(...(await sent))).toBeLessThan(ANSWERED_MS);
    await until('all are delivered', () => {
      const texts = new Set(simulator.messages.map(({ auth_id, message_body }) => `${auth_id} ${message_body}`));
      return texts.size === senders.length * EACH;
    });
    for (const sender of senders) {
      const own = simulator.messages.filter(({ auth_id }) => auth_id === sender);
      const firsts = [...new Set(own.map(({ message_body }) => Number(message_body)))];
      expect(firsts).toEqual(Array.from({ length: EACH }, (_, index) => index));
    }
    await until('it is ready', async () => (await request.get('/readyz')).status === 200);
  });
});
