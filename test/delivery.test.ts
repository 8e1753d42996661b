import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import type { LoggedMessage } from '../src/haptik/simulator.ts';
import { ACCOUNTS, CHAT, startSimulator, startTestBridge } from './support/bridge.ts';
import { temporaryFolder, until } from './support/fixtures.ts';
import { runCli } from './support/process.ts';

/** Sends a conversation's messages one after the other, each once the one before was accepted. */
async function converse(authId: string, count: number, post: (body: object) => Promise<void>): Promise<void> {
  for (let index = 0; index < count; index += 1)
    await post({ sender: authId, text: String(index), id: `${authId}-${index}` });
}

/** What arrived, per conversation, in order of arrival. */
function byConversation(messages: readonly LoggedMessage[]): Map<string, number[]> {
  const arrived = new Map<string, number[]>();
  for (const { auth_id, message_body } of messages) {
    const texts = arrived.get(auth_id) ?? [];
    texts.push(Number(message_body));
    arrived.set(auth_id, texts);
  }
  return arrived;
}

const names = (count: number) => Array.from({ length: count }, (_, index) => `user${index}`);
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

test('50 conversations of 200 messages, with every tenth call failing: all arrive once, each conversation in its order', async () => {
  const { bridge, simulator } = await startTestBridge({
    routing: CHAT,
    // The waits between attempts, shortened: their length is another test's matter.
    overrides: { random: () => Math.random() / 50 },
  });
  simulator.addFault({ rate: 0.1, status: 500 });
  const post = async (body: object) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${bridge.url}/webhooks/chat`, { method: 'POST', headers, body: JSON.stringify(body) });
    expect(answer.status).toBe(202);
    await answer.arrayBuffer();
  };
  await Promise.all(names(50).map((authId) => converse(authId, 200, post)));
  await until('all are delivered', () => simulator.messages.length >= 10_000, 60_000);
  const arrived = byConversation(simulator.messages);
  expect(arrived.size).toBe(50);
  for (const texts of arrived.values()) expect(texts).toEqual(upTo(200));
}, 90_000);

test('killed in the middle of a run, and again: nothing accepted is lost, order holds, and only what was in flight is repeated', async () => {
  const { simulator, url: haptik } = await startSimulator();
  simulator.addFault({ rate: 0.1, status: 500 });
  const cwd = await temporaryFolder();
  await writeFile(join(cwd, 'routing.yaml'), ACCOUNTS + CHAT);
  const env = { HOST: '127.0.0.1', PORT: '0', ADMIN_PORT: '0', LOG_FORMAT: 'json', HAPTIK_BASE_URL: haptik };
  const start = async () => {
    const program = runCli(['serve'], { cwd, env });
    const [, url = ''] = await program.printed(/"url":"([^"]+)"/);
    return { program, url };
  };
  let running = await start();
  let accepted = 0;

  // As a provider does: the same message again until it is told that it was taken.
  const post = async (body: object) => {
    for (;;) {
      const { url } = running;
      const headers = { 'content-type': 'application/json' };
      const status = await fetch(`${url}/webhooks/chat`, { method: 'POST', headers, body: JSON.stringify(body) })
        .then(async (answer) => answer.arrayBuffer().then(() => answer.status))
        .catch(() => 0);
      if (status === 200 || status === 202) break;
      await until('it is started again', () => running.url !== url);
    }
    accepted += 1;
  };
  const kill = async (when: number) => {
    await until(`${when} are accepted`, () => accepted >= when, 60_000);
    running.program.child.kill('SIGKILL');
    expect(await running.program.ended()).toBe('SIGKILL');
    running = await start();
  };

  const conversations = Promise.all(names(50).map((authId) => converse(authId, 40, post)));
  await kill(500);
  await kill(1_200);
  await conversations;
  await until(
    'all are delivered',
    () => {
      const arrived = byConversation(simulator.messages);
      return arrived.size === 50 && [...arrived.values()].every((texts) => new Set(texts).size === 40);
    },
    60_000,
  );

  for (const texts of byConversation(simulator.messages).values()) {
    expect([...new Set(texts)]).toEqual(upTo(40));
    // A message in flight at a kill is sent again as the next thing in its conversation, at most once a kill.
    expect(texts.filter((text, index) => index > 0 && text <= (texts[index - 1] ?? 0))).toHaveLength(texts.length - 40);
    expect(
      texts.every((text, index) => text === (texts[index - 1] ?? -1) || text === (texts[index - 1] ?? -1) + 1),
    ).toBe(true);
    expect(texts.length - 40).toBeLessThanOrEqual(2);
  }
}, 120_000);

test('what is stored while Haptik is down arrives in order once it is back', async () => {
  const { simulator, request } = await startTestBridge({ routing: CHAT, overrides: { random: () => 0.01 } });
  simulator.addFault({ rate: 1, action: 'drop' });
  for (const text of ['0', '1', '2']) await request.post('/webhooks/chat').send({ sender: 'u', text }).expect(202);
  await until('it was tried', () => simulator.requests.length > 3);
  expect(simulator.messages).toEqual([]);
  simulator.clearFaults();
  await until('all are delivered', () => simulator.messages.length >= 3);
  expect(byConversation(simulator.messages).get('u')).toEqual([0, 1, 2]);
});

test('a backlog that is full is answered 503 with Retry-After, and taken again once it shrinks', async () => {
  const { simulator, request } = await startTestBridge({
    routing: CHAT,
    env: { MAX_BACKLOG: '2' },
    overrides: { random: () => 0.01 },
  });
  simulator.addFault({ rate: 1, status: 500 });
  const send = () => request.post('/webhooks/chat').send({ sender: 'u', text: '1' });
  expect([(await send()).status, (await send()).status]).toEqual([202, 202]);
  const full = await send();
  expect([full.status, full.headers['retry-after'], full.type]).toEqual([503, '30', 'application/problem+json']);
  simulator.clearFaults();
  await until('the backlog is delivered', () => simulator.messages.length === 2);
  await until('it is taken again', async () => (await send()).status === 202);
});
