import { describe, expect, test } from '@jest/globals';
import { CommitUnknown } from '../../src/outbox/postgres/faults.ts';
import { StoreUnavailable } from '../../src/outbox/store.ts';
import { onTestEnd, until } from '../support/fixtures.ts';
import { startServer } from '../support/server.ts';
import { startStandby } from '../support/standby.ts';
import { claimAll, KEEP, LEASE_MS, one } from './contract.ts';
import { holdCommits, networkBefore, openKit } from './postgres-kit.ts';
import { AGAIN, DELIVERED, entry, UNKNOWN } from './samples.ts';

/** A process whose network to the database is the test's, and another one with a network that works. */
async function open() {
  const kit = await openKit();
  const proxy = await networkBefore(kit.url);
  const store = await kit.start({ url: proxy.via(kit.url) });
  const other = await kit.start();
  /** The commit of `work` is made, and its answer is lost. */
  const losing = async <T>(table: 'messages' | 'conversations', work: () => Promise<T>): Promise<unknown> => {
    const openGate = await holdCommits(kit, table);
    const failed = work().then(
      () => undefined,
      (error: unknown) => error,
    );
    await kit.waiting(1);
    proxy.dropAnswers();
    await openGate();
    await until('it is committed', async () => {
      const rows = await kit.query(
        "select 1 from pg_stat_activity where datname = current_database() and state = 'active' and pid <> pg_backend_pid()",
      );
      return rows.length === 0;
    });
    proxy.heal();
    return failed;
  };
  return { kit, proxy, store, other, losing };
}

/** By what a repeat is known. */
const KNOWN = [
  ['by an id', { providerId: 'p' }],
  ['within a window', { repeat: { key: 'f', withinMs: 60_000 } }],
] as const;

describe('a commit whose answer was lost', () => {
  test.each(KNOWN)(
    'of an accept: it is refused; the repeat %s is known for one, and the message is delivered, not in doubt',
    async (_name, known) => {
      const { store, other, losing } = await open();
      const lease = { token: 't', leaseMs: LEASE_MS };
      const message = entry('m1', 'a', { ...known, onUnknown: 'stop', lease });
      expect(await losing('messages', () => store.accept([message]))).toBeInstanceOf(CommitUnknown);
      expect(await store.accept([{ ...message, id: 'm2' }])).toMatchObject([{ id: 'm1', isDuplicate: true }]);
      await until('nobody sleeps over it', async () => {
        const [claim] = await claimAll(other);
        if (claim) expect(claim).toMatchObject({ isInDoubt: false, message: { id: 'm1', attempts: 0 } });
        return claim !== undefined;
      });
    },
  );

  test('of a claim: the conversation is given back, not in doubt', async () => {
    const { store, other, losing } = await open();
    await store.accept([entry('m1', 'a', { onUnknown: 'stop' })]);
    expect(await losing('conversations', () => claimAll(store))).toBeInstanceOf(CommitUnknown);
    await until('it is claimed again', async () => {
      const [claim] = await claimAll(other);
      if (claim) expect(claim).toMatchObject({ isInDoubt: false, message: { id: 'm1' } });
      return claim !== undefined;
    });
  });

  test('of a claim, and that comes only later: the conversation is given back all the same', async () => {
    const { kit, proxy, store, other } = await open();
    await store.accept([entry('m1', 'a', { onUnknown: 'stop' })]);
    const openGate = await holdCommits(kit, 'conversations');
    const claimed = claimAll(store).catch((error: unknown) => error);
    await kit.waiting(1);
    // Only what is under way is broken off.
    proxy.cut();
    proxy.heal();
    expect(await claimed).toBeInstanceOf(CommitUnknown);
    // The store has had the time to give it back, and nothing to give back yet.
    for (let look = 0; look < 20; look += 1) await store.look(['main']);
    await openGate();
    await until(
      'it is claimed again',
      async () => {
        const [claim] = await claimAll(other);
        if (claim) expect(claim).toMatchObject({ isInDoubt: false, message: { id: 'm1' } });
        return claim !== undefined;
      },
      5_000,
    );
  });

  test.each([
    ['that keeps the lease', DELIVERED, KEEP],
    ['that ends it', DELIVERED, undefined],
    ['of a message to be tried again', AGAIN, undefined],
    ['of a message that stops its conversation', UNKNOWN, undefined],
    ['without an attempt', { ...UNKNOWN, attempt: undefined }, undefined],
  ])('of a settle %s: it is repeated, and counts once', async (_name, settlement, keep) => {
    const { kit, store, losing } = await open();
    await store.accept([entry('m1', 'a'), entry('m2', 'a')]);
    const claim = await one(store);
    expect(await losing('messages', () => store.settle(claim, settlement, keep))).toBeInstanceOf(CommitUnknown);
    const again = await store.settle(claim, settlement, keep);
    if (keep) expect(again).toMatchObject({ next: { isInDoubt: false, message: { id: 'm2' } } });
    else expect(again).toMatchObject({ next: undefined });
    const rows = await kit.query('select state, attempts from haptik_bridge.messages order by seq');
    expect(rows).toMatchObject([
      { state: settlement.state, attempts: 1 },
      { state: 'waiting', attempts: 0 },
    ]);
    expect(await store.recount(undefined, 10)).toEqual({ next: undefined, mended: [] });
  });
});

