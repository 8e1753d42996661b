import { describe, expect, test } from '@jest/globals';
import type { Tables } from '../../src/outbox/tables.ts';
import type { Opened } from './contract.ts';
import { table } from './samples.ts';

const YEAR_MS = 365 * 24 * 3_600_000;

/** What is known of routing tables by a process that has its store for itself, whatever the store is made of. */
export function tablesContract(name: string, open: () => Promise<Opened>): void {
  const channelsOf = async (tables: Tables) => [...(await tables.look()).channels].toSorted();

  /** v1, v2, … each with a channel of its own, a second apart. */
  async function putMany({ tables, clock }: Opened, from: number, to: number): Promise<void> {
    for (let number = from; number <= to; number += 1) {
      clock.advance(1_000);
      await tables.put(table(`v${number}`, [`c${number}`]));
    }
  }
  const numbered = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, index) => `c${from + index}`).toSorted();

  describe(`${name}: routing tables`, () => {
    test('are none before the first is in force', async () => {
      const { tables } = await open();
      expect(await tables.look()).toEqual({ newest: undefined, isBehind: false, channels: new Set() });
    });

    test('know the one in force, since when it is, and its channels', async () => {
      const { tables, clock } = await open();
      await tables.put(table('v1', ['chat', 'sms'], 60_000));
      const newest = { version: 'v1', since: clock.now() - 60_000 };
      expect(await tables.look()).toEqual({ newest, isBehind: false, channels: new Set(['chat', 'sms']) });
    });

    test('may have no channels', async () => {
      const { tables, clock } = await open();
      await tables.put(table('v1', []));
      const newest = { version: 'v1', since: clock.now() };
      expect(await tables.look()).toEqual({ newest, isBehind: false, channels: new Set() });
    });

    test('may have a thousand channels of the longest names', async () => {
      const { tables } = await open();
      const channels = Array.from({ length: 1_000 }, (_, index) => `${index}`.padStart(64, 'c'));
      await tables.put(table('v1', channels));
      expect(await channelsOf(tables)).toEqual(channels.toSorted());
      await tables.put(table('v2', channels.slice(1)));
      expect(await channelsOf(tables)).toEqual(channels.toSorted());
    });

    test('are as new as the newest that was said of them', async () => {
      const { tables, clock } = await open();
      const since = async () => (await tables.look()).newest?.since;
      const start = clock.now();
      await tables.put(table('v1', [], 5_000));
      await tables.put(table('v1', [], 9_000));
      expect(await since()).toBe(start - 5_000);
      clock.advance(1_000);
      await tables.put(table('v1', [], 6_000));
      expect(await since()).toBe(start - 5_000);
      await tables.put(table('v1', [], 0.4));
      expect(await since()).toBe(start + 1_000);
    });

    test('are of now where their file says that it is of a time to come', async () => {
      const { tables, clock } = await open();
      await tables.put(table('v1', [], -60_000));
      expect((await tables.look()).newest?.since).toBe(clock.now());
    });

    test('are followed by the next, and channels that it lacks are known still', async () => {
      const it = await open();
      await putMany(it, 1, 2);
      const newest = { version: 'v2', since: it.clock.now() };
      expect(await it.tables.look()).toEqual({ newest, isBehind: false, channels: new Set(['c1', 'c2']) });
    });

    test('are followed by one of before, which is the newest then', async () => {
      const it = await open();
      await putMany(it, 1, 2);
      it.clock.advance(1_000);
      await it.tables.put(table('v1', ['c1']));
      expect(await it.tables.look()).toMatchObject({
        newest: { version: 'v1', since: it.clock.now() },
        isBehind: false,
      });
    });

    test('are remembered over a restart, with their channels and their age', async () => {
      const it = await open();
      const start = it.clock.now();
      await putMany(it, 1, 2);
      const { tables } = await it.reopen();
      expect(await channelsOf(tables)).toEqual(['c1', 'c2']);
      it.clock.advance(60_000);
      await tables.put(table('v2', ['c2'], 600_000));
      expect(await tables.look()).toMatchObject({ newest: { version: 'v2', since: start + 2_000 }, isBehind: false });
      expect(await channelsOf(tables)).toEqual(['c1', 'c2']);
    });

    test('are forgotten when twenty newer ones were in force', async () => {
      const it = await open();
      await putMany(it, 1, 20);
      expect(await channelsOf(it.tables)).toEqual(numbered(1, 20));
      await putMany(it, 21, 21);
      expect(await channelsOf(it.tables)).toEqual(numbered(2, 21));
      const { tables } = await it.reopen();
      expect(await channelsOf(tables)).toEqual(numbered(2, 21));
    });

    test('are remembered anew when they are in force again', async () => {
      const it = await open();
      await putMany(it, 1, 20);
      await putMany(it, 1, 1);
      await putMany(it, 21, 21);
      expect(await channelsOf(it.tables)).toEqual(['c1', ...numbered(3, 21)].toSorted());
    });

    test('are not forgotten while they are in force, nor when they just were, however old their file is', async () => {
      const it = await open();
      await putMany(it, 1, 20);
      await it.tables.put(table('old', ['old'], 1_000_000));
      expect(await channelsOf(it.tables)).toEqual([...numbered(2, 20), 'old']);
      await it.tables.put(table('old', ['old'], 1_000_000));
      expect(await it.tables.look()).toMatchObject({ newest: { version: 'old' }, isBehind: false });
      await putMany(it, 21, 39);
      expect(await channelsOf(it.tables)).toEqual([...numbered(21, 39), 'old']);
      await putMany(it, 40, 40);
      expect(await channelsOf(it.tables)).toEqual(numbered(21, 40));
    });

    test('are forgotten in the order in which they came in force, also when the clock is set back', async () => {
      const it = await open();
      await putMany(it, 1, 20);
      it.clock.advance(-YEAR_MS);
      await putMany(it, 21, 22);
      expect(await channelsOf(it.tables)).toEqual(numbered(3, 22));
      const again = await it.reopen();
      await putMany({ ...it, ...again }, 23, 23);
      expect(await channelsOf(again.tables)).toEqual(numbered(4, 23));
    });

    test('have channels that are put together once, not for each who asks', async () => {
      const { tables } = await open();
      await tables.put(table('v1', ['a']));
      const { channels } = await tables.look();
      expect((await tables.look()).channels).toBe(channels);
      await tables.put(table('v1', ['a']));
      await tables.put(table('v2', ['b']));
      expect(await channelsOf(tables)).toEqual(['a', 'b']);
    });
  });
}
