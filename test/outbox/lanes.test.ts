import { describe, expect, test } from '@jest/globals';
import type { Outcome } from '../../src/message.ts';
import { until } from '../support/fixtures.ts';
import { accountsOf, DELIVERED, HOUR_MS, startOutbox } from '../support/outbox.ts';

const REFUSED: Outcome = { kind: 'hold', status: 401, detail: 'HTTP 401', isSpent: false };
const RETRY: Outcome = { kind: 'retry', status: 500, detail: 'HTTP 500' };
const PROBE_MS = 30_000;
const TWO = accountsOf({ main: {}, other: {} });

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

type Outbox = Awaited<ReturnType<typeof startOutbox>>;

/** What was called of each conversation, in that order. */
function byConversation({ farEnd }: Outbox): Record<string, string[]> {
  const texts: Record<string, string[]> = {};
  for (const { authId, text } of farEnd.calls) texts[authId] = [...(texts[authId] ?? []), text];
  return texts;
}

/** The process ends, and another one takes up the same file with the same clock. */
async function restart(before: Outbox, accounts = accountsOf({ main: {} })): Promise<Outbox> {
  await before.dispatcher.stop(0);
  await before.store.close();
  return startOutbox({ file: before.file, clock: before.clock, accounts });
}

/** An account on hold for refused credentials, with two messages waiting in each of three conversations. */
async function held(accounts = accountsOf({ main: {} })) {
  const outbox = await startOutbox({ accounts });
  outbox.farEnd.automatic = () => REFUSED;
  outbox.dispatcher.start();
  await outbox.send('a', 'a1');
  await outbox.settle();
  for (const text of ['b1', 'c1', 'a2', 'b2', 'c2']) await outbox.send(text.slice(0, 1), text);
  await outbox.settle();
  expect(outbox.farEnd.texts).toEqual(['a1']);
  return outbox;
}

const IN_ORDER = { a: ['a1', 'a2'], b: ['b1', 'b2'], c: ['c1', 'c2'] };

