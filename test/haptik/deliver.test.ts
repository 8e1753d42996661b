import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import type { HaptikAccount } from '../../src/haptik/api.ts';
import type { Answer, Post } from '../../src/haptik/client.ts';
import { createDeliver } from '../../src/haptik/deliver.ts';
import { delivery } from '../outbox/samples.ts';
import { ManualClock } from '../support/fixtures.ts';

const DELIVERY = delivery('u1', { businessId: 343, text: 'Hi', user: { name: 'Asha', email: undefined } });
const MESSAGE = 'https://haptik.example/v1.0/log_message_from_user/';
const USER = 'https://haptik.example/v1.0/user/';
const NEVER = new AbortController().signal;

const DELIVERED = { kind: 'delivered' };
const savedUser = z.object({ auth_id: z.string() });
const loggedUser = z.object({ user: savedUser });

const answer = (status: number, text = '', retryAfter: string | null = null) => ({ status, text, retryAfter });
const from = (user: number) => ({ ...DELIVERY, authId: `user${user}` });
const LOGGED = answer(200, '{"message_id":1411200492,"created_at":"2018-10-04T12:41:27.980Z"}');
const FORBIDDEN = answer(403, '{"error_message":"user is not registered"}');

/** Delivers to a far end that answers one after the other; the last answer stays. */
function deliverTo(answers: readonly Answer[], more: Partial<HaptikAccount> = {}) {
  const calls: { readonly url: string; readonly body: object }[] = [];
  const post: Post = async (_account, url, body) => {
    calls.push({ url: url.href, body });
    const found = answers[Math.min(calls.length, answers.length) - 1];
    if (found === undefined) throw new Error('no answer');
    return found;
  };
  const account: HaptikAccount = {
    name: 'main',
    messageUrl: new URL(MESSAGE),
    userUrl: new URL(USER),
    clientId: 'c',
    token: 't',
    ...more,
  };
  const deliver = createDeliver({
    post,
    account: (name) => (name === 'main' ? account : undefined),
    clock: new ManualClock(),
  });
  return { calls, deliver: (delivery = DELIVERY) => deliver(delivery, NEVER) };
}

/** Delivers to a Haptik that knows whom it was told of. Each call takes a millisecond. */
function toHaptik() {
  const clock = new ManualClock();
  const haptik = {
    users: new Set<string>(),
    registrations: [] as string[],
    registration: answer(200),
    refuse: async (): Promise<Answer> => FORBIDDEN,
  };
  const post: Post = async ({ name }, url, body) => {
    const user = 'user' in body ? loggedUser.parse(body).user : savedUser.parse(body);
    const key = `${name} ${user.auth_id}`;
    if (url.href !== USER) return haptik.users.has(key) ? LOGGED : haptik.refuse();
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(1);
    haptik.registrations.push(user.auth_id);
    if (haptik.registration.status === 200) haptik.users.add(key);
    return haptik.registration;
  };
  const account = (name: string): HaptikAccount => ({
    name,
    messageUrl: new URL(MESSAGE),
    userUrl: new URL(USER),
    clientId: 'c',
    token: 't',
  });
  const delivering = createDeliver({ post, account, clock });
  const deliver = (delivery = DELIVERY) => {
    clock.advance(1);
    return delivering(delivery, NEVER);
  };
  return { clock, haptik, deliver };
}

