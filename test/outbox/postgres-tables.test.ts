import { describe, expect, test } from '@jest/globals';
import { type Clock, systemClock } from '../../src/clock.ts';
import type { PostgresOptions, PostgresStore } from '../../src/outbox/postgres/store.ts';
import { StoreUnavailable } from '../../src/outbox/store.ts';
import { ManualClock, until } from '../support/fixtures.ts';
import { holdCommits, type Kit, networkBefore, openKit } from './postgres-kit.ts';
import { table } from './samples.ts';

const BEAT_MS = 5_000;
const LIVE_MS = 15_000;

/** A process that says that it is there when the test lets it. */
interface Process extends PostgresStore {
  beat(): void;
}

async function start(kit: Kit, id: string, more: Partial<PostgresOptions> = {}): Promise<Process> {
  const pauses = new ManualClock();
  const clock: Clock = { ...systemClock, sleep: (ms, signal) => pauses.sleep(ms, signal) };
  const store = await kit.start({ clock, newToken: () => id, ...more });
  return Object.assign(store, { beat: () => pauses.advance(BEAT_MS) });
}

/** That much later, these processes are there still, and no others. */
async function pass(kit: Kit, ms: number, living: readonly (readonly [string, Process])[]): Promise<void> {
  kit.advance(ms);
  const names = living.map(([name]) => name);
  await until('they are seen', async () => {
    for (const [, store] of living) store.beat();
    const rows = await kit.query<{ seen: number }>(
      `select count(*)::int as seen from haptik_bridge.replicas
      where id = any ($1) and seen_at = (select max(seen_at) from haptik_bridge.replicas)`,
      [names],
    );
    return rows[0]?.seen === names.length;
  });
}

const channelsOf = async ({ tables }: PostgresStore) => [...(await tables.look()).channels].toSorted();
const isBehind = async ({ tables }: PostgresStore) => (await tables.look()).isBehind;
const newest = async ({ tables }: PostgresStore) => (await tables.look()).newest?.version;