describe('refused credentials', () => {
  test('cost five attempts in two minutes of traffic, none of which counts; then all arrives in order', async () => {
    const outbox = await startOutbox({ accounts: TWO });
    const { farEnd, dispatcher, send, settle, pass, store } = outbox;
    farEnd.automatic = ({ account }) => (account === 'main' ? REFUSED : DELIVERED);
    dispatcher.start();
    await send('user0', 'first');
    await settle();
    const ids: string[] = [];
    for (const index of upTo(240)) {
      ids.push(await send(`user${index % 6}`, String(index)));
      await send('elsewhere', String(index), { account: 'other' });
      await pass(500);
    }
    expect(farEnd.calls.filter(({ account }) => account === 'main')).toHaveLength(5);
    expect(farEnd.calls.filter(({ account }) => account === 'other')).toHaveLength(240);
    expect(await store.records.survey()).toContainEqual(
      expect.objectContaining({ account: 'main', waiting: 241, dead: 0, unknown: 0, stopped: 0 }),
    );
    for (const id of ids) expect(await store.records.get(id)).toMatchObject({ state: 'waiting', attempts: 0 });

    farEnd.calls.length = 0;
    farEnd.automatic = () => DELIVERED;
    await pass(PROBE_MS);
    expect(farEnd.calls).toHaveLength(241);
    const { user0 = [], ...others } = byConversation(outbox);
    expect(user0.slice(0, 3)).toEqual(['first', '0', '6']);
    for (const texts of [user0.slice(1), ...Object.values(others)]) {
      expect(texts.map(Number)).toEqual(texts.map((_, index) => Number(texts[0]) + 6 * index));
    }
  });

  test('are shown as a hold with its next probe, and no more once they are accepted', async () => {
    const { clock, lanes, farEnd, pass } = await held();
    const since = clock.now();
    const view = { cause: 'unauthorized', since };
    expect(lanes.holdOf('main')).toEqual({ ...view, nextProbeAt: since + PROBE_MS });
    await pass(PROBE_MS);
    expect(lanes.holdOf('main')).toEqual({ ...view, nextProbeAt: since + 2 * PROBE_MS });
    farEnd.automatic = undefined;
    await pass(PROBE_MS);
    expect(lanes.holdOf('main')).toEqual({ ...view, nextProbeAt: undefined });
    farEnd.calls.at(-1)?.answer(DELIVERED);
    await until('it is released', () => lanes.holdOf('main') === undefined);
  });

  test('are accepted, as a dead letter shows too', async () => {
    const { lanes, farEnd, pass } = await held();
    farEnd.automatic = ({ text }) =>
      text === 'a1' ? { kind: 'dead', reason: 'refused', status: 400, detail: 'HTTP 400' } : DELIVERED;
    await pass(PROBE_MS);
    expect(lanes.holdOf('main')).toBeUndefined();
    expect(farEnd.calls).toHaveLength(7);
  });

  test('are still held after a restart: one probe at once, nothing else, and then all in order', async () => {
    const before = await held();
    const since = before.clock.now();
    const outbox = await restart(before);
    const { farEnd, dispatcher, lanes, settle, pass, send } = outbox;
    expect(lanes.holdOf('main')).toMatchObject({ cause: 'unauthorized', since });
    farEnd.automatic = () => REFUSED;
    dispatcher.start();
    await settle();
    await send('d', 'd1', { id: 'd1' });
    await pass(PROBE_MS - 1, 5_000);
    expect(farEnd.calls).toHaveLength(1);
    farEnd.automatic = () => DELIVERED;
    farEnd.calls.length = 0;
    await pass(1);
    expect(byConversation(outbox)).toEqual({ ...IN_ORDER, d: ['d1'] });
  });

  test('that were accepted again are not held after a restart', async () => {
    const before = await held();
    before.farEnd.automatic = () => DELIVERED;
    await before.pass(PROBE_MS);
    const { lanes, store } = await restart(before);
    expect(lanes.holdOf('main')).toBeUndefined();
    expect((await store.look([])).holds).toEqual([]);
  });

  test('that a restart has changed are not held', async () => {
    const outbox = await restart(await held(), accountsOf({ main: { fingerprint: 'mended' } }));
    expect(outbox.lanes.holdOf('main')).toBeUndefined();
    outbox.dispatcher.start();
    await outbox.settle();
    expect(byConversation(outbox)).toEqual(IN_ORDER);
  });

  test('that change meanwhile are not held any more, within a second', async () => {
    let fingerprint = 'wrong';
    const outbox = await held(() => accountsOf({ main: { fingerprint } })());
    const { farEnd, lanes, pass, store } = outbox;
    farEnd.calls.length = 0;
    farEnd.automatic = () => DELIVERED;
    fingerprint = 'mended';
    await pass(1_000);
    expect(byConversation(outbox)).toEqual(IN_ORDER);
    expect(lanes.holdOf('main')).toBeUndefined();
    expect((await store.look([])).holds).toEqual([]);
  });

  test('that change while they are refused make that a retry', async () => {
    let fingerprint = 'wrong';
    const { farEnd, dispatcher, send, settle, pass, lanes, settled } = await startOutbox({
      accounts: () => accountsOf({ main: { fingerprint } })(),
    });
    farEnd.automatic = undefined;
    dispatcher.start();
    await send('a', 'a1');
    await settle();
    fingerprint = 'mended';
    await pass(10);
    farEnd.calls[0]?.answer(REFUSED);
    await until('it is settled', () => settled.length > 0);
    expect(settled).toMatchObject([{ state: 'waiting', isSpent: true }]);
    expect(lanes.holdOf('main')).toBeUndefined();
  });

  test('are probed by the next message where the first one has stopped its conversation', async () => {
    const { farEnd, dispatcher, send, settle, pass, lanes } = await startOutbox();
    farEnd.automatic = () => REFUSED;
    dispatcher.start();
    await send('a', 'a1', { onUnknown: 'stop' });
    await settle();
    await send('b', 'b1');
    farEnd.automatic = () => ({ kind: 'unknown', detail: 'reset' });
    await pass(PROBE_MS);
    expect(lanes.holdOf('main')).toMatchObject({ cause: 'unauthorized' });
    farEnd.automatic = () => DELIVERED;
    await pass(PROBE_MS);
    expect(farEnd.texts).toEqual(['a1', 'a1', 'b1']);
    expect(lanes.holdOf('main')).toBeUndefined();
  });
});