/** The database, a standby without which nothing is committed, and a store. */
async function openWithStandby() {
  const primary = await startServer();
  onTestEnd(() => primary.close());
  const standby = await startStandby(primary);
  onTestEnd(() => standby.close());
  return { primary, standby };
}

describe('a standby that confirms each commit', () => {
  test.each(KNOWN)(
    'and is gone: nothing is acknowledged, not even what somebody stops waiting for, nor a repeat of it %s',
    async (_name, known) => {
      const { primary, standby } = await openWithStandby();
      const kit = await openKit(primary);
      // Warnings are off, unless somebody asks for them.
      await kit.query("alter database postgres set client_min_messages = 'error'");
      const store = await kit.start();
      await standby.stop();
      const accepted = store.accept([entry('m1', 'a', known)]).catch((error: unknown) => error);
      await until('its commit waits and is cancelled', async () => {
        const rows = await kit.query(
          "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep' and datname = current_database()",
        );
        return rows.length > 0;
      });
      expect(await accepted).toBeInstanceOf(CommitUnknown);
      expect(await kit.query('select id from haptik_bridge.messages')).toEqual([{ id: 'm1' }]);
      await expect(store.accept([entry('m2', 'a', known)])).rejects.toThrow(StoreUnavailable);
      expect(await store.isWritable()).toBe(false);

      await standby.start();
      await until('it is writable again', () => store.isWritable());
      expect(await store.accept([entry('m3', 'a', known)])).toMatchObject([{ id: 'm1', isDuplicate: true }]);
    },
  );

  test('takes over: all that was acknowledged is there, and goes on', async () => {
    const { primary, standby } = await openWithStandby();
    const kit = await openKit(primary);
    const proxy = await networkBefore(kit.url);
    const store = await kit.start({ url: proxy.via(kit.url) });
    const acknowledged: string[] = [];
    let sent = 0;
    const send = async () => {
      const id = `m${String(sent++).padStart(4, '0')}`;
      await store.accept([entry(id, 'a', { providerId: id })]);
      acknowledged.push(id);
    };
    await until('some are stored', async () => {
      await send();
      return acknowledged.length > 50;
    });
    const dying = Promise.allSettled(Array.from({ length: 20 }, send));
    await primary.kill();
    await dying;
    await standby.promote();
    proxy.retarget(standby.port);
    await until('it goes on', () =>
      send().then(
        () => true,
        () => false,
      ),
    );

    const found: string[] = [];
    for (let [claim] = await claimAll(store); claim; ) {
      found.push(claim.message.id);
      const settled = await store.settle(claim, DELIVERED, KEEP);
      claim = settled === 'stale' ? undefined : settled.next;
    }
    expect(found).toEqual(found.toSorted());
    expect(found).toEqual(expect.arrayContaining(acknowledged));
  });
});