describe('what Haptik says of a message decides:', () => {
  const written: Answer = { isWritten: true, isTimeout: false, detail: 'reset' };
  const unwritten: Answer = { isWritten: false, isTimeout: false, detail: 'refused' };
  test.each<[string, Answer, object]>([
    [
      '200 with a message_id',
      LOGGED,
      { kind: 'delivered', messageId: '1411200492', createdAt: '2018-10-04T12:41:27.980Z' },
    ],
    ['200 with no created_at', answer(200, '{"message_id":7}'), { kind: 'delivered', messageId: '7', createdAt: null }],
    [
      '200 with a created_at of another kind',
      answer(200, '{"message_id":7,"created_at":1538656061980}'),
      { kind: 'delivered', createdAt: null },
    ],
    [
      '200 with a long message_id',
      answer(200, '{"message_id":4912661846655238145}'),
      { kind: 'delivered', messageId: '4912661846655238145' },
    ],
    ['200 without a message_id', answer(200, '{"ok":true}'), { kind: 'unknown' }],
    ['200 with an empty message_id', answer(200, '{"message_id":""}'), { kind: 'unknown' }],
    ['200 with a page', answer(200, '<html>Sign in'), { kind: 'unknown' }],
    ['200 with nothing', answer(200), { kind: 'unknown' }],
    ['204', answer(204), { kind: 'unknown' }],
    ['302', answer(302), { kind: 'retry' }],
    ['400', answer(400, 'bad text'), { kind: 'dead', reason: 'refused', detail: 'HTTP 400', answer: 'bad text' }],
    ['401', answer(401), { kind: 'hold' }],
    ['404', answer(404), { kind: 'dead', reason: 'refused' }],
    ['405', answer(405), { kind: 'dead', reason: 'refused' }],
    ['408', answer(408), { kind: 'retry' }],
    ['413', answer(413), { kind: 'dead', reason: 'refused' }],
    ['415', answer(415), { kind: 'dead', reason: 'refused' }],
    ['418', answer(418), { kind: 'dead', reason: 'refused' }],
    ['422', answer(422), { kind: 'dead', reason: 'refused' }],
    ['425', answer(425), { kind: 'retry' }],
    ['429', answer(429), { kind: 'retry', retryAfterMs: undefined }],
    ['429 with seconds', answer(429, '', '7'), { kind: 'retry', retryAfterMs: 7_000 }],
    ['503 with a date', answer(503, '', 'Sun, 22 Nov 2026 12:31:00 GMT'), { kind: 'retry', retryAfterMs: 60_000 }],
    [
      '503 with a date in the past',
      answer(503, '', 'Sun, 22 Nov 2026 12:29:00 GMT'),
      { kind: 'retry', retryAfterMs: undefined },
    ],
    ['503 with nonsense', answer(503, '', 'later'), { kind: 'retry', retryAfterMs: undefined }],
    ['500', answer(500), { kind: 'retry' }],
    ['501', answer(501), { kind: 'retry' }],
    ['502', answer(502), { kind: 'unknown' }],
    ['504', answer(504), { kind: 'unknown' }],
    ['no answer, nothing written', unwritten, { kind: 'retry', detail: 'refused' }],
    ['no answer, something written', written, { kind: 'unknown', detail: 'reset' }],
  ])('%s', async (_name, given, outcome) => {
    const { deliver, calls } = deliverTo([given]);
    expect(await deliver()).toMatchObject(outcome);
    expect(calls).toHaveLength(1);
  });

  test('of a refusal a bounded part is kept', async () => {
    const { deliver } = deliverTo([answer(400, 'x'.repeat(60_000))]);
    expect(await deliver()).toMatchObject({ answer: 'x'.repeat(1_000) });
  });
});