describe('an account that an operator has paused', () => {
  test('begins no attempt, of what waits or of what comes in; what is in flight ends', async () => {
    const { farEnd, dispatcher, lanes, send, settle, pass, settled } = await startOutbox({ accounts: TWO });
    farEnd.automatic = undefined;
    dispatcher.start();
    await send('a', 'a1');
    await send('a', 'a2');
    await settle();
    await lanes.pause('main');
    farEnd.automatic = () => DELIVERED;
    farEnd.calls[0]?.answer(DELIVERED);
    await until('it ends', () => settled.length === 1);
    await send('b', 'b1');
    await send('c', 'c1', { account: 'other' });
    await pass(120_000, 1_000);
    expect(farEnd.texts).toEqual(['a1', 'c1']);
    expect(settled).toMatchObject([{ state: 'delivered' }, { state: 'delivered' }]);
  });

  test('goes on in order once it is resumed', async () => {
    const outbox = await startOutbox();
    const { farEnd, dispatcher, lanes, send, settle } = outbox;
    farEnd.automatic = () => RETRY;
    dispatcher.start();
    await send('a', 'a1');
    await settle();
    await lanes.pause('main');
    for (const text of ['a2', 'b1', 'b2']) await send(text.slice(0, 1), text);
    farEnd.calls.length = 0;
    farEnd.automatic = () => DELIVERED;
    outbox.clock.advance(60_000);
    await settle();
    expect(farEnd.texts).toEqual([]);
    await lanes.resume('main');
    dispatcher.wake('main');
    await settle();
    expect(byConversation(outbox)).toEqual({ a: ['a1', 'a2'], b: ['b1', 'b2'] });
    expect(lanes.holdOf('main')).toBeUndefined();
  });

  test('is so still after a restart, whatever its credentials are then, until it is resumed', async () => {
    const before = await startOutbox();
    await before.lanes.pause('main');
    await before.send('a', 'a1');
    const since = before.clock.now();
    before.clock.advance(1_000);
    const paused = await restart(before, accountsOf({ main: { fingerprint: 'other' } }));
    paused.dispatcher.start();
    await paused.pass(120_000, 10_000);
    expect(paused.farEnd.texts).toEqual([]);
    expect(paused.lanes.holdOf('main')).toEqual({ cause: 'operator', since, nextProbeAt: undefined });
    await paused.lanes.resume('main');
    const resumed = await restart(paused);
    resumed.dispatcher.start();
    await resumed.settle();
    expect(resumed.farEnd.texts).toEqual(['a1']);
  });

  test('does not grow its messages old', async () => {
    const { farEnd, dispatcher, lanes, send, settle, pass, settled } = await startOutbox({ retryHorizonMs: HOUR_MS });
    farEnd.automatic = () => RETRY;
    dispatcher.start();
    await send('a', 'a1');
    await settle();
    await lanes.pause('main');
    await pass(5 * HOUR_MS);
    await lanes.resume('main');
    dispatcher.wake('main');
    await settle();
    expect(settled).toMatchObject([{ state: 'waiting' }, { state: 'waiting' }]);
    await pass(HOUR_MS);
    expect(settled.at(-1)).toMatchObject({ state: 'dead', reason: 'expired' });
  });

  test('does not grow them old either for a far end that then refuses to register their user', async () => {
    const { farEnd, dispatcher, lanes, send, pass, settled } = await startOutbox({ retryHorizonMs: HOUR_MS });
    farEnd.automatic = () => ({ kind: 'hold', detail: 'registering the user: HTTP 403', isSpent: true });
    dispatcher.start();
    await lanes.pause('main');
    await send('a', 'a1');
    await pass(5 * HOUR_MS);
    await lanes.resume('main');
    dispatcher.wake('main');
    await pass(HOUR_MS / 2, 60_000);
    expect(new Set(settled.map(({ state }) => state))).toEqual(new Set(['waiting']));
    await pass(2 * HOUR_MS, 60_000);
    expect(settled.at(-1)).toMatchObject({ state: 'dead', reason: 'expired' });
  });

  test('does not give up what fails while it is paused', async () => {
    const { farEnd, dispatcher, lanes, send, settle, pass, settled } = await startOutbox({ retryHorizonMs: HOUR_MS });
    farEnd.automatic = undefined;
    dispatcher.start();
    await send('a', 'a1');
    await settle();
    await lanes.pause('main');
    await pass(2 * HOUR_MS);
    farEnd.calls[0]?.answer(RETRY);
    await until('it is settled', () => settled.length > 0);
    expect(settled).toMatchObject([{ state: 'waiting' }]);
  });

  test('and paused again is paused since the first time; resumed again, nothing changes', async () => {
    const { clock, lanes, store } = await startOutbox();
    await lanes.pause('main');
    const since = clock.now();
    clock.advance(1_000);
    await lanes.pause('main');
    expect(lanes.holdOf('main')).toMatchObject({ since });
    expect((await store.look([])).holds).toMatchObject([{ account: 'main', cause: 'operator', since }]);
    await lanes.resume('main');
    await lanes.resume('main');
    expect((await store.look([])).holds).toEqual([]);
  });

  test('is not told so while that is not stored: asked again, it is stored', async () => {
    const { lanes, store } = await startOutbox();
    const hold = store.hold.bind(store);
    store.hold = () => Promise.reject(new Error('disk full'));
    await expect(lanes.pause('main')).rejects.toThrow('disk full');
    store.hold = hold;
    await lanes.pause('main');
    expect((await store.look([])).holds).toMatchObject([{ account: 'main', cause: 'operator' }]);
  });

  test('stays so where its resumption cannot be stored', async () => {
    const { lanes, store } = await startOutbox();
    await lanes.pause('main');
    store.release = () => Promise.reject(new Error('disk full'));
    await expect(lanes.resume('main')).rejects.toThrow('disk full');
    expect(lanes.holdOf('main')).toMatchObject({ cause: 'operator' });
  });
});

