import { describe, expect, test } from '@jest/globals';
import type { Outcome } from '../../src/message.ts';
import { Limiter } from '../../src/outbox/limiter.ts';
import { accountsOf, DELIVERED, startOutbox } from '../support/outbox.ts';

/** The most that began within one second, wherever that second is laid. `times` are in order. */
function mostInASecond(times: readonly number[]): number {
  let from = 0;
  const counts = times.map((at, index) => {
    while ((times[from] ?? at) <= at - 1_000) from += 1;
    return index - from + 1;
  });
  return Math.max(...counts);
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);
const RETRY: Outcome = { kind: 'retry', detail: 'HTTP 500' };
const OVERLOAD: Outcome = { kind: 'retry', detail: 'HTTP 503', isOverload: true };

describe('a pace', () => {
  const limits = (perSecond: number | undefined) => ({ concurrency: 64, perSecond });

  /** Begins as much as it may each time that it is looked at. */
  function greedy(perSecond: number, looks: readonly number[]): number[] {
    const limiter = new Limiter();
    return looks.flatMap((now) => {
      const count = limiter.startable(now, limits(perSecond));
      for (let index = 0; index < count; index += 1) limiter.started(now, limits(perSecond));
      return Array.from({ length: count }, () => now);
    });
  }

  test('that nobody has set is none', () => {
    expect(new Limiter().startable(0, limits(undefined))).toBe(Number.POSITIVE_INFINITY);
  });

  test.each([1, 3, 10, 250, 1_000])('of %i is kept in any second and reached, however late one looks', (perSecond) => {
    let seed = 7;
    const looks: number[] = [];
    for (let now = 0; now < 10_000; ) {
      looks.push(now);
      seed = (seed * 48_271) % 2_147_483_647;
      now += 1 + (seed % 16);
    }
    const times = greedy(perSecond, looks);
    expect(mostInASecond(times)).toBeLessThanOrEqual(perSecond);
    expect(times.length).toBeGreaterThan(perSecond * 10 * 0.95);
  });

  test('begins with no burst, and brings none after an idle hour', () => {
    const times = greedy(10, [0, 1, 2, 3_600_000, 3_600_001, 3_600_002]);
    expect(times).toEqual([0, 3_600_000]);
  });

  test('says when the next one may begin, and not before', () => {
    const limiter = new Limiter();
    limiter.started(0, limits(2));
    const at = limiter.startableAt(0, limits(2));
    expect([at > 400, at < 600]).toEqual([true, true]);
    expect([limiter.startable(at - 1, limits(2)), limiter.startable(at, limits(2))]).toEqual([0, 1]);
  });

  test('takes back what was not begun after all', () => {
    const limiter = new Limiter();
    limiter.started(0, limits(1));
    limiter.notStarted(limits(1));
    expect(limiter.startable(0, limits(1))).toBe(1);
  });
});

describe('max_per_second', () => {
  const accounts = accountsOf({ main: { maxPerSecond: 10 } });
  const start = () => startOutbox({ accounts });

  test('holds for a backlog of many conversations, and is reached', async () => {
    const { clock, farEnd, dispatcher, send, pass } = await start();
    for (const index of upTo(30)) await send(`user${index}`, 'hello');
    const begin = clock.elapsed();
    dispatcher.start();
    await pass(3_500, 10);
    const times = farEnd.calls.map(({ at }) => at);
    expect(times).toHaveLength(30);
    expect(mostInASecond(times)).toBeLessThanOrEqual(10);
    expect((times.at(-1) ?? 0) - begin).toBeGreaterThanOrEqual(2_900);
  });

  test('holds for what is delivered as it comes in', async () => {
    const { farEnd, dispatcher, send, pass, settle } = await start();
    dispatcher.start();
    await Promise.all(upTo(15).map((index) => send(`user${index}`, 'hello')));
    await settle();
    for (const index of upTo(15)) {
      await send(`later${index}`, 'hello');
      await pass(37);
    }
    await pass(3_000, 10);
    const times = farEnd.calls.map(({ at }) => at);
    expect(times).toHaveLength(30);
    expect(mostInASecond(times)).toBeLessThanOrEqual(10);
  });

  test('holds for the messages of one conversation', async () => {
    const { farEnd, dispatcher, send, pass } = await start();
    for (const index of upTo(25)) await send('a', String(index));
    dispatcher.start();
    await pass(3_000, 10);
    expect(farEnd.texts).toEqual(upTo(25).map(String));
    expect(mostInASecond(farEnd.calls.map(({ at }) => at))).toBeLessThanOrEqual(10);
  });

  test('holds for conversations that go on all at the same moment', async () => {
    const { farEnd, dispatcher, send, pass } = await start();
    farEnd.automatic = undefined;
    for (const index of upTo(8)) for (const text of ['1', '2', '3']) await send(`user${index}`, text);
    dispatcher.start();
    for (let round = 0; farEnd.calls.length < 24 && round < 20; round += 1) {
      await pass(1_000, 20);
      for (const call of farEnd.calls) call.answer(DELIVERED);
    }
    expect(farEnd.calls).toHaveLength(24);
    expect(mostInASecond(farEnd.calls.map(({ at }) => at))).toBeLessThanOrEqual(10);
  });

  test('holds for what is tried again', async () => {
    const { farEnd, dispatcher, send, pass } = await start();
    farEnd.automatic = () => RETRY;
    for (const index of upTo(30)) await send(`user${index}`, 'hello');
    dispatcher.start();
    await pass(8_000, 20);
    expect(mostInASecond(farEnd.calls.map(({ at }) => at))).toBeLessThanOrEqual(10);
    expect(farEnd.calls.length).toBeGreaterThan(70);
  });

  test('of one account is not that of another', async () => {
    const { farEnd, dispatcher, send, settle } = await startOutbox({
      accounts: accountsOf({ main: { maxPerSecond: 1 }, other: {} }),
    });
    dispatcher.start();
    for (const index of upTo(20)) {
      await send(`user${index}`, 'hello');
      await send(`user${index}`, 'hello', { account: 'other' });
    }
    await settle();
    expect(farEnd.calls.filter(({ account }) => account === 'main')).toHaveLength(1);
    expect(farEnd.calls.filter(({ account }) => account === 'other')).toHaveLength(20);
  });

  test('leaves what waits its turn before what has just come in', async () => {
    const { clock, farEnd, dispatcher, send, settle } = await start();
    for (const index of upTo(10)) await send(`early${index}`, 'early');
    dispatcher.start();
    await settle();
    for (const index of upTo(300)) {
      clock.advance(5);
      await send(`late${index}`, 'late');
      await settle();
    }
    expect(farEnd.texts.slice(0, 10)).toEqual(upTo(10).map(() => 'early'));
    expect(farEnd.texts.length).toBeGreaterThan(13);
  });
});

