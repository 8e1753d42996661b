import { describe, expect, test } from '@jest/globals';
import { conversationOf, type Outcome, type Placement } from '../../src/message.ts';
import type { Decision, MessageFilter, Routing } from '../../src/outbox/records.ts';
import { DELIVERED, HOUR_MS, startOutbox } from '../support/outbox.ts';
import { delivery, EVERY_ACCOUNT } from './samples.ts';

const RETRY = { kind: 'retry', detail: 'HTTP 503' } as const;
const UNKNOWN: Outcome = { kind: 'unknown', detail: 'reset' };
const DEAD: Outcome = { kind: 'dead', reason: 'refused', detail: 'HTTP 400' };
const NO_ROUTE: Placement = { route: null, dead: 'unroutable', detail: 'no route fits' };
const DISCARD: Decision = { kind: 'discard', reason: 'spam' };
const CONFIRM: Decision = { kind: 'confirm' };
const ALL: MessageFilter = { state: 'dead' };
const GROUP = conversationOf(delivery('a'));
/** More than are discarded in one commit. */
const MANY = 120;

type Outbox = Awaited<ReturnType<typeof startOutbox>>;

function routing(placement: Placement, reroute = false): Routing {
  return { table: { version: 'v2', accounts: EVERY_ACCOUNT, place: () => placement }, reroute };
}

/** One message is in flight until the test answers it. */
async function inFlight(concurrency?: number) {
  const outbox = await startOutbox(concurrency === undefined ? {} : { concurrency });
  outbox.farEnd.automatic = undefined;
  outbox.dispatcher.start();
  const id = await outbox.send('a', 'one');
  await outbox.attempts(1);
  const answer = (outcome: Outcome) => outbox.farEnd.calls[0]?.answer(outcome);
  return { ...outbox, id, answer };
}

/** Many messages of one conversation are dead letters, and whatever is sent from now on arrives. */
async function manyDead() {
  const outbox = await startOutbox();
  outbox.farEnd.automatic = () => DEAD;
  outbox.dispatcher.start();
  const ids: string[] = [];
  for (let index = 0; index < MANY; index += 1) ids.push(await outbox.send('a', String(index)));
  await outbox.settle();
  outbox.farEnd.automatic = () => DELIVERED;
  outbox.farEnd.calls.length = 0;
  return { ...outbox, ids };
}

async function countOf({ store }: Outbox, state: MessageFilter['state']): Promise<number> {
  return (await store.records.list({ state }, { after: undefined, limit: 1_000 })).items.length;
}

describe('what a person decides', () => {
  test('after a day on which the conversation waited does not cost what waited behind at its first failure', async () => {
    const { farEnd, dispatcher, send, settle, pass, store } = await startOutbox();
    farEnd.automatic = () => UNKNOWN;
    dispatcher.start();
    const first = await send('a', 'one', { onUnknown: 'stop' });
    await settle();
    const second = await send('a', 'two');
    await pass(25 * HOUR_MS, HOUR_MS);
    farEnd.automatic = () => RETRY;
    await store.records.decide(first, CONFIRM);
    dispatcher.wake('main');
    await settle();
    expect(farEnd.texts).toEqual(['one', 'two']);
    expect(await store.records.get(second)).toMatchObject({ state: 'waiting', attempts: 1 });
  });

  test('to reroute in vain makes it a message that no route fits: a plain redrive then goes by the table', async () => {
    const { farEnd, dispatcher, send, settle, store } = await startOutbox();
    farEnd.automatic = () => DEAD;
    dispatcher.start();
    const id = await send('a', 'one');
    await settle();
    const redrive = (by: Routing) => store.records.decide(id, { kind: 'redrive', routing: by });
    expect(await redrive(routing(NO_ROUTE, true))).toBe('unplaced');
    expect(await redrive(routing({ route: 'routes[0]', delivery: delivery('b') }))).toBe('done');
    dispatcher.wake('main');
    await settle();
    expect(farEnd.calls.map(({ authId }) => authId)).toEqual(['a', 'b']);
  });

  test('to discard what fails lets the next one go at once, without waiting for the next try', async () => {
    const { farEnd, dispatcher, send, settle, store } = await startOutbox();
    farEnd.automatic = () => ({ ...RETRY, retryAfterMs: HOUR_MS });
    dispatcher.start();
    const id = await send('a', 'poison');
    await send('a', 'next');
    await settle();
    expect(await store.records.decide(id, DISCARD)).toBe('done');
    farEnd.automatic = () => DELIVERED;
    dispatcher.wake('main');
    await settle();
    expect(farEnd.texts).toEqual(['poison', 'next']);
  });

  test('to discard is refused for what is in flight, though the clock has jumped past its lease', async () => {
    const { clock, store, id, answer, settle, send, farEnd } = await inFlight();
    clock.jump(20_000);
    expect(await store.records.decide(id, DISCARD)).toBe('leased');
    await send('a', 'two');
    await settle();
    expect(farEnd.texts).toEqual(['one']);
    answer(DELIVERED);
    await settle();
    expect(await store.records.get(id)).toMatchObject({ state: 'delivered' });
  });

  test('to discard is refused for what is in flight, though its lease should be over while the bridge stops', async () => {
    const { store, id, answer, settle, pass, dispatcher } = await inFlight();
    const stopped = dispatcher.stop(60_000);
    await settle();
    await pass(20_000, 1_000);
    expect(await store.records.decide(id, DISCARD)).toBe('leased');
    answer(DELIVERED);
    await stopped;
    expect(await store.records.get(id)).toMatchObject({ state: 'delivered' });
  });
});

