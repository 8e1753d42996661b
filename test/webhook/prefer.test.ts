import { request as call } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import { systemClock } from '../../src/clock.ts';
import type { MessageDetails, MessageState } from '../../src/outbox/records.ts';
import { Waiters } from '../../src/outbox/wait.ts';
import { CHAT, startTestBridge } from '../support/bridge.ts';
import { ManualClock, turns, until } from '../support/fixtures.ts';

const MESSAGE = { sender: 'u1', text: 'Hi' };
/** An attempt that hangs is not waited for at the end. */
const BRISK = { SHUTDOWN_GRACE_MS: '300' };
const PICKY = CHAT.replace('channel: chat,', 'channel: chat, when: { text: { prefix: H } },');

/** A clock that keeps count of those who wait for longer than 15 s: nobody but callers does, in a bridge that has just begun. */
function watchedClock() {
  const asleep = new Set<object>();
  const sleep: typeof systemClock.sleep = async (ms, signal) => {
    const sleeper = {};
    if (ms > 15_000 && ms <= 20_000) asleep.add(sleeper);
    await systemClock.sleep(ms, signal);
    asleep.delete(sleeper);
  };
  return { clock: { ...systemClock, sleep }, asleep };
}

describe('a caller who prefers to wait', () => {
  test('is told that Haptik has the message, with its id and time there', async () => {
    const { request, simulator } = await startTestBridge({ routing: CHAT });
    const answer = await request.post('/webhooks/chat').set('Prefer', 'wait=10').send(MESSAGE);
    const [logged] = simulator.messages;
    expect(answer.status).toBe(200);
    expect(answer.headers['preference-applied']).toBe('wait=10');
    expect(answer.body).toEqual({
      id: expect.any(String),
      status: 'delivered',
      message_id: String(logged?.message_id),
      created_at: logged?.created_at,
    });
  });

  test('is told that it waits, once time is up, while Haptik is down', async () => {
    const { request, simulator } = await startTestBridge({ routing: CHAT, env: BRISK });
    simulator.addFault({ rate: 1, action: 'hang' });
    const startedAt = performance.now();
    const answer = await request.post('/webhooks/chat').set('Prefer', 'wait=1').send(MESSAGE);
    const seconds = (performance.now() - startedAt) / 1_000;
    expect([answer.status, answer.body]).toEqual([202, { id: expect.any(String), status: 'waiting' }]);
    expect(seconds).toBeGreaterThan(0.98);
    expect(seconds).toBeLessThan(10);
  });

  test('is told at once that no route fits', async () => {
    const { request } = await startTestBridge({ routing: PICKY });
    const answer = await request.post('/webhooks/chat').set('Prefer', 'wait=20').send({ sender: 'u', text: 'no' });
    expect([answer.status, answer.body]).toEqual([
      202,
      { id: expect.any(String), status: 'dead', reason: 'unroutable' },
    ]);
  });

  test('is told at once that Haptik refuses it', async () => {
    const { request, simulator } = await startTestBridge({ routing: CHAT });
    simulator.addFault({ rate: 1, status: 400 });
    const answer = await request.post('/webhooks/chat').set('Prefer', 'wait=20').send(MESSAGE);
    expect([answer.status, answer.body]).toEqual([202, { id: expect.any(String), status: 'dead', reason: 'refused' }]);
  });

  test('is told at once that nobody knows whether it arrived', async () => {
    const { request, simulator } = await startTestBridge({
      routing: CHAT.replace('business_id:', 'on_unknown: stop, business_id:'),
    });
    simulator.addFault({ rate: 1, action: 'garbage' });
    const answer = await request.post('/webhooks/chat').set('Prefer', 'wait=20').send(MESSAGE);
    expect([answer.status, answer.body]).toEqual([202, { id: expect.any(String), status: 'unknown' }]);
  });

  test('waits on through retries', async () => {
    const { request, simulator } = await startTestBridge({ routing: CHAT, overrides: { random: () => 0.01 } });
    simulator.addFault({ count: 2, status: 500 });
    const answer = await request.post('/webhooks/chat').set('Prefer', 'wait=20').send(MESSAGE);
    expect([answer.status, answer.body.status]).toEqual([200, 'delivered']);
  });

  test('hears of a repeat what became of the first', async () => {
    const { request, simulator } = await startTestBridge({ routing: CHAT });
    const send = () =>
      request
        .post('/webhooks/chat')
        .set('Prefer', 'wait=10')
        .send({ ...MESSAGE, id: 7 });
    const first = await send();
    const second = await send();
    expect([second.status, second.body]).toEqual([200, first.body]);
    expect(second.body.status).toBe('delivered');
    expect(simulator.messages.length).toBe(1);

    simulator.addFault({ count: 1, delay_ms: 300 });
    const both = await Promise.all([send().send({ ...MESSAGE, id: 8 }), send().send({ ...MESSAGE, id: 8 })]);
    expect(both.map(({ status, body }) => [status, body.status])).toEqual([
      [200, 'delivered'],
      [200, 'delivered'],
    ]);
    expect(simulator.messages.length).toBe(2);
  });

  test('hears of each message of a batch', async () => {
    const { request } = await startTestBridge({ routing: PICKY });
    const send = (texts: string[]) =>
      request
        .post('/webhooks/chat')
        .set('Prefer', 'wait=10')
        .send({ messages: texts.map((text) => ({ sender: 'u1', text })) });
    const mixed = await send(['Hi', 'no', 'Ho']);
    expect(mixed.status).toBe(202);
    expect(mixed.body.messages).toEqual([
      expect.objectContaining({ status: 'delivered', message_id: expect.any(String) }),
      { id: expect.any(String), status: 'dead', reason: 'unroutable' },
      expect.objectContaining({ status: 'delivered', message_id: expect.any(String) }),
    ]);
    expect((await send(['Hi', 'Ho'])).status).toBe(200);
  });

  test('may send 5,000 at once', async () => {
    const { request } = await startTestBridge({ routing: CHAT });
    const messages = Array.from({ length: 5_000 }, (_, index) => ({ sender: `u${index % 100}`, text: 't' }));
    const { status, body } = await request.post('/webhooks/chat').set('Prefer', 'wait=20').send({ messages });
    expect([status, body.messages.length]).toEqual([
      body.messages.every((message: { status: string }) => message.status === 'delivered') ? 200 : 202,
      5_000,
    ]);
  });

  test('for longer than 20 s does not', async () => {
    const { request } = await startTestBridge({ routing: CHAT });
    const answer = await request.post('/webhooks/chat').set('Prefer', 'wait=60').send(MESSAGE);
    expect([answer.status, answer.headers['preference-applied']]).toEqual([200, 'wait=20']);
  });

  test.each([
    ['respond-async, wait=2', 'wait=2'],
    ['wait="3"', 'wait=3'],
    ['Wait = 4', 'wait=4'],
    ['wait=5, wait=9', 'wait=5'],
    ['return=minimal; foo, wait=6; bar=7', 'wait=6'],
    ['wait=100000', 'wait=20'],
    ['wait=0', undefined],
    ['wait=abc', undefined],
    ['wait=', undefined],
    ['wait', undefined],
    ['wait=-1', undefined],
    ['await=5', undefined],
    ['respond-async', undefined],
    ['', undefined],
  ])('may say so as %j', async (prefer, applied) => {
    const { request } = await startTestBridge({ routing: CHAT });
    const answer = await request.post('/webhooks/chat').set('Prefer', prefer).send(MESSAGE);
    expect([answer.status, answer.body.status, answer.headers['preference-applied']]).toEqual(
      applied ? [200, 'delivered', applied] : [202, 'accepted', undefined],
    );
  });

  test('may do so with a form that is answered in JSON', async () => {
    const routing = `
channels:
  contact: { provider: form, verify: none }
routes:
  - { channel: contact, business_id: 412, auth_id: "{{ sender | alnum }}" }
`;
    const { request } = await startTestBridge({ routing });
    const form = { email: 'a@example.in', message: 'Hi' };
    const send = (type: string) => request.post('/webhooks/contact').set('Prefer', 'wait=10').type(type).send(form);
    for (const type of ['json', 'form']) {
      const answer = await send(type);
      expect([answer.status, answer.body]).toEqual([200, expect.objectContaining({ status: 'delivered' })]);
    }
    const page = await send('form').set('Accept', 'text/html');
    expect([page.status, page.type]).toEqual([200, 'text/html']);
  });

  test('is let go when the bridge stops', async () => {
    const { bridge, request, simulator } = await startTestBridge({ routing: CHAT, env: BRISK });
    simulator.addFault({ rate: 1, action: 'hang' });
    const startedAt = performance.now();
    const waiting = request.post('/webhooks/chat').set('Prefer', 'wait=20').send(MESSAGE);
    const answered = waiting.then((answer) => answer);
    await until('it is in flight', () => simulator.requests.length === 1);
    const stopped = bridge.stop();
    const answer = await answered;
    expect([answer.status, answer.body.status]).toEqual([202, 'waiting']);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    await stopped;
  });
});