describe('max_concurrency', () => {
  test('holds also where a message comes in just as the backlog is looked at', async () => {
    const { farEnd, dispatcher, send, settle, store } = await startOutbox({
      accounts: accountsOf({ main: { maxConcurrency: 1 } }),
    });
    farEnd.automatic = undefined;
    await send('a', 'waits');
    const claim = store.claim.bind(store);
    store.claim = (request) => {
      void send('b', 'comes in');
      return claim(request);
    };
    dispatcher.start();
    await settle();
    expect(farEnd.texts).toEqual(['waits']);
  });

  test('lets a conversation with very many waiting keep nobody waiting', async () => {
    const { farEnd, dispatcher, send, settle } = await startOutbox({
      accounts: accountsOf({ main: { maxConcurrency: 2 } }),
    });
    for (const index of upTo(300)) await send('flood', String(index));
    dispatcher.start();
    for (const index of upTo(10)) {
      await send(`user${index}`, 'me too');
      await settle();
    }
    await settle();
    expect(farEnd.calls).toHaveLength(310);
    expect(farEnd.texts.filter((text) => text !== 'me too')).toEqual(upTo(300).map(String));
  });
});

describe('an account whose far end asks for less', () => {
  /** Delivers from 16 conversations of which the last call of each is open. */
  async function busy(accounts = accountsOf({ main: {} })) {
    const outbox = await startOutbox({ accounts, concurrency: 16 });
    outbox.farEnd.automatic = undefined;
    for (const index of upTo(16)) for (const text of upTo(60)) await outbox.send(`user${index}`, String(text));
    outbox.dispatcher.start();
    await outbox.settle();
    /** Answers what is open, and looks how much is in flight then. */
    const answerAll = async (outcome: Outcome) => {
      const open = outbox.farEnd.calls.splice(0);
      outbox.clock.advance(100);
      for (const call of open) call.answer(outcome);
      await outbox.settle();
      await outbox.pass(1_000);
      return outbox.farEnd.calls.length;
    };
    return { ...outbox, answerAll };
  }

  test.each<[string, Outcome]>([
    ['429 and 503', OVERLOAD],
    ['time-outs', { kind: 'unknown', detail: 'no answer within 10000 ms', isOverload: true }],
  ])('by %s has half as many conversations in flight, once a round trip, and never none', async (_name, outcome) => {
    const { answerAll, farEnd } = await busy();
    expect(farEnd.calls).toHaveLength(16);
    expect(await answerAll(outcome)).toBe(8);
    expect(await answerAll(outcome)).toBe(4);
    expect(await answerAll(outcome)).toBe(2);
    expect(await answerAll(outcome)).toBe(1);
    expect(await answerAll(outcome)).toBe(1);
  });

  test('wins them back one a round trip, up to what it had', async () => {
    const { answerAll } = await busy();
    for (const _ of upTo(4)) await answerAll(OVERLOAD);
    const won: number[] = [];
    for (const _ of upTo(20)) won.push(await answerAll(DELIVERED));
    expect(won.every((count, index) => count - (won[index - 1] ?? 1) <= 1)).toBe(true);
    expect(won[8]).toBeGreaterThan(6);
    expect(won.at(-1)).toBe(16);
  });

  test('is not slowed down by faults that do not ask for it', async () => {
    const { answerAll } = await busy();
    expect(await answerAll(RETRY)).toBe(16);
  });

  test('and one that hangs take no slot of another', async () => {
    const { farEnd, dispatcher, send, settle } = await startOutbox({
      accounts: accountsOf({ main: {}, other: {} }),
      concurrency: 4,
    });
    farEnd.automatic = undefined;
    dispatcher.start();
    for (const index of upTo(50)) await send(`user${index}`, 'hangs');
    await settle();
    farEnd.automatic = () => DELIVERED;
    for (const index of upTo(50)) await send(`user${index}`, 'goes on', { account: 'other' });
    await settle();
    expect(farEnd.calls.filter(({ account }) => account === 'main')).toHaveLength(4);
    expect(farEnd.calls.filter(({ account }) => account === 'other')).toHaveLength(50);
  });
});