describe('two who decide at once', () => {
  test('to discard and to redrive: each message is either, and what is redriven is delivered', async () => {
    const outbox = await manyDead();
    const { store, dispatcher, settle, farEnd } = outbox;
    const discarding = store.records.discard(GROUP, ALL, 'spam');
    const { redriven } = await store.records.redrive(GROUP, ALL, routing(NO_ROUTE));
    dispatcher.wake('main');
    const discarded = await discarding;
    await settle();
    expect(discarded + redriven).toBe(MANY);
    expect(farEnd.calls).toHaveLength(redriven);
    expect([await countOf(outbox, 'discarded'), await countOf(outbox, 'delivered')]).toEqual([discarded, redriven]);
  });

  test('to discard and to redrive leave what waits counted right', async () => {
    const outbox = await manyDead();
    const { store, lanes } = outbox;
    await lanes.pause('main');
    const discarding = store.records.discard(GROUP, ALL, 'spam');
    await store.records.redrive(GROUP, ALL, routing(NO_ROUTE));
    await discarding;
    const waiting = await countOf(outbox, 'waiting');
    expect(waiting).toBeGreaterThan(0);
    expect((await store.records.survey())[0]?.waiting).toBe(waiting);
    expect((await store.recount(0, 100)).mended).toEqual([]);
  });

  test('to discard the same: each message is discarded once, and both are told of theirs', async () => {
    const outbox = await manyDead();
    const { records } = outbox.store;
    const counts = await Promise.all([records.discard(GROUP, ALL, 'first'), records.discard(GROUP, ALL, 'second')]);
    const reasons = async (reason: string) =>
      (await records.list({ reason }, { after: undefined, limit: 1_000 })).items.length;
    expect(counts).toEqual([await reasons('first'), await reasons('second')]);
    expect(await countOf(outbox, 'discarded')).toBe(MANY);
  });

  test('to discard all and to confirm one: what is confirmed stays so', async () => {
    const { store, ids } = await manyDead();
    const last = ids.at(-1) ?? '';
    const discarding = store.records.discard(GROUP, ALL, 'spam');
    expect(await store.records.decide(last, CONFIRM)).toBe('done');
    expect(await discarding).toBe(MANY - 1);
    expect(await store.records.get(last)).toMatchObject({ state: 'delivered' });
  });
});

describe('a pause', () => {
  test('holds while an outcome cannot be written: nothing is sent when it can again', async () => {
    const { farEnd, dispatcher, lanes, send, attempts, settle, pass, store, settled } = await startOutbox();
    for (const text of ['one', 'two']) await send('a', text);
    farEnd.automatic = undefined;
    dispatcher.start();
    await attempts(1);
    const write = store.settle.bind(store);
    store.settle = () => Promise.reject(new Error('disk full'));
    farEnd.calls[0]?.answer(DELIVERED);
    await settle();
    await lanes.pause('main');
    store.settle = write;
    await pass(2_000, 500);
    expect(settled).toMatchObject([{ state: 'delivered' }]);
    expect(farEnd.texts).toEqual(['one']);
  });
});

describe('room that is won back', () => {
  test('is used at once by what waits', async () => {
    const { clock, farEnd, dispatcher, send, settle, lanes } = await startOutbox();
    farEnd.automatic = undefined;
    for (const authId of ['a', 'b', 'c', 'd']) for (const n of [1, 2, 3]) await send(authId, `${authId}${n}`);
    const lane = lanes.of('main');
    lane.slowDown(clock.elapsed(), clock.elapsed());
    dispatcher.start();
    await settle();
    expect(lane.inFlight).toBe(1);
    farEnd.calls[0]?.answer(DELIVERED);
    await settle();
    expect(lane.inFlight).toBe(2);
  });
});

describe('a clock that jumps far ahead', () => {
  test('during an attempt does not put to sleep what has to be tried again', async () => {
    const { clock, farEnd, answer, settle, pass } = await inFlight();
    clock.jump(8 * HOUR_MS);
    answer(RETRY);
    await settle();
    await pass(1_000);
    expect(farEnd.texts).toEqual(['one', 'one']);
  });

  test('does not put to sleep what is accepted while its account is full', async () => {
    const { clock, farEnd, answer, settle, send } = await inFlight(1);
    clock.jump(8 * HOUR_MS);
    await send('b', 'two');
    answer(DELIVERED);
    await settle();
    expect(farEnd.texts).toEqual(['one', 'two']);
  });
});
