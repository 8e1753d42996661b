import { describe, expect, test } from '@jest/globals';
import type { Records } from '../../src/outbox/records.ts';
import type { Claim, ConversationRef, Entry, Hold, Store } from '../../src/outbox/store.ts';
import type { Tables } from '../../src/outbox/tables.ts';
import type { ManualClock } from '../support/fixtures.ts';
import { AGAIN, ATTEMPT, DEAD, DELIVERED, delivery, entry, UNKNOWN } from './samples.ts';

/** A store, the operator's side of it, and what it knows of routing tables. */
export interface Sides {
  readonly store: Store;
  readonly records: Records;
  readonly tables: Tables;
}

export interface Opened extends Sides {
  readonly clock: ManualClock;
  /** The same store after its process died: leases of the dead process have no holder any more. */
  reopen(): Promise<Sides>;
}

export const LEASE_MS = 15_000;
export const KEEP = { leaseMs: LEASE_MS };

export async function claimAll(store: Store, account = 'main', limit = 100): Promise<readonly Claim[]> {
  return (await store.claim({ account, limit, leaseMs: LEASE_MS, busy: new Set() })).claims;
}

/** The only claim that there is. */
export async function one(store: Store, account?: string): Promise<Claim> {
  const [claim, ...more] = await claimAll(store, account);
  if (claim === undefined || more.length > 0)
    throw new Error(`expected one claim, not ${more.length + (claim ? 1 : 0)}`);
  return claim;
}

export function ids(claims: readonly Claim[]): string[] {
  return claims.map((claim) => claim.message.id);
}