describe('routing tables of several processes', () => {
  test('one that has not the newest knows so, until it has', async () => {
    const kit = await openKit();
    const [first, second] = [await start(kit, 'first'), await start(kit, 'second')];
    for (const { tables } of [first, second]) await tables.put(table('v1', ['a', 'b']));
    expect(await Promise.all([isBehind(first), isBehind(second)])).toEqual([false, false]);
    kit.advance(1_000);
    await first.tables.put(table('v2', ['b', 'c']));
    expect(await Promise.all([isBehind(first), isBehind(second)])).toEqual([false, true]);
    expect(await newest(second)).toBe('v2');
    for (const store of [first, second]) expect(await channelsOf(store)).toEqual(['a', 'b', 'c']);
    kit.advance(1_000);
    await second.tables.put(table('v2', ['b', 'c'], 1_000));
    expect(await Promise.all([isBehind(first), isBehind(second)])).toEqual([false, false]);
  });

  test('one that has none yet is behind any', async () => {
    const kit = await openKit();
    const [first, second] = [await start(kit, 'first'), await start(kit, 'second')];
    await first.tables.put(table('v1', [], 60_000));
    expect(await second.tables.look()).toMatchObject({ newest: { version: 'v1' }, isBehind: true });
  });

  test('of two that are equally new, neither is behind', async () => {
    const kit = await openKit();
    const [first, second] = [await start(kit, 'first'), await start(kit, 'second')];
    await first.tables.put(table('v1'));
    await second.tables.put(table('v2'));
    expect([await newest(first), await newest(second)]).toEqual(['v1', 'v2']);
    expect(await Promise.all([isBehind(first), isBehind(second)])).toEqual([false, false]);
  });

  test('one that goes back to an older file has the newest, and the others are behind', async () => {
    const kit = await openKit();
    const all = [await start(kit, 'first'), await start(kit, 'second'), await start(kit, 'third')] as const;
    const [first, second, third] = all;
    for (const version of ['v1', 'v2']) {
      for (const { tables } of all) await tables.put(table(version));
      kit.advance(1_000);
    }
    await first.tables.put(table('v1'));
    expect(await Promise.all(all.map(newest))).toEqual(['v1', 'v1', 'v1']);
    expect(await Promise.all(all.map(isBehind))).toEqual([false, true, true]);
    await second.tables.put(table('v1'));
    expect(await Promise.all(all.map(isBehind))).toEqual([false, false, true]);
    // Started again with the same file, which is as old as it is.
    await second.close();
    const again = await start(kit, 'again');
    await again.tables.put(table('v1', ['chat'], 60_000));
    expect([await isBehind(again), await isBehind(third)]).toEqual([false, true]);
  });

  test('one that starts with an old file is behind, and makes nobody else so', async () => {
    const kit = await openKit();
    const [first, second] = [await start(kit, 'first'), await start(kit, 'second')];
    await first.tables.put(table('v2', [], 60_000));
    await second.tables.put(table('v1', [], 3_600_000));
    expect(await Promise.all([isBehind(first), isBehind(second)])).toEqual([false, true]);
  });

  test('that of a process which is not seen for three beats counts no more; its channels are remembered', async () => {
    const kit = await openKit();
    const [first, second] = [await start(kit, 'first'), await start(kit, 'second')];
    await first.tables.put(table('v1', ['a']));
    kit.advance(1_000);
    await second.tables.put(table('v2', ['b']));
    await pass(kit, LIVE_MS - 1, [['first', first]]);
    expect(await isBehind(first)).toBe(true);
    await pass(kit, 1, [['first', first]]);
    expect([await newest(first), await isBehind(first)]).toEqual(['v1', false]);
    expect(await channelsOf(first)).toEqual(['a', 'b']);
    // It was cut off, and has its table still.
    await pass(kit, 1, [['second', second]]);
    expect([await newest(first), await isBehind(first)]).toEqual(['v2', true]);
  });

  test('that of a process which has stopped counts no more', async () => {
    const kit = await openKit();
    const [first, second] = [await start(kit, 'first'), await start(kit, 'second')];
    await first.tables.put(table('v1', ['a'], 1_000));
    await second.tables.put(table('v2', ['b']));
    await second.close();
    expect(await first.tables.look()).toMatchObject({ newest: { version: 'v1' }, isBehind: false });
    expect(await channelsOf(first)).toEqual(['a', 'b']);
  });

  test('those in force anywhere are not forgotten, however many newer ones there were', async () => {
    const kit = await openKit();
    const [first, second] = [await start(kit, 'first'), await start(kit, 'second')];
    await first.tables.put(table('old', ['old']));
    for (let number = 1; number <= 25; number += 1) {
      kit.advance(1_000);
      await second.tables.put(table(`v${number}`, [`c${number}`]));
    }
    expect(await channelsOf(first)).toEqual([
      ...Array.from({ length: 19 }, (_, index) => `c${index + 7}`).toSorted(),
      'old',
    ]);
  });

  test('one that was in force for long is forgotten no sooner than others that were last in force when it was', async () => {
    const kit = await openKit();
    const [first, second] = [await start(kit, 'first'), await start(kit, 'second')];
    const many = async (from: number, to: number) => {
      for (let number = from; number <= to; number += 1) await second.tables.put(table(`v${number}`, [`c${number}`]));
    };
    await first.tables.put(table('old', ['old'], 3_600_000));
    await many(1, 25);
    await first.tables.put(table('v25', ['c25']));
    await many(26, 43);
    expect(await channelsOf(first)).toContain('old');
    await many(44, 45);
    expect(await channelsOf(first)).not.toContain('old');
  });

  test('all that are in force are remembered, also where those are more than twenty', async () => {
    const kit = await openKit();
    const stores = await Promise.all(Array.from({ length: 22 }, (_, index) => start(kit, `p${index}`)));
    for (const [index, { tables }] of stores.entries()) await tables.put(table(`v${index}`, [`c${index}`]));
    const [first] = stores;
    expect((await first?.tables.look())?.channels.size).toBe(22);
  });

  test('put by many at once are all there, also while old ones are forgotten', async () => {
    const kit = await openKit();
    const names = Array.from({ length: 4 }, (_, index) => `p${index}`);
    const stores = await Promise.all(names.map((name) => start(kit, name)));
    for (let round = 0; round < 30; round += 1) {
      kit.advance(1_000);
      // The same by all, and one of each one's own.
      await Promise.all(
        stores.flatMap(({ tables }, index) => [
          tables.put(table(`own${round}-${index}`, [`own${round}-${index}`])),
          tables.put(table(`v${round}`, [`c${round}`])),
        ]),
      );
    }
    for (const store of stores) {
      expect(await store.tables.look()).toMatchObject({ newest: { version: 'v29' }, isBehind: false });
      expect(await channelsOf(store)).toContain('c29');
    }
    expect(await kit.query('select 1 from haptik_bridge.tables')).toHaveLength(20);
  });

  test('one is not forgotten that comes in force again just then', async () => {
    const kit = await openKit();
    const [first, second] = [await start(kit, 'first'), await start(kit, 'second')];
    await first.tables.put(table('old', ['old'], 60_000));
    for (let number = 1; number <= 19; number += 1) await first.tables.put(table(`v${number}`, [`c${number}`], 1_000));
    const open = await holdCommits(kit, 'tables');
    const again = second.tables.put(table('old', ['old'], 60_000));
    await kit.waiting(1);
    const next = first.tables.put(table('v20', ['c20']));
    await kit.waiting(2);
    await open();
    await Promise.all([again, next]);
    expect(await channelsOf(second)).toEqual(
      ['old', ...Array.from({ length: 19 }, (_, index) => `c${index + 2}`)].toSorted(),
    );
  });

  test('a process of the version before, which says nothing of its table, is no reason to be behind', async () => {
    const kit = await openKit();
    const store = await start(kit, 'first');
    await kit.query(
      `insert into haptik_bridge.replicas (id, joined_at, seen_at) select 'before', seen_at, seen_at
      from haptik_bridge.replicas`,
    );
    await store.tables.put(table('v1'));
    expect(await store.tables.look()).toMatchObject({ newest: { version: 'v1' }, isBehind: false });
    expect((await store.look([])).share.of).toBe(2);
  });
});

