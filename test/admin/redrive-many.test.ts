import { once } from 'node:events';
import { request as call, type IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { expect, test } from '@jest/globals';
import type { LoggedMessage } from '../../src/haptik/simulator.ts';
import { CHAT, startTestBridge } from '../support/bridge.ts';
import { until } from '../support/fixtures.ts';

const CONVERSATIONS = 500;
const EACH = 20;
const DEAD = CONVERSATIONS * EACH;
const BATCH = 5_000;

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);
/** Sorts as its number does: conversations are redriven in the order of their keys. */
const nameOf = (conversation: number) => `u${String(conversation).padStart(4, '0')}`;
const numberOf = ({ auth_id }: LoggedMessage) => Number(auth_id.slice(1));

/** How many messages of each conversation have arrived; looks at each message once. */
function arrivals(messages: readonly LoggedMessage[]) {
  const counts = upTo(CONVERSATIONS).map(() => 0);
  let seen = 0;
  return (conversation: number): number => {
    for (const message of messages.slice(seen)) counts[numberOf(message)] = (counts[numberOf(message)] ?? 0) + 1;
    seen = messages.length;
    return counts[conversation] ?? 0;
  };
}

/** Starts a redrive of everything; each line that comes back is told at once. */
async function redrive(url: string, rate: number, told: (line: { conversations: number }) => void): Promise<unknown> {
  const headers = { 'content-type': 'application/json', accept: 'application/x-ndjson' };
  const request = call(`${url}/api/redrive`, { method: 'POST', headers });
  request.end(JSON.stringify({ filter: {}, rate }));
  const [response]: IncomingMessage[] = await once(request, 'response');
  if (response === undefined) throw new Error('no answer');
  let last: unknown;
  for await (const line of createInterface({ input: response })) {
    last = JSON.parse(line);
    told(JSON.parse(line));
  }
  return last;
}

test('a redrive of 10,000 dead letters in 500 conversations, while new messages arrive in them, keeps the order of each', async () => {
  const { bridge, admin, simulator, lines } = await startTestBridge({ routing: CHAT });
  const post = async (messages: readonly { sender: string; text: string }[]) => {
    const answer = await fetch(`${bridge.url}/webhooks/chat`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ messages }),
    });
    expect(answer.status).toBe(202);
    await answer.arrayBuffer();
  };

  simulator.addFault({ rate: 1, status: 400 });
  const dead = upTo(EACH).flatMap((n) => upTo(CONVERSATIONS).map((c) => ({ sender: nameOf(c), text: `dead ${n}` })));
  for (let from = 0; from < DEAD; from += BATCH) await post(dead.slice(from, from + BATCH));
  // A line for each that is accepted, and one for each that dies; asking the bridge all the time would slow it down.
  await until('all have been tried', () => lines.length >= 2 * DEAD, 120_000);
  await until('all are dead', async () => (await admin.get('/api/accounts')).body.items[0].dead === DEAD);
  simulator.clearFaults();

  /** What was sent into each conversation, and whether that began when it was known to be redriven. */
  const sent = upTo(CONVERSATIONS).map((): { isLate: boolean }[] => []);
  let redriven = 0;
  const sendNew = async (conversations: readonly number[]) => {
    const messages = conversations.map((c) => {
      const text = `new ${sent[c]?.length}`;
      sent[c]?.push({ isLate: c < redriven });
      return { sender: nameOf(c), text };
    });
    await post(messages);
  };
  for (const _ of upTo(3)) await sendNew(upTo(CONVERSATIONS));

  const arrivedOf = arrivals(simulator.messages);
  const arrivedBefore: number[] = [];
  let isDone = false;
  const work = redrive(bridge.adminUrl, 400, ({ conversations }) => {
    for (; redriven < conversations; redriven += 1) arrivedBefore[redriven] = arrivedOf(redriven);
  }).finally(() => {
    isDone = true;
  });
  const sendOn = async () => {
    for (let turn = 0; !isDone; turn += 1) await sendNew(upTo(CONVERSATIONS).filter((c) => c % 10 === turn % 10));
    await sendNew(upTo(CONVERSATIONS));
  };
  const [last] = await Promise.all([work, sendOn()]);
  expect(last).toEqual({ redriven: DEAD, conversations: CONVERSATIONS, unplaced: 0, done: true });

  const all = DEAD + sent.flat().length;
  await until('all have arrived', () => simulator.messages.length >= all, 120_000);
  await until('nothing waits', async () => (await admin.get('/api/accounts')).body.items[0].waiting === 0);
  expect(simulator.messages.length).toBe(all);
  const arrived = upTo(CONVERSATIONS).map((): string[] => []);
  for (const message of simulator.messages) arrived[numberOf(message)]?.push(message.message_body);

  let countOfLate = 0;
  for (const [c, texts] of arrived.entries()) {
    const first = texts.indexOf('dead 0');
    // Each once, in its order, and nothing newer among what was redriven.
    expect(texts.slice(first, first + EACH)).toEqual(upTo(EACH).map((n) => `dead ${n}`));
    const others = [...texts.slice(0, first), ...texts.slice(first + EACH)];
    expect(others).toEqual((sent[c] ?? []).map((_, n) => `new ${n}`));
    // Before it went what had arrived when it was put back, and at most the one that was being delivered.
    expect(first).toBeLessThanOrEqual((arrivedBefore[c] ?? 0) + 1);
    const isLate = (sent[c] ?? []).map((message) => message.isLate);
    expect(isLate.slice(0, first)).not.toContain(true);
    countOfLate += isLate.filter(Boolean).length;
  }
  // All of this says something only where new ones did come both before and after.
  expect(countOfLate).toBeGreaterThan(CONVERSATIONS);
  expect(arrived.filter((texts) => texts[0] !== 'dead 0').length).toBeGreaterThan(0);
}, 240_000);