describe('a user whom Haptik does not know', () => {
  test('is registered with the profile, and the message is sent again at once', async () => {
    const { deliver, calls } = deliverTo([FORBIDDEN, answer(200, '{}'), LOGGED]);
    expect(await deliver()).toMatchObject({ kind: 'delivered' });
    expect(calls.map(({ url }) => url)).toEqual([MESSAGE, USER, MESSAGE]);
    expect(JSON.parse(JSON.stringify(calls[1]?.body))).toEqual({ auth_id: 'u1', name: 'Asha' });
    expect(calls[2]).toEqual(calls[0]);
  });

  test('is a dead letter when still unknown after that', async () => {
    const { deliver, calls } = deliverTo([FORBIDDEN, answer(200), FORBIDDEN]);
    expect(await deliver()).toMatchObject({ kind: 'dead', reason: 'user_not_registered' });
    expect(calls).toHaveLength(3);
  });

  test('is a dead letter at once when the account does not register users', async () => {
    const { deliver, calls } = deliverTo([FORBIDDEN], { userUrl: undefined });
    expect(await deliver()).toMatchObject({ kind: 'dead', reason: 'user_not_registered' });
    expect(calls).toHaveLength(1);
  });

  test.each<[string, Answer, object]>([
    ['401', answer(401), { kind: 'hold', isSpent: false }],
    ['403', answer(403), { kind: 'hold', isSpent: true }],
    ['400', answer(400, 'bad'), { kind: 'dead', reason: 'registration_refused', answer: 'bad' }],
    ['200 with a page', answer(200, '<html>Sign in</html>'), { kind: 'retry', status: 200 }],
    ['409', answer(409), { kind: 'dead', reason: 'registration_refused' }],
    ['408', answer(408), { kind: 'retry' }],
    ['429', answer(429, '', '3'), { kind: 'retry', retryAfterMs: 3_000 }],
    ['502', answer(502), { kind: 'retry' }],
    [
      'no answer',
      { isWritten: true, isTimeout: false, detail: 'reset' },
      { kind: 'retry', detail: 'registering the user: reset' },
    ],
  ])('and whose registration ends with %s', async (_name, registration, outcome) => {
    const { deliver, calls } = deliverTo([FORBIDDEN, registration]);
    expect(await deliver()).toMatchObject(outcome);
    expect(calls).toHaveLength(2);
  });

  test('is registered once for 500 first messages at the same time', async () => {
    const { deliver, haptik } = toHaptik();
    const outcomes = await Promise.all(
      Array.from({ length: 500 }, (_, index) => deliver({ ...DELIVERY, businessId: index })),
    );
    expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(['delivered']));
    expect(haptik.registrations).toEqual(['u1']);
  });

  test('is registered once also where Haptik refuses the others only after that', async () => {
    const { deliver, haptik } = toHaptik();
    const refusals: (() => void)[] = [];
    haptik.refuse = () => new Promise((resolve) => refusals.push(() => resolve(FORBIDDEN)));
    const outcomes = Array.from({ length: 500 }, (_, index) => deliver({ ...DELIVERY, businessId: index }));
    const [first, ...others] = refusals;
    first?.();
    expect(await outcomes[0]).toMatchObject({ kind: 'delivered' });
    for (const refuse of others) refuse();
    expect(new Set((await Promise.all(outcomes)).map(({ kind }) => kind))).toEqual(new Set(['delivered']));
    expect(haptik.registrations).toEqual(['u1']);
  });

  test('any more, since Haptik has lost them, is registered once more', async () => {
    const { deliver, haptik } = toHaptik();
    await deliver();
    haptik.users.clear();
    await Promise.all([deliver(), deliver({ ...DELIVERY, businessId: 344 })]);
    await deliver();
    expect(haptik.registrations).toEqual(['u1', 'u1']);
  });

  test('is registered by the next attempt when the registration failed', async () => {
    const { deliver, haptik } = toHaptik();
    haptik.registration = answer(500);
    expect(await deliver()).toMatchObject({ kind: 'retry' });
    haptik.registration = answer(200);
    expect(await deliver()).toMatchObject({ kind: 'delivered' });
    expect(haptik.registrations).toEqual(['u1', 'u1']);
  });

  test('is registered with each account on its own', async () => {
    const { deliver, haptik } = toHaptik();
    haptik.refuse = async () => FORBIDDEN;
    await Promise.all([deliver(), deliver({ ...DELIVERY, account: 'other' })]);
    expect(haptik.registrations).toEqual(['u1', 'u1']);
  });

  test('is remembered among the last 20,000; whoever is forgotten is at worst registered again', async () => {
    const { deliver, haptik, clock } = toHaptik();
    const late: (() => void)[] = [];
    haptik.refuse = () => new Promise((resolve) => late.push(() => resolve(FORBIDDEN)));
    // Two first messages of the oldest user and of the newest: the second ones are refused once 20,001 are registered.
    const oldest = [deliver(from(0)), deliver(from(0))];
    const newest = [deliver(from(20_000)), deliver(from(20_000))];
    haptik.refuse = async () => FORBIDDEN;
    late[0]?.();
    await oldest[0];
    for (let user = 1; user < 20_000; user += 1) await deliver(from(user));
    late[2]?.();
    await newest[0];
    expect(haptik.registrations).toHaveLength(20_001);
    clock.advance(1);
    late[1]?.();
    late[3]?.();
    expect(await Promise.all([...oldest, ...newest])).toEqual(Array(4).fill(expect.objectContaining(DELIVERED)));
    expect(haptik.registrations.slice(20_001)).toEqual(['user0']);
  });
});

test('a message of an account that the table has lost waits', async () => {
  const { deliver, calls } = deliverTo([LOGGED]);
  expect(await deliver({ ...DELIVERY, account: 'gone' })).toMatchObject({
    kind: 'retry',
    detail: expect.stringMatching(/gone/),
  });
  expect(calls).toEqual([]);
});
