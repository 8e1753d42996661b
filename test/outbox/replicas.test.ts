import { describe, expect, test } from '@jest/globals';
import type { Outcome } from '../../src/message.ts';
import type { AccountLimits } from '../../src/outbox/lanes.ts';
import { PostgresStore } from '../../src/outbox/postgres/store.ts';
import { ManualClock, turns, until } from '../support/fixtures.ts';
import { accountsOf, DELIVERED, startOutbox } from '../support/outbox.ts';
import { testDatabase } from '../support/postgres.ts';

const HOLD: Outcome = { kind: 'hold', detail: 'HTTP 401', isSpent: false };

/** Ids are the store's, which they share. */
const send = (replica: Replica | undefined, authId: string, text: string) => replica?.send(authId, text, { id: text });

type Replica = Awaited<ReturnType<typeof startOutbox>>;

/** Whole outboxes that share one database, and the test's clock; the second knows of the first, and so on. */
async function startReplicas(count: number, limits: Partial<AccountLimits> = {}) {
  const { url, query } = await testDatabase();
  const clock = new ManualClock();
  let tokens = 0;
  const start = () =>
    startOutbox({
      clock,
      accounts: accountsOf({ main: limits }),
      open: (options) =>
        PostgresStore.open({
          ...options,
          url,
          now: () => `${clock.elapsed()}::bigint`,
          newToken: () => `token-${tokens++}`,
          maxBacklog: 1_000_000,
          eraseAtOnce: false,
        }),
    });
  const replicas: Replica[] = [];
  for (let index = 0; index < count; index += 1) {
    replicas.push(await start());
    clock.advance(1);
  }
  /** Lets time pass, with all that comes of it at real databases. */
  const pass = async (ms: number, step = 250) => {
    for (let passed = 0; passed < ms; passed += step) {
      clock.advance(step);
      let quiet = 0;
      await until('the database is at rest', async () => {
        await turns(25);
        const [row] = await query<{ busy: number }>(
          "select count(*)::int as busy from pg_stat_activity where datname = current_database() and state <> 'idle' and pid <> pg_backend_pid()",
        );
        quiet = row?.busy === 0 ? quiet + 1 : 0;
        return quiet === 4;
      });
    }
  };
  /** The same, until something holds: how soon a busy machine gets round to it is not what is tested. */
  const passUntil = async (what: string, holds: () => boolean, withinMs: number) => {
    for (let passed = 0; !holds(); passed += 500) {
      if (passed > withinMs) throw new Error(`not within ${withinMs} ms of the test's clock: ${what}`);
      await pass(500, 500);
    }
  };
  const [first, second] = replicas;
  if (!first || !second) throw new Error('at least two');
  return { clock, start, pass, passUntil, first, second, replicas, query };
}

describe('a hold', () => {
  test('for refused credentials is everybody’s, and is probed by one replica at a time', async () => {
    const { passUntil, first, second } = await startReplicas(2);
    for (const { farEnd } of [first, second]) farEnd.automatic = () => HOLD;
    const calls = () => [...first.farEnd.calls, ...second.farEnd.calls].sort((a, b) => a.at - b.at);
    await send(first, 'a', 'a1');
    first.dispatcher.start();
    second.dispatcher.start();
    await until('the first is refused', () => calls().length === 1);
    const areHeld = () => [first, second].map(({ lanes }) => lanes.of('main').isUnauthorized);
    await passUntil('both know', () => areHeld().every(Boolean), 10_000);
    await send(second, 'b', 'b1');
    await passUntil('it has been tried twice more', () => calls().length === 3, 90_000);
    for (const [index, { at }] of calls().slice(1).entries()) {
      expect(at - (calls()[index]?.at ?? 0)).toBeGreaterThanOrEqual(30_000);
    }
    for (const { farEnd } of [first, second]) farEnd.automatic = () => DELIVERED;
    const delivered = () =>
      new Set(
        calls()
          .slice(3)
          .map(({ text }) => text),
      );
    await passUntil('all is delivered', () => delivered().size === 2, 60_000);
    await passUntil('neither is held', () => !areHeld().some(Boolean), 10_000);
  });

  test('of an operator is everybody’s, and so is its end', async () => {
    const { pass, passUntil, first, second } = await startReplicas(2);
    first.dispatcher.start();
    second.dispatcher.start();
    const texts = () => [...first.farEnd.texts, ...second.farEnd.texts];
    await first.lanes.pause('main');
    await passUntil('the other knows', () => second.lanes.holdOf('main')?.cause === 'operator', 10_000);
    await send(second, 'a', 'a1');
    await pass(3_000);
    expect(texts()).toEqual([]);
    await second.lanes.resume('main');
    await passUntil('the first knows', () => first.lanes.holdOf('main') === undefined, 10_000);
    await passUntil('it is sent', () => texts().length > 0, 10_000);
    expect(texts()).toEqual(['a1']);
  });
});