test('who has not asked to wait is answered before Haptik is', async () => {
  const { request, simulator } = await startTestBridge({ routing: CHAT, env: BRISK });
  simulator.addFault({ rate: 1, action: 'hang' });
  const answer = await request.post('/webhooks/chat').send(MESSAGE);
  expect([answer.status, answer.body]).toEqual([202, { id: expect.any(String), status: 'accepted' }]);
  expect(answer.headers).not.toHaveProperty('preference-applied');
});

test('for callers who have hung up nobody waits on', async () => {
  const { clock, asleep } = watchedClock();
  const { bridge, simulator } = await startTestBridge({ routing: CHAT, env: BRISK, overrides: { clock } });
  simulator.addFault({ rate: 1, action: 'hang' });
  const callers = Array.from({ length: 200 }, () => {
    const request = call(`${bridge.url}/webhooks/chat`, {
      method: 'POST',
      headers: { prefer: 'wait=20', 'content-type': 'application/json' },
    });
    request.on('error', () => undefined);
    request.end(JSON.stringify(MESSAGE));
    return request;
  });
  await until('all wait', () => asleep.size === 200);
  for (const caller of callers) caller.destroy();
  await until('nobody waits', () => asleep.size === 0, 5_000);
});

describe('a wait', () => {
  const details = (state: MessageState): MessageDetails => ({
    id: 'm1',
    state,
    reason: null,
    channel: 'chat',
    account: 'main',
    businessId: 343,
    authId: 'u1',
    sender: 'u1',
    providerId: null,
    acceptedAt: 0,
    settledAt: null,
    attempts: 0,
    messageId: null,
    createdAt: null,
    route: 'routes[0]',
    tableVersion: 'v1',
    detail: null,
    stops: false,
    waitsBehind: null,
    text: 'Hi',
    fields: {},
    attemptLog: [],
  });
  const never = new AbortController().signal;

  test('misses nothing that is settled while it looks', async () => {
    const waiters = new Waiters();
    let state: MessageState = 'waiting';
    const get = async () => {
      const found = details(state);
      state = 'delivered';
      waiters.tell('m1');
      return found;
    };
    const wait = waiters.waitWith({ get }, new ManualClock());
    expect(await wait('m1', 10_000, never)).toMatchObject({ state: 'delivered' });
  });

  test('is ended by its own message, for all who wait for it, and by no other', async () => {
    const waiters = new Waiters();
    const clock = new ManualClock();
    const wait = waiters.waitWith({ get: async (id) => ({ ...details('waiting'), id }) }, clock);
    const ended: string[] = [];
    const waits = ['m1', 'm1', 'm2'].map((id) => wait(id, 10_000, never).then(() => ended.push(id)));
    await turns();
    waiters.tell('m1');
    waiters.tell('m3');
    await turns();
    expect(ended).toEqual(['m1', 'm1']);
    clock.advance(10_000);
    await Promise.all(waits);
  });

  test('for a message that is not there is none', async () => {
    const wait = new Waiters().waitWith({ get: async () => undefined }, new ManualClock());
    expect(await wait('m1', 10_000, never)).toBeUndefined();
  });
});