/** What every store must do, whatever it is made of. */
export function storeContract(name: string, open: () => Promise<Opened>): void {
  describe(`${name}: accept`, () => {
    test('answers with the id, and the message can be claimed', async () => {
      const { store, clock } = await open();
      expect(await store.accept([entry('m1', 'a')])).toEqual([{ id: 'm1', isDuplicate: false, claim: undefined }]);
      const claim = await one(store);
      expect(claim).toMatchObject({ account: 'main', isInDoubt: false });
      const acceptedAt = clock.now();
      expect(claim.message).toEqual({ id: 'm1', delivery: delivery('a'), attempts: 0, ageMs: 0, acceptedAt });
    });

    test('answers a repeat of a provider id with the first id, within a batch and across them', async () => {
      const { store } = await open();
      const batch = [entry('m1', 'a', { providerId: 'p' }), entry('m2', 'a', { providerId: 'p' })];
      expect(await store.accept(batch)).toMatchObject([
        { id: 'm1', isDuplicate: false },
        { id: 'm1', isDuplicate: true },
      ]);
      expect(await store.accept([entry('m3', 'b', { providerId: 'p' })])).toMatchObject([
        { id: 'm1', isDuplicate: true },
      ]);
      const claim = await one(store);
      expect(await store.settle(claim, DELIVERED, undefined)).toEqual({ next: undefined, hasMore: false });
      expect(await store.accept([entry('m4', 'a', { providerId: 'p' })])).toMatchObject([
        { id: 'm1', isDuplicate: true },
      ]);
      expect(await claimAll(store)).toEqual([]);
    });

    test('tells provider ids of two channels apart, whatever is in the names', async () => {
      const { store } = await open();
      const accepted = await store.accept([
        entry('m1', 'a', { channel: 'a', providerId: 'b-c' }),
        entry('m2', 'a', { channel: 'a-b', providerId: 'c' }),
      ]);
      expect(accepted.map(({ isDuplicate }) => isDuplicate)).toEqual([false, false]);
    });

    test('keeps a message without a route as a dead letter, which is never claimed and still stops repeats', async () => {
      const { store } = await open();
      const dead = { placement: { route: null, dead: 'unroutable', detail: 'no route' } as const, providerId: 'p' };
      expect(await store.accept([entry('m1', 'a', dead)])).toMatchObject([{ id: 'm1', isDuplicate: false }]);
      expect(await store.accept([entry('m2', 'a', dead)])).toMatchObject([{ id: 'm1', isDuplicate: true }]);
      expect(await claimAll(store)).toEqual([]);
    });

    test('leases an idle conversation in the same commit when a slot is offered', async () => {
      const { store } = await open();
      const lease = { token: 't1', leaseMs: LEASE_MS };
      const [first, second] = await store.accept([
        entry('m1', 'a', { lease }),
        entry('m2', 'a', { lease: { ...lease, token: 't2' } }),
      ]);
      expect(first?.claim).toMatchObject({ lease: 't1', isInDoubt: false, message: { id: 'm1' } });
      expect(second?.claim).toBeUndefined();
      expect(await claimAll(store)).toEqual([]);
      if (!first?.claim) throw new Error('no claim');
      const settled = await store.settle(first.claim, DELIVERED, KEEP);
      expect(settled).toMatchObject({ next: { lease: 't1', message: { id: 'm2' } } });
    });
  });

  describe(`${name}: a repeat by a key`, () => {
    test('is one for good, whatever the ids of its provider, which are shown and found as they are', async () => {
      const { store, records, clock } = await open();
      const repeat = { key: 'k' };
      const batch = [
        entry('m1', 'a', { providerId: 'p1', repeat }),
        entry('m2', 'a', { providerId: 'p2', repeat }),
        entry('m3', 'a', { providerId: 'p1' }),
        entry('m4', 'a', { channel: 'other', repeat }),
      ];
      expect((await store.accept(batch)).map(({ id }) => id)).toEqual(['m1', 'm1', 'm3', 'm4']);
      for (const claim of await claimAll(store)) await store.settle(claim, DELIVERED, undefined);
      clock.advance(1e9);
      expect(await store.accept([entry('m5', 'b', { repeat })])).toMatchObject([{ id: 'm1', isDuplicate: true }]);
      const { items } = await records.list({ providerId: 'p1' }, { after: undefined, limit: 10 });
      expect(items).toMatchObject([
        { id: 'm3', providerId: 'p1' },
        { id: 'm1', providerId: 'p1' },
      ]);
    });

    test('is one also of what was known by an id of that text, and the other way round', async () => {
      const { store } = await open();
      await store.accept([entry('m1', 'a', { providerId: 'x' }), entry('m2', 'a', { repeat: { key: 'y' } })]);
      expect(await store.accept([entry('m3', 'a', { providerId: 'z', repeat: { key: 'x' } })])).toMatchObject([
        { id: 'm1', isDuplicate: true },
      ]);
      expect(await store.accept([entry('m4', 'a', { providerId: 'y' })])).toMatchObject([
        { id: 'm2', isDuplicate: true },
      ]);
    });
  });

  describe(`${name}: a repeat within a window`, () => {
    const MINUTE_MS = 60_000;
    const form = (id: string, more: Parameters<typeof entry>[2] = {}) =>
      entry(id, 'a', { repeat: { key: 'f', withinMs: MINUTE_MS }, ...more });
    const accept = async (store: Store, ...entries: readonly Entry[]) =>
      (await store.accept(entries)).map(({ id }) => id);

    test('is one until that time has passed since the last of them; what comes then is new', async () => {
      const { store, clock } = await open();
      expect(await store.accept([form('m1')])).toEqual([{ id: 'm1', isDuplicate: false, claim: undefined }]);
      for (const round of [1, 2, 3]) {
        clock.advance(MINUTE_MS - 1);
        expect(await store.accept([form(`again${round}`)])).toEqual([
          { id: 'm1', isDuplicate: true, claim: undefined },
        ]);
      }
      clock.advance(MINUTE_MS);
      expect(await accept(store, form('m2'))).toEqual(['m2']);
      clock.advance(MINUTE_MS - 1);
      expect(await accept(store, form('m3'))).toEqual(['m2']);
    });

    test('is one in the same batch, and in batches at once; all else is stored in its order', async () => {
      const { store, records } = await open();
      const lease = { token: 't', leaseMs: LEASE_MS };
      const batch = [entry('m1', 'a'), form('m2'), form('m3', { lease }), entry('m4', 'a', { providerId: 'p' })];
      const [first, second] = await Promise.all([
        store.accept(batch),
        store.accept([form('m5', { lease }), entry('m6', 'a', { providerId: 'p' }), entry('m7', 'a')]),
      ]);
      expect(first.map(({ id }) => id)).toEqual(['m1', 'm2', 'm2', 'm4']);
      expect(second.map(({ id, isDuplicate }) => [id, isDuplicate])).toEqual([
        ['m2', true],
        ['m4', true],
        ['m7', false],
      ]);
      const { items } = await records.list({}, { after: undefined, limit: 10 });
      expect(items.map(({ id }) => id)).toEqual(['m7', 'm4', 'm2', 'm1']);
      expect(await store.recount(undefined, 10)).toEqual({ next: undefined, mended: [] });
      expect(ids(await claimAll(store))).toEqual(['m1']);
    });

    test('is one of its channel and its key; ids of providers, and keys for good, are others', async () => {
      const { store } = await open();
      const repeat = { key: 'f' };
      const others = [
        form('m2', { channel: 'other' }),
        form('m3', { repeat: { key: 'g', withinMs: MINUTE_MS } }),
        entry('m4', 'a', { providerId: 'f' }),
        form('m5', { providerId: 'p', repeat: { key: 'h', withinMs: MINUTE_MS } }),
        entry('m6', 'a', { providerId: 'p' }),
      ];
      expect(await accept(store, form('m1'), ...others)).toEqual(['m1', 'm2', 'm3', 'm4', 'm5', 'm6']);
      expect(await accept(store, entry('m7', 'a', { repeat }), form('m8'))).toEqual(['m4', 'm1']);
    });

    test('is one whatever became of the first: dead for want of a route, delivered, forgotten', async () => {
      const { store, clock } = await open();
      const placement = { route: null, dead: 'unroutable', detail: 'no route' } as const;
      const stray = (id: string) => form(id, { placement, repeat: { key: 's', withinMs: MINUTE_MS } });
      expect(await accept(store, stray('m1'), form('m2'))).toEqual(['m1', 'm2']);
      await store.settle(await one(store), DELIVERED, undefined);
      expect(await accept(store, stray('again1'), form('again2'))).toEqual(['m1', 'm2']);
      clock.advance(1);
      expect(await store.prune({ contentMs: 0, rowsMs: 0, limit: 10 })).toBe(true);
      expect(await accept(store, stray('again3'), form('again4'))).toEqual(['m1', 'm2']);
      expect(await claimAll(store)).toEqual([]);
    });

    test('is one for the next process too', async () => {
      const { store, clock, reopen } = await open();
      await store.accept([form('m1')]);
      const { store: after } = await reopen();
      clock.advance(MINUTE_MS - 1);
      expect(await accept(after, form('m2'))).toEqual(['m1']);
    });

    test('is none of what was not stored', async () => {
      const { store } = await open();
      await store.accept([entry('m1', 'a')]);
      // No two messages have one id.
      await expect(store.accept([form('m2'), entry('m1', 'a')])).rejects.toThrow();
      expect(await accept(store, form('m3'))).toEqual(['m3']);
    });

    test('of many is forgotten in parts', async () => {
      const { store, clock } = await open();
      const many = ['f', 'g', 'h'].map((key) => form(key, { repeat: { key, withinMs: MINUTE_MS } }));
      await store.accept(many);
      const prune = () => store.prune({ contentMs: 0, rowsMs: 0, limit: 2 });
      expect(await prune()).toBe(true);
      clock.advance(MINUTE_MS);
      expect([await prune(), await prune()]).toEqual([false, true]);
    });
  });

  describe(`${name}: claim`, () => {
    test('gives the oldest message of each conversation, and none of a conversation twice', async () => {
      const { store } = await open();
      await store.accept([entry('m1', 'a'), entry('m2', 'a'), entry('m3', 'b')]);
      expect(ids(await claimAll(store)).sort()).toEqual(['m1', 'm3']);
      expect(await claimAll(store)).toEqual([]);
    });

    test('asked for twice at once, gives each conversation once', async () => {
      const { store } = await open();
      await store.accept(['a', 'b', 'c'].map((authId) => entry(authId, authId)));
      const claims = (await Promise.all([claimAll(store), claimAll(store)])).flat();
      expect(ids(claims).sort()).toEqual(['a', 'b', 'c']);
      for (const claim of claims) expect(await store.settle(claim, DELIVERED, undefined)).not.toBe('stale');
    });

    test('is per account, and no more than asked for', async () => {
      const { store } = await open();
      await store.accept([entry('m1', 'a'), entry('m2', 'b'), entry('m3', 'a', { account: 'other' })]);
      expect(await claimAll(store, 'main', 1)).toHaveLength(1);
      expect(ids(await claimAll(store, 'other'))).toEqual(['m3']);
      expect(await claimAll(store, 'unknown')).toEqual([]);
      expect(await claimAll(store, 'main')).toHaveLength(1);
    });

    test('takes those first who have waited longest', async () => {
      const { store, clock } = await open();
      for (const authId of ['c', 'a', 'b']) {
        await store.accept([entry(`m${authId}`, authId)]);
        clock.advance(1);
      }
      expect(ids(await claimAll(store, 'main', 2))).toEqual(['mc', 'ma']);
      expect(ids(await claimAll(store))).toEqual(['mb']);
    });

    test('says how long until the next conversation is due', async () => {
      const { store, clock } = await open();
      const ask = () => store.claim({ account: 'main', limit: 1, leaseMs: LEASE_MS, busy: new Set() });
      expect(await ask()).toEqual({ claims: [], nextDueMs: undefined });
      await store.accept([entry('m1', 'a')]);
      await store.settle(await one(store), AGAIN, undefined);
      expect(await ask()).toEqual({ claims: [], nextDueMs: 1_000 });
      clock.advance(999);
      expect(await ask()).toEqual({ claims: [], nextDueMs: 1 });
      clock.advance(1);
      expect((await ask()).claims).toHaveLength(1);
    });

    test('after a lease ran out says that the message is in doubt', async () => {
      const { store, clock } = await open();
      await store.accept([entry('m1', 'a')]);
      const lost = await one(store);
      clock.advance(LEASE_MS);
      const again = await one(store);
      expect(again).toMatchObject({ isInDoubt: true, message: { id: 'm1' } });
      expect(again.lease).not.toBe(lost.lease);
      await store.settle(again, AGAIN, undefined);
      clock.advance(1_000);
      expect(await one(store)).toMatchObject({ isInDoubt: false, message: { id: 'm1', attempts: 1 } });
    });

    test('never gives a conversation that the caller is still busy with, and gives others in its place', async () => {
      const { store, clock } = await open();
      await store.accept([entry('m1', 'a'), entry('m2', 'b')]);
      const [first] = await claimAll(store, 'main', 1);
      if (!first) throw new Error('no claim');
      clock.advance(LEASE_MS);
      const { claims } = await store.claim({
        account: 'main',
        limit: 1,
        leaseMs: LEASE_MS,
        busy: new Set([first.conversation]),
      });
      expect(ids(claims)).toEqual([first.message.id === 'm1' ? 'm2' : 'm1']);
    });

    test('does not wait for a clock that has jumped back', async () => {
      const { store, clock } = await open();
      await store.accept([entry('m1', 'a')]);
      clock.jump(-7_200_000);
      expect(ids(await claimAll(store))).toEqual(['m1']);
    });
  });

  describe(`${name}: settle`, () => {
    test('with a lease to keep goes on to the next message of the conversation', async () => {
      const { store } = await open();
      await store.accept([entry('m1', 'a'), entry('m2', 'a'), entry('m3', 'a')]);
      const first = await one(store);
      const second = await store.settle(first, DELIVERED, KEEP);
      expect(second).toMatchObject({
        next: { lease: first.lease, isInDoubt: false, message: { id: 'm2' } },
        hasMore: false,
      });
      if (second === 'stale' || !second.next) throw new Error('no next');
      expect(await claimAll(store)).toEqual([]);
      const third = await store.settle(second.next, DEAD, KEEP);
      expect(third).toMatchObject({ next: { message: { id: 'm3' } } });
      if (third === 'stale' || !third.next) throw new Error('no next');
      expect(await store.settle(third.next, DELIVERED, KEEP)).toEqual({ next: undefined, hasMore: false });
      expect(await claimAll(store)).toEqual([]);
    });

    test('without one gives the conversation back, behind those that wait', async () => {
      const { store, clock } = await open();
      await store.accept([entry('m1', 'a'), entry('m2', 'a')]);
      const first = await one(store);
      await store.accept([entry('m3', 'b')]);
      clock.advance(5);
      expect(await store.settle(first, DELIVERED, undefined)).toEqual({ next: undefined, hasMore: true });
      expect(ids(await claimAll(store))).toEqual(['m3', 'm2']);
    });

    test('keeps order through a retry: nothing of the conversation overtakes its head', async () => {
      const { store, clock } = await open();
      await store.accept([entry('m1', 'a')]);
      await store.settle(await one(store), AGAIN, KEEP);
      await store.accept([entry('m2', 'a')]);
      expect(await claimAll(store)).toEqual([]);
      clock.advance(1_000);
      const again = await one(store);
      expect(again.message).toMatchObject({ id: 'm1', attempts: 1, ageMs: 1_000 });
      expect(await store.settle(again, DELIVERED, KEEP)).toMatchObject({ next: { message: { id: 'm2' } } });
    });

    test('of an attempt that does not count leaves the count', async () => {
      const { store } = await open();
      await store.accept([entry('m1', 'a')]);
      await store.settle(await one(store), { ...AGAIN, dueInMs: 0, isSpent: false }, undefined);
      expect((await one(store)).message.attempts).toBe(0);
    });

    test('with a lease that has ended changes nothing', async () => {
      const { store, clock } = await open();
      await store.accept([entry('m1', 'a')]);
      const lost = await one(store);
      clock.advance(LEASE_MS);
      const holder = await one(store);
      expect(await store.settle(lost, DELIVERED, KEEP)).toBe('stale');
      expect(await claimAll(store)).toEqual([]);
      expect(await store.settle(holder, DELIVERED, KEEP)).toEqual({ next: undefined, hasMore: false });
      const another = { ...DELIVERED, attempt: { ...ATTEMPT, at: 1 } };
      expect(await store.settle(holder, another, KEEP)).toBe('stale');
    });

    test('crossed with an accept loses neither', async () => {
      const { store } = await open();
      await store.accept([entry('m1', 'a')]);
      const claim = await one(store);
      const [, settled] = await Promise.all([
        store.accept([entry('m2', 'a')]),
        store.settle(claim, DELIVERED, undefined),
      ]);
      // It may or may not have come to see the new message.
      expect(settled).toMatchObject({ next: undefined });
      expect(ids(await claimAll(store))).toEqual(['m2']);
    });
  });

  describe(`${name}: a settle`, () => {
    test('under a lease that is over changes nothing, though it comes together with that of today', async () => {
      const { store, clock } = await open();
      await store.accept([entry('m1', 'a'), entry('m2', 'a')]);
      const over = await one(store);
      clock.advance(LEASE_MS);
      const today = await one(store);
      const late = { ...DEAD, stops: true, attempt: { ...ATTEMPT, at: 1 } };
      const [stale, settled] = await Promise.all([
        store.settle(over, late, KEEP),
        store.settle(today, DELIVERED, KEEP),
      ]);
      expect([stale, settled]).toMatchObject(['stale', { next: { lease: today.lease, message: { id: 'm2' } } }]);
      expect((await store.recount(undefined, 10)).mended).toEqual([]);
      const { renewed, lost } = await store.renew([over, today], LEASE_MS);
      expect([renewed, lost]).toEqual([[today], [over]]);
    });

    test('without an attempt leaves the doubt of the one before', async () => {
      const { store, clock } = await open();
      await store.accept([entry('m1', 'a')]);
      await one(store);
      clock.advance(LEASE_MS);
      await store.settle(await one(store), { ...AGAIN, dueInMs: 0, isSpent: false, attempt: undefined }, undefined);
      expect(await one(store)).toMatchObject({ isInDoubt: true });
    });
  });

  describe(`${name}: a lease`, () => {
    test('that is renewed does not run out', async () => {
      const { store, clock } = await open();
      await store.accept([entry('m1', 'a')]);
      const claim = await one(store);
      clock.advance(10_000);
      expect(await store.renew([claim], LEASE_MS)).toEqual({ renewed: [claim], lost: [] });
      clock.advance(10_000);
      expect(await claimAll(store)).toEqual([]);
      clock.advance(5_000);
      expect(await one(store)).toMatchObject({ isInDoubt: true });
      expect(await store.renew([claim], LEASE_MS * 10)).toEqual({ renewed: [], lost: [claim] });
      clock.advance(LEASE_MS);
      expect(await claimAll(store)).toHaveLength(1);
    });

    test('of a process that died leaves its message in doubt, and what was accepted is there', async () => {
      const { store, clock, reopen } = await open();
      await store.accept([entry('m1', 'a'), entry('m2', 'a'), entry('m3', 'b', { providerId: 'p' })]);
      await store.claim({ account: 'main', limit: 1, leaseMs: LEASE_MS, busy: new Set() });
      const { store: after } = await reopen();
      clock.advance(LEASE_MS);
      const claims = await claimAll(after);
      expect(claims.map(({ message: { id }, isInDoubt }) => [id, isInDoubt]).sort()).toEqual([
        ['m1', true],
        ['m3', false],
      ]);
      expect(await after.accept([entry('m4', 'b', { providerId: 'p' })])).toMatchObject([
        { id: 'm3', isDuplicate: true },
      ]);
    });
  });

  describe(`${name}: prune`, () => {
    const HOUR_MS = 3_600_000;

    async function deliverAll(store: Store): Promise<void> {
      for (const claim of await claimAll(store)) await store.settle(claim, DELIVERED, undefined);
    }

    test('forgets what was delivered long enough ago, and then a repeat is a new message', async () => {
      const { store, clock } = await open();
      await store.accept([entry('m1', 'a', { providerId: 'p' })]);
      await deliverAll(store);
      clock.advance(HOUR_MS);
      await store.prune({ contentMs: 0, rowsMs: HOUR_MS + 1, limit: 10 });
      expect(await store.accept([entry('m2', 'a', { providerId: 'p' })])).toMatchObject([
        { id: 'm1', isDuplicate: true },
      ]);
      await store.prune({ contentMs: 0, rowsMs: HOUR_MS, limit: 10 });
      expect(await store.accept([entry('m3', 'a', { providerId: 'p' })])).toMatchObject([
        { id: 'm3', isDuplicate: false },
      ]);
    });

    test('leaves what waits and what is dead, whatever its age', async () => {
      const { store, clock } = await open();
      await store.accept([entry('m1', 'a'), entry('m2', 'b', { providerId: 'p' })]);
      const [first, second] = await claimAll(store);
      if (!first || !second) throw new Error('no claims');
      const [waiting, dead] = first.message.id === 'm1' ? [first, second] : [second, first];
      await store.settle(waiting, AGAIN, undefined);
      await store.settle(dead, DEAD, undefined);
      clock.advance(1_000 * HOUR_MS);
      expect(await store.prune({ contentMs: 0, rowsMs: 0, limit: 10 })).toBe(true);
      expect(ids(await claimAll(store))).toEqual(['m1']);
      expect(await store.accept([entry('m3', 'b', { providerId: 'p' })])).toMatchObject([{ isDuplicate: true }]);
    });

    test('does no more than asked for at a time', async () => {
      const { store } = await open();
      await store.accept(['a', 'b', 'c'].map((authId) => entry(authId, authId)));
      await deliverAll(store);
      const prune = () => store.prune({ contentMs: 0, rowsMs: 0, limit: 2 });
      expect([await prune(), await prune()]).toEqual([false, true]);
    });
  });

  describe(`${name}: holds`, () => {
    const HOLD: Hold = { account: 'main', cause: 'unauthorized', fingerprint: 'f1', since: 1_000 };
    const EVERY_MS = 30_000;
    const holds = async (store: Store) => (await store.look([])).holds;
    const probe = { fingerprint: 'f1', everyMs: EVERY_MS };
    const ask = async (store: Store) =>
      ids((await store.claim({ account: 'main', limit: 1, leaseMs: LEASE_MS, busy: new Set(), probe })).claims);

    test('are none at first', async () => {
      const { store } = await open();
      expect(await holds(store)).toEqual([]);
    });

    test('are in force until they are released, each account, cause and fingerprint by itself', async () => {
      const { store } = await open();
      const paused: Hold = { ...HOLD, cause: 'operator', fingerprint: '' };
      const other: Hold = { ...HOLD, account: 'other' };
      const others: Hold = { ...HOLD, fingerprint: 'f2', since: 2_000 };
      for (const hold of [HOLD, paused, other, others]) await store.hold(hold, EVERY_MS);
      const left = [paused, other, others].map((hold) => ({ ...hold, probeInMs: EVERY_MS }));
      expect(await holds(store)).toHaveLength(4);
      expect(await holds(store)).toEqual(expect.arrayContaining([{ ...HOLD, probeInMs: EVERY_MS }, ...left]));
      await store.release(HOLD);
      expect(await holds(store)).toHaveLength(3);
      expect(await holds(store)).toEqual(expect.arrayContaining(left));
    });

    test('begin when they began, however often that is said', async () => {
      const { store, clock } = await open();
      await store.hold(HOLD, EVERY_MS);
      clock.advance(10_000);
      await store.hold({ ...HOLD, since: 2_000 }, EVERY_MS);
      expect(await holds(store)).toEqual([{ ...HOLD, probeInMs: EVERY_MS - 10_000 }]);
    });

    test('that are not there can be released', async () => {
      const { store } = await open();
      await store.release({ account: 'main', cause: 'operator', fingerprint: '' });
      expect(await holds(store)).toEqual([]);
    });

    test('outlive the process', async () => {
      const { store, reopen } = await open();
      await store.hold(HOLD, EVERY_MS);
      expect(await holds((await reopen()).store)).toMatchObject([HOLD]);
    });

    test('of refused credentials let one conversation through when they are to be probed, and then nobody for a while', async () => {
      const { store, clock } = await open();
      await store.accept([entry('m1', 'a'), entry('m2', 'b')]);
      await store.hold(HOLD, EVERY_MS);
      expect(await ask(store)).toEqual([]);
      clock.advance(EVERY_MS);
      expect(await ask(store)).toHaveLength(1);
      expect(await ask(store)).toEqual([]);
      expect(await holds(store)).toMatchObject([{ probeInMs: EVERY_MS }]);
      clock.advance(EVERY_MS);
      expect(await ask(store)).toHaveLength(1);
    });

    test('stay to be probed while there is nothing to probe them with', async () => {
      const { store, clock } = await open();
      await store.hold(HOLD, EVERY_MS);
      clock.advance(EVERY_MS);
      expect(await ask(store)).toEqual([]);
      await store.accept([entry('m1', 'a')]);
      expect(await ask(store)).toEqual(['m1']);
    });

    test('of other credentials, or that have ended, are not probed', async () => {
      const { store } = await open();
      await store.accept([entry('m1', 'a')]);
      expect(await ask(store)).toEqual([]);
      await store.hold({ ...HOLD, fingerprint: 'f2' }, 0);
      expect(await ask(store)).toEqual([]);
      await store.hold(HOLD, 0);
      await store.release(HOLD);
      expect(await ask(store)).toEqual([]);
    });
  });

  describe(`${name}: a look`, () => {
    test('shows how long until the next conversation of each account is due', async () => {
      const { store, clock } = await open();
      await store.accept([entry('m1', 'a'), entry('m2', 'b', { account: 'other' })]);
      const due = async () => [...(await store.look(['main', 'other', 'idle'])).due].sort();
      expect(await due()).toEqual([
        ['main', 0],
        ['other', 0],
      ]);
      await store.settle(await one(store), AGAIN, undefined);
      clock.advance(400);
      expect(await due()).toEqual([
        ['main', 600],
        ['other', 0],
      ]);
      await store.settle(await one(store, 'other'), UNKNOWN, undefined);
      expect(await due()).toEqual([['main', 600]]);
    });

    test('shows that one process delivers alone', async () => {
      const { store } = await open();
      expect((await store.look([])).share).toEqual({ rank: 0, of: 1, isJoining: false });
    });
  });

  describe(`${name}: recount`, () => {
    test('of a store that is well mends nothing, and comes to an end', async () => {
      const { store } = await open();
      await store.accept(['a', 'a', 'b', 'c', 'd'].map((authId, index) => entry(`m${index}`, authId)));
      const [first, second] = await claimAll(store, 'main', 2);
      if (!first || !second) throw new Error('no claims');
      await store.settle(first, UNKNOWN, undefined);
      await store.settle(second, UNKNOWN, undefined);
      let after: ConversationRef | undefined;
      for (let part = 0; part === 0 || (part < 10 && after !== undefined); part += 1) {
        const { next, mended }: Awaited<ReturnType<Store['recount']>> = await store.recount(after, 2);
        expect(mended).toEqual([]);
        after = next;
      }
      expect(after).toBeUndefined();
      expect(ids(await claimAll(store)).sort()).toEqual(['m3', 'm4']);
    });
  });

  test(`${name} is writable`, async () => {
    expect(await (await open()).store.isWritable()).toBe(true);
  });
}