describe('a routing table that could not be told of', () => {
  async function cutOff() {
    const kit = await openKit();
    const network = await networkBefore(kit.url);
    const other = await start(kit, 'other');
    const store = await start(kit, 'cut-off', { url: network.via(kit.url) });
    for (const { tables } of [store, other]) await tables.put(table('v1', ['a']));
    kit.advance(1_000);
    network.cut();
    await expect(store.tables.put(table('v2', ['b']))).rejects.toBeInstanceOf(StoreUnavailable);
    await expect(store.tables.look()).rejects.toBeInstanceOf(StoreUnavailable);
    expect(await isBehind(other)).toBe(false);
    return { kit, network, other, store };
  }

  test('is told of with the next beat', async () => {
    const { network, other, store } = await cutOff();
    network.heal();
    await until('the other knows', async () => {
      store.beat();
      return isBehind(other);
    });
    expect(await channelsOf(other)).toEqual(['a', 'b']);
    expect(await store.tables.look()).toMatchObject({ newest: { version: 'v2' }, isBehind: false });
  });

  test('is told of before its process looks at the others’', async () => {
    const { network, other, store } = await cutOff();
    network.heal();
    expect(await store.tables.look()).toMatchObject({ newest: { version: 'v2' }, isBehind: false });
    expect(await isBehind(other)).toBe(true);
  });

  test('is told of with the one that comes after it', async () => {
    const { network, other, store } = await cutOff();
    network.heal();
    await store.tables.put(table('v3', ['c']));
    expect(await newest(other)).toBe('v3');
    expect(await channelsOf(other)).toEqual(['a', 'b', 'c']);
  });
});

test.each(['replicas', 'tables'])('what is lost of %s is said again with the next beat', async (lost) => {
  const kit = await openKit();
  const [first, second] = [await start(kit, 'first'), await start(kit, 'second')];
  await second.tables.put(table('v1', ['a'], 60_000));
  await first.tables.put(table('v2', ['b']));
  expect(await isBehind(second)).toBe(true);
  await kit.query(`delete from haptik_bridge.${lost}`);
  expect((await second.tables.look()).newest?.version).not.toBe('v2');
  await until('it is known again', async () => {
    for (const store of [first, second]) store.beat();
    return (await isBehind(second)) && (await channelsOf(second)).length === 2;
  });
  expect(await channelsOf(second)).toEqual(['a', 'b']);
});