describe('a pause', () => {
  test('can be ended by a replica that has not heard of it yet', async () => {
    const { pass, first, second } = await startReplicas(2);
    first.dispatcher.start();
    await first.lanes.pause('main');
    await second.lanes.resume('main');
    await pass(1_500);
    expect(first.lanes.holdOf('main')).toBeUndefined();
  });
});

describe('an account’s limits', () => {
  const inFlight = (replicas: readonly Replica[]) => replicas.map(({ lanes }) => lanes.of('main').inFlight);

  test('are divided among those that are there, and come back from those that are gone', async () => {
    const { pass, first, second, replicas } = await startReplicas(2, { maxConcurrency: 5 });
    for (const { farEnd, dispatcher } of replicas) {
      farEnd.automatic = undefined;
      dispatcher.start();
    }
    await pass(3_000);
    for (let index = 0; index < 20; index += 1) {
      await send(replicas[index % 2], `user${index}`, `m${index}`);
    }
    await pass(2_000);
    expect(inFlight(replicas)).toEqual([3, 2]);
    const stopped = second.dispatcher.stop(0);
    await pass(500);
    await stopped;
    await second.store.close();
    await pass(2_000);
    expect(inFlight([first])).toEqual([5]);
  });

  test('are not exceeded while one joins', async () => {
    const { pass, first, start } = await startReplicas(2, { maxConcurrency: 2 }).then(async (all) => {
      await all.second.store.close();
      return all;
    });
    first.farEnd.automatic = undefined;
    first.dispatcher.start();
    await pass(1_500);
    for (let index = 0; index < 6; index += 1) await send(first, `user${index}`, `m${index}`);
    await pass(500);
    const joined = await start();
    joined.farEnd.automatic = undefined;
    joined.dispatcher.start();
    await pass(500);
    expect(inFlight([first, joined])).toEqual([2, 0]);
    await pass(3_000);
    // What is in flight is not broken off: the share comes with the next.
    first.farEnd.calls[0]?.answer(DELIVERED);
    await pass(2_000);
    expect(inFlight([first, joined])).toEqual([1, 1]);
  });
});

describe('a lease', () => {
  test('that its holder cannot keep ends its attempt before others may take the conversation', async () => {
    const { pass, first, second, clock } = await startReplicas(2);
    for (const { farEnd, dispatcher } of [first, second]) {
      farEnd.automatic = undefined;
      dispatcher.start();
    }
    await send(first, 'a', 'a1');
    await until('it is sent', () => first.farEnd.calls.length === 1);
    const startedAt = clock.elapsed();
    // The first is alive, and its way to the database is cut.
    first.store.renew = () => Promise.reject(new Error('no way'));
    first.store.settle = () => Promise.reject(new Error('no way'));
    await pass(13_500);
    expect(second.farEnd.calls).toEqual([]);
    await pass(500);
    expect(first.farEnd.calls[0]?.isOver).toBe(true);
    expect(clock.elapsed() - startedAt).toBeLessThanOrEqual(14_000);
    await pass(2_500);
    expect(second.farEnd.texts).toEqual(['a1']);
    expect(second.lines).toContainEqual(
      expect.objectContaining({ message: expect.stringMatching(/^possible repeat/) }),
    );
  });

  test('is given back when its holder stops', async () => {
    const { pass, first, second } = await startReplicas(2);
    first.farEnd.automatic = undefined;
    first.dispatcher.start();
    await send(first, 'a', 'a1');
    await send(first, 'a', 'a2');
    await until('it is sent', () => first.farEnd.calls.length === 1);
    const stopped = first.dispatcher.stop(10_000);
    first.farEnd.calls[0]?.answer(DELIVERED);
    await stopped;
    second.dispatcher.start();
    await pass(1_000);
    expect(second.farEnd.texts).toEqual(['a2']);
  });
});

test('what a clock that was set back had made due in hours is due now; what is leased is left to its holder', async () => {
  const { pass, first, second, clock, query } = await startReplicas(2);
  first.farEnd.automatic = undefined;
  first.dispatcher.start();
  await send(first, 'leased', 'one');
  await until('it is sent', () => first.farEnd.calls.length === 1);
  await first.lanes.pause('main');
  await send(second, 'asleep', 'two');
  await first.lanes.resume('main');
  await query('update haptik_bridge.conversations set ready_at = $1', [clock.elapsed() + 7_200_000]);
  second.dispatcher.start();
  await pass(8_000, 500);
  const texts = [...first.farEnd.texts, ...second.farEnd.texts];
  expect(texts.toSorted()).toEqual(['one', 'two']);
});

test('a replica without a free slot tells the others', async () => {
  const { pass, first, second } = await startReplicas(2, { maxConcurrency: 1 });
  const heard: string[] = [];
  first.store.listen((account) => heard.push(account));
  first.dispatcher.start();
  second.dispatcher.start();
  await pass(3_000);
  let sent = 0;
  await until('it is heard', async () => {
    // Listening begins when it can.
    await send(second, 'a', `a${sent++}`);
    return heard.length > 0;
  });
  expect(new Set(heard)).toEqual(new Set(['main']));
});