describe('refused credentials of an account that an operator has paused', () => {
  test('are not tried; once it is resumed they are, as before', async () => {
    const { clock, farEnd, dispatcher, lanes, pass, settle } = await held();
    const since = clock.now();
    await lanes.pause('main');
    expect(lanes.holdOf('main')).toEqual({ cause: 'operator', since, nextProbeAt: undefined });
    await pass(10 * PROBE_MS, PROBE_MS);
    expect(farEnd.calls).toHaveLength(1);
    await lanes.resume('main');
    dispatcher.wake('main');
    expect(lanes.holdOf('main')).toMatchObject({ cause: 'unauthorized', since });
    await settle();
    expect(farEnd.calls).toHaveLength(2);
    await pass(PROBE_MS - 1, 5_000);
    expect(farEnd.calls).toHaveLength(2);
    await pass(1);
    expect(farEnd.calls).toHaveLength(3);
  });

  test('are not tried early for a short pause', async () => {
    const { farEnd, dispatcher, lanes, pass } = await held();
    await lanes.pause('main');
    await pass(PROBE_MS - 2);
    await lanes.resume('main');
    dispatcher.wake('main');
    await pass(1);
    expect(farEnd.calls).toHaveLength(1);
    await pass(1);
    expect(farEnd.calls).toHaveLength(2);
  });

  test('are found out by what was in flight, and tried once it is resumed', async () => {
    const { farEnd, dispatcher, lanes, send, settle, pass, settled } = await startOutbox();
    farEnd.automatic = undefined;
    dispatcher.start();
    await send('a', 'a1');
    await settle();
    await lanes.pause('main');
    farEnd.calls[0]?.answer(REFUSED);
    await until('it is settled', () => settled.length > 0);
    expect(settled).toMatchObject([{ state: 'waiting', isSpent: false }]);
    expect(lanes.holdOf('main')).toMatchObject({ cause: 'operator' });
    await lanes.resume('main');
    dispatcher.wake('main');
    await settle();
    expect(lanes.holdOf('main')).toMatchObject({ cause: 'unauthorized' });
    expect(farEnd.calls).toHaveLength(1);
    await pass(PROBE_MS);
    expect(farEnd.calls).toHaveLength(2);
  });

  test('that change meanwhile leave it paused, and nothing else', async () => {
    let fingerprint = 'wrong';
    const outbox = await held(() => accountsOf({ main: { fingerprint } })());
    const { farEnd, dispatcher, lanes, pass, settle } = outbox;
    await lanes.pause('main');
    farEnd.calls.length = 0;
    farEnd.automatic = () => DELIVERED;
    fingerprint = 'mended';
    await pass(60_000);
    expect(farEnd.texts).toEqual([]);
    expect(lanes.holdOf('main')).toMatchObject({ cause: 'operator' });
    await lanes.resume('main');
    dispatcher.wake('main');
    await settle();
    expect(byConversation(outbox)).toEqual(IN_ORDER);
  });

  test('are both remembered over a restart', async () => {
    const before = await held();
    await before.lanes.pause('main');
    const outbox = await restart(before);
    const { farEnd, dispatcher, lanes, pass, settle } = outbox;
    farEnd.automatic = () => REFUSED;
    dispatcher.start();
    await pass(120_000, 10_000);
    expect(farEnd.texts).toEqual([]);
    await lanes.resume('main');
    dispatcher.wake('main');
    await settle();
    expect(farEnd.calls).toHaveLength(1);
    expect(lanes.holdOf('main')).toMatchObject({ cause: 'unauthorized' });
  });
});
