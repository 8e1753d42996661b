import { describe, expect, test } from '@jest/globals';
import { conversationOf, type Delivery, type Message, type Placement } from '../../src/message.ts';
import {
  type AccountSurvey,
  type Cursor,
  type Decision,
  type MessageFilter,
  type MessageRecord,
  type Records,
  type Routing,
  strayGroup,
  type Walk,
} from '../../src/outbox/records.ts';
import type { Claim, Entry, Settlement, Store } from '../../src/outbox/store.ts';
import type { ManualClock } from '../support/fixtures.ts';
import { claimAll, ids, KEEP, LEASE_MS, type Opened, one } from './contract.ts';
import {
  AGAIN,
  ATTEMPT,
  DEAD,
  DELIVERED,
  delivery,
  EVERY_ACCOUNT,
  entry,
  message,
  strayEntry,
  UNKNOWN,
} from './samples.ts';

const STOPPING = { ...DEAD, stops: true };
const CONFIRM: Decision = { kind: 'confirm' };
const DISCARD: Decision = { kind: 'discard', reason: 'a test' };
const NO_ROUTE: Placement = { route: 'routes[9]', dead: 'no_auth_id', detail: 'still no route' };
/** More than any store looks at in one go. */
const MANY = 4_500;

/** Of an account of which nothing is stored. */
const NOTHING = { waiting: 0, oldestAt: undefined, stopped: 0, stoppedSince: undefined, dead: 0, unknown: 0 };

/** A table by which every message is delivered to the same conversation, or to none. */
function routing(placement: Placement | ((message: Message) => Placement), reroute = false): Routing {
  const place = (_: string, message: Message) => (typeof placement === 'function' ? placement(message) : placement);
  return { table: { version: 'v2', accounts: EVERY_ACCOUNT, place }, reroute };
}

const AS_IT_WAS = routing(NO_ROUTE);
const REDRIVE: Decision = { kind: 'redrive', routing: AS_IT_WAS };
const to = (authId: string, more?: Partial<Delivery>): Placement => ({
  route: 'routes[5]',
  delivery: delivery(authId, more),
});
const groupOf = (authId: string) => conversationOf(delivery(authId));

/** What an operator sees of messages and decides about them, whatever the store is made of. */
export function recordsContract(name: string, open: () => Promise<Opened>): void {
  /** Accepts them, and settles each as it is said to be. */
  async function settleEach(store: Store, entries: readonly Entry[], ...settlements: Settlement[]): Promise<void> {
    await store.accept(entries);
    for (const settlement of settlements) await store.settle(await one(store), settlement, undefined);
  }

  async function opened(entries: readonly Entry[], ...settlements: Settlement[]): Promise<Opened> {
    const it = await open();
    await settleEach(it.store, entries, ...settlements);
    return it;
  }

  async function surveyOf(records: Records, account = 'main'): Promise<Omit<AccountSurvey, 'account'>> {
    return (await records.survey()).find((survey) => survey.account === account) ?? NOTHING;
  }

  /** The ids of what is delivered until nothing is due, in that order. */
  async function deliverAll(store: Store, account = 'main'): Promise<string[]> {
    const delivered: string[] = [];
    for (let claims = await claimAll(store, account); claims.length > 0; claims = await claimAll(store, account)) {
      delivered.push(...ids(claims));
      for (const claim of claims) await store.settle(claim, DELIVERED, undefined);
    }
    return delivered;
  }

  async function walkAll(records: Records, filter: MessageFilter): Promise<Walk[]> {
    const walks: Walk[] = [];
    let after: Cursor | undefined;
    do {
      const walk = await records.walk(filter, after);
      walks.push(walk);
      after = walk.next;
    } while (after);
    return walks;
  }

  async function listAll(records: Records, filter: MessageFilter, limit = 100): Promise<MessageRecord[]> {
    const items: MessageRecord[] = [];
    let after: number | undefined;
    do {
      const page = await records.list(filter, { after, limit });
      expect(page.items.length).toBeLessThanOrEqual(limit);
      items.push(...page.items);
      after = page.next;
    } while (after !== undefined);
    return items;
  }

  const listed = async (records: Records, filter: MessageFilter) =>
    (await listAll(records, filter)).map(({ id }) => id);

  async function acceptStrays(store: Store, senderOf: (index: number) => string): Promise<void> {
    const strays = Array.from({ length: MANY }, (_, index) => strayEntry(`m${index}`, senderOf(index)));
    for (let from = 0; from < MANY; from += 1_500) await store.accept(strays.slice(from, from + 1_500));
  }

  describe(`${name}: a stopped conversation`, () => {
    test.each([
      ['unknown', UNKNOWN],
      ['dead where that stops it', STOPPING],
    ])('holds back what waits behind a message that is %s, and what comes later', async (_, settlement) => {
      const { store } = await opened([entry('m1', 'a'), entry('m2', 'a')], settlement);
      await store.accept([entry('m3', 'a')]);
      expect(await claimAll(store)).toEqual([]);
    });

    test('goes on behind a message that is dead where that does not stop it', async () => {
      const { store, records } = await opened([entry('m1', 'a'), entry('m2', 'a')], DEAD);
      expect(ids(await claimAll(store))).toEqual(['m2']);
      expect(await surveyOf(records)).toMatchObject({ stopped: 0, stoppedSince: undefined, dead: 1 });
    });

    test('does not go on to the next message, even with a lease to keep', async () => {
      const { store } = await opened([entry('m1', 'a'), entry('m2', 'a')]);
      expect(await store.settle(await one(store), UNKNOWN, KEEP)).toEqual({ next: undefined, hasMore: false });
    });

    test('stays so when nothing waits in it: what comes later is not leased, though a slot is offered', async () => {
      const { store } = await opened([entry('m1', 'a')], UNKNOWN);
      const lease = { token: 't', leaseMs: LEASE_MS };
      const [acceptance] = await store.accept([entry('m2', 'a', { lease })]);
      expect(acceptance).toEqual({ id: 'm2', isDuplicate: false, claim: undefined });
      expect(await claimAll(store)).toEqual([]);
    });

    test('is not waited for: it is never due, and others are', async () => {
      const { store } = await opened([entry('m1', 'a'), entry('m2', 'a')], UNKNOWN);
      const ask = () => store.claim({ account: 'main', limit: 5, leaseMs: LEASE_MS, busy: new Set() });
      expect(await ask()).toEqual({ claims: [], nextDueMs: undefined });
      await store.accept([entry('m3', 'b')]);
      expect(ids((await ask()).claims)).toEqual(['m3']);
    });

    test('has no holder: the lease that it was stopped under is over', async () => {
      const { store } = await opened([entry('m1', 'a'), entry('m2', 'a')]);
      const claim = await one(store);
      await store.settle(claim, UNKNOWN, undefined);
      expect(await store.settle(claim, DELIVERED, undefined)).toBe('stale');
    });

    test('shows which message stops it, and what waits behind that', async () => {
      const { records } = await opened([entry('m1', 'a'), entry('m2', 'a')], STOPPING);
      expect(await records.get('m1')).toMatchObject({ stops: true, waitsBehind: null });
      expect(await records.get('m2')).toMatchObject({ stops: false, waitsBehind: 'm1' });
    });

    test('is stopped still after the process died', async () => {
      const { reopen } = await opened([entry('m1', 'a'), entry('m2', 'a')], UNKNOWN);
      const { store, records } = await reopen();
      expect(await claimAll(store)).toEqual([]);
      expect(await surveyOf(records)).toMatchObject({ stopped: 1, waiting: 1 });
    });

    test('is behind it as young as if it came now, once it goes on', async () => {
      const { store, records, clock } = await opened([entry('m1', 'a'), entry('m2', 'a')], UNKNOWN);
      clock.advance(1_000_000);
      await records.decide('m1', CONFIRM);
      expect(await one(store)).toMatchObject({ message: { id: 'm2', ageMs: 0 } });
    });
  });

  describe(`${name}: survey`, () => {
    test('of an empty store is empty', async () => {
      const { records } = await open();
      expect(await records.survey()).toEqual([]);
    });

    test('counts what waits, and is dead, and unknown, by account', async () => {
      const { store, records } = await opened([entry('m1', 'a')], DEAD);
      await settleEach(store, [entry('m2', 'b')], UNKNOWN);
      await store.accept([entry('m3', 'a'), entry('m4', 'b'), entry('m5', 'a', { account: 'other' })]);
      expect(await surveyOf(records)).toMatchObject({ waiting: 2, dead: 1, unknown: 1, stopped: 1 });
      expect(await surveyOf(records, 'other')).toMatchObject({ waiting: 1, dead: 0, unknown: 0, stopped: 0 });
    });

    test('says since when the oldest waits, not the one to be delivered first', async () => {
      const { store, records, clock } = await open();
      const start = clock.now();
      await store.accept([entry('m1', 'a')]);
      clock.advance(1_000);
      await store.accept([entry('m2', 'b')]);
      const [first] = await claimAll(store, 'main', 1);
      if (first) await store.settle(first, AGAIN, undefined);
      expect(await surveyOf(records)).toMatchObject({ oldestAt: start });
      clock.advance(1_000);
      await deliverAll(store);
      expect(await surveyOf(records)).toMatchObject({ waiting: 0, oldestAt: undefined });
    });

    test('counts stopped conversations, and says since when the first of them waits', async () => {
      const { store, records, clock } = await open();
      clock.advance(500);
      const start = clock.now();
      for (const authId of ['a', 'b']) {
        await settleEach(store, [entry(`m${authId}`, authId)], UNKNOWN);
        clock.advance(1_000);
      }
      expect(await surveyOf(records)).toMatchObject({ stopped: 2, stoppedSince: start, unknown: 2, waiting: 0 });
      await records.decide('ma', CONFIRM);
      expect(await surveyOf(records)).toMatchObject({ stopped: 1, stoppedSince: start + 1_000, unknown: 1 });
    });
  });

  test(`${name}: strays are the dead letters of no account`, async () => {
    const { store, records } = await opened([entry('m1', 'a')], DEAD);
    expect(await records.strays()).toBe(0);
    await store.accept([strayEntry('m2', 's'), strayEntry('m3', 's')]);
    expect(await records.strays()).toBe(2);
    await records.decide('m2', DISCARD);
    await records.decide('m3', { kind: 'redrive', routing: routing(to('z')) });
    expect(await records.strays()).toBe(0);
  });

  describe(`${name}: decide`, () => {
    const INTO: Readonly<Record<string, (opened: Opened) => Promise<unknown>>> = {
      missing: async () => undefined,
      waiting: ({ store }) => store.accept([entry('m1', 'a')]),
      leased: ({ store }) => settleEach(store, [entry('m1', 'a')]).then(() => claimAll(store)),
      delivered: ({ store }) => settleEach(store, [entry('m1', 'a')], DELIVERED),
      dead: ({ store }) => settleEach(store, [entry('m1', 'a')], DEAD),
      unknown: ({ store }) => settleEach(store, [entry('m1', 'a')], UNKNOWN),
      unroutable: ({ store }) => store.accept([strayEntry('m1', 's')]),
      discarded: async ({ store, records }) => {
        await settleEach(store, [entry('m1', 'a')], DEAD);
        await records.decide('m1', DISCARD);
      },
    };

    test.each([
      ['missing', 'missing', 'missing', 'missing'],
      ['waiting', 'unchanged', 'impossible', 'done'],
      ['leased', 'unchanged', 'impossible', 'leased'],
      ['delivered', 'impossible', 'unchanged', 'impossible'],
      ['discarded', 'impossible', 'impossible', 'unchanged'],
      ['dead', 'done', 'done', 'done'],
      ['unknown', 'done', 'done', 'done'],
    ] as const)(
      'of a message that is %s answers to redrive %s, to confirm %s, to discard %s',
      async (state, ...results) => {
        for (const [index, decision] of [REDRIVE, CONFIRM, DISCARD].entries()) {
          const it = await open();
          await INTO[state]?.(it);
          expect(await it.records.decide('m1', decision)).toBe(results[index]);
        }
      },
    );

    test.each([
      ['redrive', REDRIVE],
      ['confirm', CONFIRM],
      ['discard', DISCARD],
    ])('carried out twice (%s) changes nothing the second time', async (_, decision) => {
      const { store, records } = await opened([entry('m1', 'a'), entry('m2', 'a')], UNKNOWN);
      const results = [await records.decide('m1', decision), await records.decide('m1', decision)];
      expect(results).toEqual(['done', 'unchanged']);
      expect(await deliverAll(store)).toEqual(decision === REDRIVE ? ['m1', 'm2'] : ['m2']);
      expect(await surveyOf(records)).toMatchObject({ waiting: 0, stopped: 0, unknown: 0 });
    });

    test.each([
      ['redrive', REDRIVE, UNKNOWN, 'm1'],
      ['redrive', REDRIVE, STOPPING, 'm1'],
      ['confirm', CONFIRM, UNKNOWN, 'm2'],
      ['confirm', CONFIRM, STOPPING, 'm2'],
      ['discard', DISCARD, UNKNOWN, 'm2'],
      ['discard', DISCARD, STOPPING, 'm2'],
    ])('by %s lets the conversation go on that waits behind the message', async (_, decision, settlement, first) => {
      const { store, records } = await opened([entry('m1', 'a'), entry('m2', 'a')], settlement);
      expect(await records.decide('m1', decision)).toBe('done');
      expect(ids(await claimAll(store))).toEqual([first]);
      expect(await surveyOf(records)).toMatchObject({ stopped: 0, stoppedSince: undefined });
    });

    test('about another message of a stopped conversation lets it wait on', async () => {
      const { store, records } = await opened([entry('m1', 'a'), entry('m2', 'a'), entry('m3', 'a')], DEAD, UNKNOWN);
      expect(await records.decide('m1', REDRIVE)).toBe('done');
      expect(await records.decide('m3', DISCARD)).toBe('done');
      expect(await claimAll(store)).toEqual([]);
      expect(await surveyOf(records)).toMatchObject({ stopped: 1, waiting: 1 });
      await records.decide('m2', CONFIRM);
      expect(await deliverAll(store)).toEqual(['m1']);
    });

    test('confirm makes it delivered, as from now, and keeps what is known of it', async () => {
      const { records, clock } = await opened([entry('m1', 'a')], UNKNOWN);
      clock.advance(5_000);
      await records.decide('m1', CONFIRM);
      const confirmed = { state: 'delivered', reason: null, settledAt: clock.now(), messageId: null };
      expect(await records.get('m1')).toMatchObject({ ...confirmed, attemptLog: [ATTEMPT] });
    });

    test('discard keeps the reason, and shows it', async () => {
      const { records } = await opened([entry('m1', 'a')], DEAD);
      await records.decide('m1', DISCARD);
      const discarded = { state: 'discarded', reason: 'a test' };
      expect(await records.get('m1')).toMatchObject(discarded);
      expect(await listAll(records, { state: 'discarded' })).toMatchObject([discarded]);
    });

    test('discard of what waits makes the rest of its conversation go on without it', async () => {
      const { store, records } = await opened([entry('m1', 'a'), entry('m2', 'a'), entry('m3', 'a')]);
      expect(await records.decide('m2', DISCARD)).toBe('done');
      expect(await surveyOf(records)).toMatchObject({ waiting: 2 });
      expect(await deliverAll(store)).toEqual(['m1', 'm3']);
    });

    test('discard of the last that waits leaves nothing to claim, and a new message begins anew', async () => {
      const { store, records } = await opened([entry('m1', 'a')]);
      await records.decide('m1', DISCARD);
      expect(await claimAll(store)).toEqual([]);
      const lease = { token: 't', leaseMs: LEASE_MS };
      expect(await store.accept([entry('m2', 'a', { lease })])).toMatchObject([{ claim: { message: { id: 'm2' } } }]);
    });

    test('discard is refused for the whole of a conversation that is being delivered, until its lease ends', async () => {
      const { store, records } = await opened([entry('m1', 'a'), entry('m2', 'a')]);
      const claim = await one(store);
      expect(await records.decide('m2', DISCARD)).toBe('leased');
      await store.settle(claim, AGAIN, undefined);
      expect(await records.decide('m1', DISCARD)).toBe('done');
      expect(await deliverAll(store)).toEqual(['m2']);
    });

    test('discard does not make a conversation due before its time', async () => {
      const { store, records } = await opened([entry('m1', 'a'), entry('m2', 'a')], AGAIN);
      await records.decide('m2', DISCARD);
      expect(await claimAll(store)).toEqual([]);
    });

    test('redrive of what no route fits still leaves it dead, with the reason of today', async () => {
      const { store, records } = await open();
      await store.accept([strayEntry('m1', 's')]);
      expect(await records.decide('m1', REDRIVE)).toBe('unplaced');
      const dead = { state: 'dead', reason: 'no_auth_id', detail: 'still no route', route: 'routes[9]' };
      expect(await records.get('m1')).toMatchObject({ ...dead, tableVersion: 'v2' });
      expect(await claimAll(store)).toEqual([]);
    });

    test('redrive of what a route fits now delivers it', async () => {
      const { store, records } = await open();
      await store.accept([strayEntry('m1', 's')]);
      expect(await records.decide('m1', { kind: 'redrive', routing: routing(to('z')) })).toBe('done');
      expect((await one(store)).message).toMatchObject({ id: 'm1', delivery: delivery('z') });
      expect(await records.get('m1')).toMatchObject({ account: 'main', route: 'routes[5]', tableVersion: 'v2' });
    });
  });

  describe(`${name}: redrive`, () => {
    const redriveA = (records: Records, filter: MessageFilter = {}, by = AS_IT_WAS) =>
      records.redrive(groupOf('a'), filter, by);

    test('puts all of a group back in the order of their acceptance, before what is newer', async () => {
      const dead = ['m1', 'm2', 'm3'].map((id) => entry(id, 'a'));
      const { store, records } = await opened([...dead, entry('m4', 'a')], DEAD, DEAD, DEAD);
      await store.accept([entry('m5', 'a')]);
      expect(await redriveA(records)).toEqual({ redriven: 3, unplaced: 0 });
      expect(await deliverAll(store)).toEqual(['m1', 'm2', 'm3', 'm4', 'm5']);
    });

    test('leaves other groups, and what does not match', async () => {
      const { store, records } = await opened([entry('m1', 'a'), entry('m2', 'a')], DEAD, {
        ...DEAD,
        reason: 'expired',
      });
      await settleEach(store, [entry('m3', 'b')], DEAD);
      expect(await redriveA(records, { reason: 'expired' })).toEqual({ redriven: 1, unplaced: 0 });
      expect(ids(await claimAll(store))).toEqual(['m2']);
      expect(await listed(records, { state: 'dead' })).toEqual(['m3', 'm1']);
    });

    test('a second time changes nothing', async () => {
      const { store, records } = await opened([entry('m1', 'a')], DEAD);
      await redriveA(records);
      expect(await redriveA(records)).toEqual({ redriven: 0, unplaced: 0 });
      expect(await surveyOf(records)).toMatchObject({ waiting: 1, dead: 0 });
      expect(await deliverAll(store)).toEqual(['m1']);
    });

    test('begins attempts and age anew; when it was accepted stays', async () => {
      const { store, records, clock } = await opened([entry('m1', 'a')], DEAD);
      const acceptedAt = clock.now();
      clock.advance(60_000);
      await redriveA(records);
      clock.advance(7_000);
      expect((await one(store)).message).toMatchObject({ attempts: 0, ageMs: 7_000, acceptedAt });
      const waiting = { state: 'waiting', reason: null, detail: null, settledAt: null, attempts: 0 };
      expect(await records.get('m1')).toMatchObject({ ...waiting, attemptLog: [ATTEMPT] });
    });

    test('makes a conversation due at once that waits for its next try', async () => {
      const { store, records } = await opened([entry('m1', 'a'), entry('m2', 'a')], DEAD, AGAIN);
      expect(await claimAll(store)).toEqual([]);
      await redriveA(records);
      expect((await one(store)).message.id).toBe('m1');
    });

    test('leaves a lease with its holder, who comes to the redriven before the newer', async () => {
      const { store, records } = await opened([entry('m1', 'a'), entry('m2', 'a'), entry('m3', 'a')], DEAD);
      const claim = await one(store);
      await redriveA(records);
      expect(await claimAll(store)).toEqual([]);
      const first = await store.settle(claim, DELIVERED, KEEP);
      expect(first).toMatchObject({
        next: { isInDoubt: false, lease: claim.lease, message: { id: 'm1', attempts: 0 } },
      });
      if (first === 'stale' || !first.next) throw new Error('no next');
      expect(await store.settle(first.next, DELIVERED, KEEP)).toMatchObject({ next: { message: { id: 'm3' } } });
    });

    test('comes first also where the message in flight has to be tried again', async () => {
      const { store, records, clock } = await opened([entry('m1', 'a'), entry('m2', 'a')], DEAD);
      const claim = await one(store);
      await redriveA(records);
      expect(await store.settle(claim, AGAIN, KEEP)).toEqual({ next: undefined, hasMore: true });
      clock.advance(1_000);
      expect(await one(store)).toMatchObject({ isInDoubt: false, message: { id: 'm1' } });
    });

    test('lets a conversation go on that was stopped by one of them', async () => {
      const { store, records } = await opened([entry('m1', 'a'), entry('m2', 'a'), entry('m3', 'a')], DEAD, UNKNOWN);
      expect(await redriveA(records)).toEqual({ redriven: 2, unplaced: 0 });
      expect(await surveyOf(records)).toMatchObject({ waiting: 3, stopped: 0, dead: 0, unknown: 0 });
      expect(await deliverAll(store)).toEqual(['m1', 'm2', 'm3']);
    });

    test('counts for the backlog', async () => {
      const { store, records } = await opened([entry('m1', 'a'), entry('m2', 'a')], DEAD, DEAD);
      await redriveA(records);
      expect(await surveyOf(records)).toMatchObject({ waiting: 2 });
      await deliverAll(store);
      expect(await surveyOf(records)).toMatchObject({ waiting: 0 });
    });

    test('keeps the route of each, unless they are to be routed again', async () => {
      const { store, records } = await opened([entry('m1', 'a')], DEAD);
      await redriveA(records, {}, routing(to('z')));
      expect((await one(store)).message.delivery).toEqual(delivery('a'));
      expect(await records.get('m1')).toMatchObject({ route: 'routes[0]', tableVersion: 'v1' });
    });

    test('by a new table moves them to another account and conversation', async () => {
      const { store, records } = await opened([entry('m1', 'a'), entry('m2', 'a')], UNKNOWN);
      const elsewhere = to('z', { account: 'other', text: 'anew' });
      expect(await redriveA(records, {}, routing(elsewhere, true))).toEqual({ redriven: 1, unplaced: 0 });
      const [moved] = await claimAll(store, 'other');
      expect(moved).toMatchObject({ account: 'other', message: { id: 'm1', delivery: { authId: 'z', text: 'anew' } } });
      expect(await records.get('m1')).toMatchObject({ account: 'other', authId: 'z', tableVersion: 'v2' });
      expect(ids(await claimAll(store))).toEqual(['m2']);
      expect(await surveyOf(records)).toMatchObject({ waiting: 1, stopped: 0 });
      expect(await surveyOf(records, 'other')).toMatchObject({ waiting: 1 });
    });

    test('by a new table that fits them no longer leaves them, and what they stop', async () => {
      const { store, records } = await opened([entry('m1', 'a'), entry('m2', 'a')], STOPPING);
      expect(await redriveA(records, {}, routing(NO_ROUTE, true))).toEqual({ redriven: 0, unplaced: 1 });
      expect(await records.get('m1')).toMatchObject({ state: 'dead', reason: 'no_auth_id' });
      expect(await claimAll(store)).toEqual([]);
      expect(await redriveA(records, {}, routing(to('a')))).toEqual({ redriven: 1, unplaced: 0 });
      expect(await deliverAll(store)).toEqual(['m1', 'm2']);
    });

    test('leaves what is of an account that is gone, unless it is to be routed again', async () => {
      const { records } = await opened([entry('m1', 'a')], DEAD);
      const table = { ...AS_IT_WAS.table, accounts: new Map() };
      expect(await redriveA(records, {}, { table, reroute: false })).toEqual({ redriven: 0, unplaced: 1 });
      expect(await records.get('m1')).toMatchObject({ state: 'dead', reason: 'refused' });
    });

    test('always routes again what no route fitted, and those that none fits still stay dead', async () => {
      const { store, records } = await open();
      await store.accept([strayEntry('m1', 's'), strayEntry('m2', 's'), strayEntry('m3', 's')]);
      const strays = strayGroup('chat', { sender: 's' });
      let turn = 0;
      const every = routing(() => (turn++ === 1 ? NO_ROUTE : to('z')));
      expect(await records.redrive(strays, {}, every)).toEqual({ redriven: 2, unplaced: 1 });
      expect(await deliverAll(store)).toEqual(['m1', 'm3']);
      expect(await listAll(records, { state: 'dead' })).toMatchObject([{ id: 'm2', reason: 'no_auth_id' }]);
      expect(await records.get('m2')).toMatchObject({ detail: 'still no route', tableVersion: 'v2' });
      expect(await records.redrive(strays, {}, routing(to('z')))).toEqual({ redriven: 1, unplaced: 0 });
    });
  });

  describe(`${name}: what waits, rerouted`, () => {
    const GONE = { account: 'gone' };
    const WAITING: MessageFilter = { state: 'waiting', account: 'gone' };
    const gone = conversationOf(delivery('a', GONE));
    const moved = routing(({ text }) => to(text === 't' ? 'a' : text), true);

    test('is walked by conversation, each message once, of that account alone', async () => {
      const entries = Array.from({ length: MANY }, (_, index) => entry(`m${index}`, `u${index % 7}`, GONE));
      const { records } = await opened([...entries, entry('other', 'u1')]);
      const walks = await walkAll(records, WAITING);
      expect(walks.reduce((sum, { count }) => sum + count, 0)).toBe(MANY);
      expect(new Set(walks.flatMap(({ groups }) => groups)).size).toBe(7);
    });

    test('goes to its new conversation in its order, before what is newer there', async () => {
      const { store, records } = await opened([
        entry('m1', 'a', GONE),
        entry('m2', 'a', GONE),
        entry('m3', 'a'),
        entry('m4', 'b', GONE),
      ]);
      expect(await records.redrive(gone, WAITING, moved)).toEqual({ redriven: 2, unplaced: 0 });
      expect(await deliverAll(store)).toEqual(['m1', 'm2', 'm3']);
      expect(await surveyOf(records, 'gone')).toMatchObject({ waiting: 1 });
      expect(await surveyOf(records)).toMatchObject({ waiting: 0 });
      expect(await deliverAll(store, 'gone')).toEqual(['m4']);
    });

    test('stays where no route fits it', async () => {
      const { records } = await opened([entry('m1', 'a', GONE)]);
      expect(await records.redrive(gone, WAITING, routing(NO_ROUTE, true))).toEqual({ redriven: 0, unplaced: 1 });
      expect(await records.get('m1')).toMatchObject({ state: 'waiting', account: 'gone' });
      expect(await surveyOf(records, 'gone')).toMatchObject({ waiting: 1, dead: 0 });
    });

    test('stays where it is in flight, and where its conversation is stopped', async () => {
      const { store, records } = await opened([entry('m1', 'a', GONE), entry('m2', 'a', GONE)]);
      const claim = await one(store, 'gone');
      expect(await records.redrive(gone, WAITING, moved)).toEqual({ redriven: 0, unplaced: 0 });
      await store.settle(claim, UNKNOWN, undefined);
      expect(await records.redrive(gone, WAITING, moved)).toEqual({ redriven: 0, unplaced: 0 });
      expect(await surveyOf(records, 'gone')).toMatchObject({ waiting: 1, stopped: 1 });
    });

    test('stays in doubt', async () => {
      const { store, clock, reopen } = await opened([entry('m1', 'a', GONE), entry('m2', 'a', GONE)]);
      await one(store, 'gone');
      const after = await reopen();
      clock.advance(LEASE_MS);
      await after.records.redrive(gone, WAITING, moved);
      const claim = await one(after.store);
      expect(claim).toMatchObject({ isInDoubt: true, message: { id: 'm1' } });
      expect(await after.store.settle(claim, DELIVERED, KEEP)).toMatchObject({
        next: { isInDoubt: false, message: { id: 'm2' } },
      });
    });
  });

  test(`${name}: an unknown message that no route fits any more is still unknown`, async () => {
    const { records } = await opened([entry('m1', 'a')], UNKNOWN);
    const redrive: Decision = { kind: 'redrive', routing: routing(NO_ROUTE, true) };
    expect(await records.decide('m1', redrive)).toBe('unplaced');
    expect(await records.get('m1')).toMatchObject({ state: 'unknown', reason: null });
  });

  test(`${name}: what no route fitted was never sent, and cannot be confirmed`, async () => {
    const { records } = await opened([strayEntry('m1', 's')]);
    expect(await records.decide('m1', CONFIRM)).toBe('impossible');
  });

  describe(`${name}: doubt`, () => {
    /** m1 is dead, and m2 was in flight when the process died; m3 waits behind it. */
    async function died(): Promise<{ store: Store; records: Records; clock: ManualClock }> {
      const { store, clock, reopen } = await opened([entry('m1', 'a'), entry('m2', 'a'), entry('m3', 'a')], DEAD);
      expect(ids(await claimAll(store))).toEqual(['m2']);
      const after = await reopen();
      clock.advance(LEASE_MS);
      return { ...after, clock };
    }

    /** What is claimed and then delivered, and whether it was in doubt. */
    async function doubts(store: Store): Promise<[string, boolean][]> {
      const seen: [string, boolean][] = [];
      let next: Claim | undefined = await one(store);
      while (next) {
        seen.push([next.message.id, next.isInDoubt]);
        const settled = await store.settle(next, DELIVERED, KEEP);
        next = settled === 'stale' ? undefined : settled.next;
      }
      return seen;
    }

    test('stays with the message that was in flight when another is put before it', async () => {
      const { store, records } = await died();
      await records.decide('m1', REDRIVE);
      expect(await doubts(store)).toEqual([
        ['m1', false],
        ['m2', true],
        ['m3', false],
      ]);
    });

    test('stays with it though each has a lease of its own', async () => {
      const { store, records } = await died();
      await records.decide('m1', REDRIVE);
      await store.settle(await one(store), DELIVERED, undefined);
      expect(await one(store)).toMatchObject({ isInDoubt: true, message: { id: 'm2' } });
    });

    test('stays with it when the one behind it is discarded', async () => {
      const { store, records } = await died();
      await records.decide('m3', DISCARD);
      expect(await doubts(store)).toEqual([['m2', true]]);
    });

    test('goes with it when it is discarded itself', async () => {
      const { store, records } = await died();
      await records.decide('m2', DISCARD);
      expect(await doubts(store)).toEqual([['m3', false]]);
    });

    test('is of the message in flight when another was put before it under the lease', async () => {
      const { store, records, clock, reopen } = await opened([entry('m1', 'a'), entry('m2', 'a')], DEAD);
      await one(store);
      await records.decide('m1', REDRIVE);
      const after = await reopen();
      clock.advance(LEASE_MS);
      expect(await doubts(after.store)).toEqual([
        ['m1', false],
        ['m2', true],
      ]);
    });

    test('is of each message that was in flight when a process died', async () => {
      const { store, clock, reopen } = await opened([entry('m1', 'a'), entry('m2', 'a'), entry('m3', 'a')], DEAD, DEAD);
      await one(store);
      const second = await reopen();
      await second.records.decide('m2', REDRIVE);
      clock.advance(LEASE_MS);
      expect(await one(second.store)).toMatchObject({ isInDoubt: false, message: { id: 'm2' } });
      const third = await reopen();
      await third.records.decide('m1', REDRIVE);
      clock.advance(LEASE_MS);
      expect(await doubts(third.store)).toEqual([
        ['m1', false],
        ['m2', true],
        ['m3', true],
      ]);
    });

    test('ends with an attempt that was seen to its end', async () => {
      const { store, records, clock } = await died();
      await records.decide('m1', REDRIVE);
      await store.settle(await one(store), DELIVERED, undefined);
      await store.settle(await one(store), AGAIN, undefined);
      clock.advance(1_000);
      expect(await one(store)).toMatchObject({ isInDoubt: false, message: { id: 'm2' } });
    });

    test.each([
      ['unknown', UNKNOWN],
      ['dead', DEAD],
    ])('ends when a person has it tried again, who knew that it was %s', async (_, settlement) => {
      const { store, records } = await died();
      await records.decide('m1', REDRIVE);
      await store.settle(await one(store), DELIVERED, undefined);
      await store.settle(await one(store), settlement, undefined);
      await records.decide('m2', REDRIVE);
      expect(await one(store)).toMatchObject({ isInDoubt: false, message: { id: 'm2' } });
    });
  });

  /** One of each kind, each accepted a second after the one before, on channels and accounts of their own. */
  async function variety(): Promise<Opened & { readonly start: number }> {
    const it = await open();
    const { store, records, clock } = it;
    const start = clock.now();
    const kinds: [string, Entry][] = [
      ['dead', entry('m1', 'a', { message: message({ sender: 's1', providerId: 'p1' }) })],
      ['unknown', entry('m2', 'b', { account: 'other', channel: 'form', message: message({ sender: 's2' }) })],
      ['unroutable', strayEntry('m3', 's3')],
      ['delivered', entry('m4', 'd', { message: message({ sender: 's4' }) })],
      ['discarded', entry('m5', 'e', { message: message({ sender: 's5' }) })],
      ['waiting', entry('m6', 'f', { message: message({ sender: 's6', providerId: 'p6' }) })],
    ];
    const settlements: Readonly<Record<string, Settlement>> = {
      dead: DEAD,
      unknown: UNKNOWN,
      delivered: DELIVERED,
      discarded: DEAD,
    };
    for (const [kind, each] of kinds) {
      await store.accept([each]);
      const settlement = settlements[kind];
      const account = kind === 'unknown' ? 'other' : 'main';
      for (const claim of settlement ? await claimAll(store, account) : []) {
        if (settlement) await store.settle(claim, settlement, undefined);
      }
      if (kind === 'discarded') await records.decide(each.id, DISCARD);
      clock.advance(1_000);
    }
    return { ...it, start };
  }

  type TimedFilter = (start: number) => MessageFilter;
  const FILTERS: readonly [string, TimedFilter, readonly string[]][] = [
    ['nothing given', () => ({}), ['m1', 'm2', 'm3', 'm4', 'm5', 'm6']],
    ['state', () => ({ state: 'dead' }), ['m1', 'm3']],
    ['state', () => ({ state: 'unknown' }), ['m2']],
    ['state', () => ({ state: 'waiting' }), ['m6']],
    ['state', () => ({ state: 'delivered' }), ['m4']],
    ['state', () => ({ state: 'discarded' }), ['m5']],
    ['channel', () => ({ channel: 'form' }), ['m2']],
    ['account', () => ({ account: 'main' }), ['m1', 'm4', 'm5', 'm6']],
    ['authId', () => ({ authId: 'b' }), ['m2']],
    ['sender', () => ({ sender: 's3' }), ['m3']],
    ['providerId', () => ({ providerId: 'p1' }), ['m1']],
    ['reason', () => ({ reason: 'refused' }), ['m1']],
    ['reason', () => ({ reason: 'a test' }), ['m5']],
    ['since', (start) => ({ since: start + 2_000 }), ['m3', 'm4', 'm5', 'm6']],
    ['until', (start) => ({ until: start + 2_000 }), ['m1', 'm2']],
    ['several', (start) => ({ channel: 'chat', state: 'dead', since: start + 1 }), ['m3']],
    ['what fits none', () => ({ account: 'main', channel: 'form' }), []],
  ];
  const ASIDE = ['m1', 'm2', 'm3'];

  describe(`${name}: walk`, () => {
    test.each(FILTERS)('finds what is set aside by its filter: %s', async (_, filter, expected) => {
      const { records, start } = await variety();
      const walks = await walkAll(records, filter(start));
      const aside = expected.filter((id) => ASIDE.includes(id));
      expect(walks.reduce((sum, { count }) => sum + count, 0)).toBe(aside.length);
      expect(walks.flatMap(({ samples }) => samples.map(({ id }) => id)).sort()).toEqual(aside);
    });

    test('gives the groups of what matches, each once, by which they can be redriven', async () => {
      const { store, records } = await opened([entry('m1', 'a'), entry('m2', 'a')], DEAD, DEAD);
      await settleEach(store, [entry('m4', 'b')], { ...DEAD, reason: 'expired' });
      await store.accept([strayEntry('m5', 's')]);
      const groups = async (filter: MessageFilter) => (await records.walk(filter, undefined)).groups;
      expect([...(await groups({}))].sort()).toEqual([strayGroup('chat', { sender: 's' }), groupOf('a'), groupOf('b')]);
      expect(await groups({ reason: 'expired' })).toEqual([groupOf('b')]);
    });

    test('shows some of what it counts', async () => {
      const { store, records } = await open();
      await store.accept(Array.from({ length: 50 }, (_, index) => strayEntry(`m${index}`, 's')));
      const { count, samples } = await records.walk({}, undefined);
      expect(count).toBe(50);
      expect(samples.length).toBeGreaterThan(0);
      expect(samples.length).toBeLessThan(50);
    });

    test('sees all of what matches once, in parts, whatever the size of its groups', async () => {
      const { store, records } = await open();
      await acceptStrays(store, (index) => (index < 3_000 ? 'large' : `s${index}`));
      const walks = await walkAll(records, {});
      expect(walks.length).toBeGreaterThan(1);
      expect(walks.reduce((sum, { count }) => sum + count, 0)).toBe(MANY);
      expect(new Set(walks.flatMap(({ groups }) => groups)).size).toBe(1 + MANY - 3_000);
    });

    test('goes on over parts in which nothing matches', async () => {
      const { store, records } = await open();
      await acceptStrays(store, (index) => `s${String(index).padStart(5, '0')}`);
      const walks = await walkAll(records, { sender: 's04400' });
      expect(walks.map(({ count }) => count).filter((count) => count > 0)).toEqual([1]);
    });

    test('goes on where it was, though what it saw is redriven in between', async () => {
      const { store, records } = await open();
      await acceptStrays(store, (index) => `s${index % 300}`);
      let after: Cursor | undefined;
      let redriven = 0;
      do {
        const walk = await records.walk({}, after);
        for (const group of walk.groups) redriven += (await records.redrive(group, {}, routing(to('z')))).redriven;
        after = walk.next;
      } while (after);
      expect(redriven).toBe(MANY);
      expect(await surveyOf(records)).toMatchObject({ waiting: MANY });
    });
  });

  describe(`${name}: discard`, () => {
    test('discards what matches, for the reason given, and leaves the rest', async () => {
      const { store, records } = await opened([entry('m1', 'a'), entry('m2', 'a')], DEAD, {
        ...DEAD,
        reason: 'expired',
      });
      await store.accept([entry('m3', 'a')]);
      expect(await records.discard(groupOf('a'), { reason: 'expired' }, 'spam')).toBe(1);
      expect(await listAll(records, { state: 'discarded' })).toMatchObject([{ id: 'm2', reason: 'spam' }]);
      expect(await listed(records, { state: 'dead' })).toEqual(['m1']);
      expect(ids(await claimAll(store))).toEqual(['m3']);
    });

    test('lets the conversations go on that wait behind them', async () => {
      const { store, records } = await opened([entry('m1', 'a'), entry('m2', 'a')], UNKNOWN);
      expect(await records.discard(groupOf('a'), {}, 'spam')).toBe(1);
      expect(await surveyOf(records)).toMatchObject({ stopped: 0, unknown: 0, waiting: 1 });
      expect(ids(await claimAll(store))).toEqual(['m2']);
    });

    test('takes all of a large group, and leaves what was put back meanwhile', async () => {
      const { store, records } = await open();
      await store.accept(Array.from({ length: 300 }, (_, index) => strayEntry(`m${index}`, 's')));
      const group = strayGroup('chat', { sender: 's' });
      const discarding = records.discard(group, {}, 'spam');
      expect(await records.decide('m299', { kind: 'redrive', routing: routing(to('z')) })).toBe('done');
      expect(await discarding).toBe(299);
      expect(await deliverAll(store)).toEqual(['m299']);
    });
  });

  describe(`${name}: list`, () => {
    test.each(FILTERS)('finds by its filter, the newest first: %s', async (_, filter, expected) => {
      const { records, start } = await variety();
      expect(await listed(records, filter(start))).toEqual(expected.toReversed());
    });

    test('says of each what became of it', async () => {
      const { records, start } = await variety();
      const [stray, unknown] = await listAll(records, { until: start + 3_000 });
      expect(unknown).toMatchObject({ id: 'm2', state: 'unknown', account: 'other', authId: 'b', sender: 's2' });
      expect(stray).toEqual({
        id: 'm3',
        state: 'dead',
        reason: 'unroutable',
        channel: 'chat',
        account: null,
        businessId: null,
        authId: null,
        sender: 's3',
        providerId: null,
        acceptedAt: start + 2_000,
        settledAt: start + 2_000,
        attempts: 0,
        messageId: null,
        createdAt: null,
        route: null,
        tableVersion: 'v1',
      });
    });

    test('by pages gives each once, also when more comes in between', async () => {
      const { store, records } = await open();
      await store.accept(Array.from({ length: 7 }, (_, index) => entry(`m${index}`, `a${index}`)));
      const first = await records.list({}, { after: undefined, limit: 3 });
      await store.accept([entry('late', 'z')]);
      const second = await records.list({}, { after: first.next, limit: 3 });
      const third = await records.list({}, { after: second.next, limit: 3 });
      const pages = [first, second, third].map(({ items }) => items.map(({ id }) => id));
      expect(pages).toEqual([['m6', 'm5', 'm4'], ['m3', 'm2', 'm1'], ['m0']]);
      expect(third.next).toBeUndefined();
    });

    test.each([{}, { state: 'dead' }] as const)('comes to all of very many: %j', async (filter) => {
      const { store, records } = await open();
      await acceptStrays(store, (index) => `s${index}`);
      const found = await listAll(records, filter, 700);
      expect(found.map(({ id }) => id)).toEqual(Array.from({ length: MANY }, (_, index) => `m${MANY - 1 - index}`));
    });

    test('finds the one that matches among very many', async () => {
      const { store, records } = await open();
      await acceptStrays(store, (index) => `s${index}`);
      expect(await listed(records, { sender: 's3' })).toEqual(['m3']);
      expect(await listed(records, { state: 'waiting' })).toEqual([]);
    });
  });

  describe(`${name}: recent`, () => {
    const all = { before: undefined, limit: 20 };

    test('has nothing where nothing is', async () => {
      const { records } = await open();
      expect(await records.recent(all)).toEqual({ items: [], next: undefined });
    });

    test('gives the last messages as they came, whatever became of them, the newest first', async () => {
      const { store, records } = await opened([entry('delivered', 'a')], DELIVERED);
      await settleEach(store, [entry('dead', 'a')], DEAD);
      await settleEach(store, [entry('unknown', 'b')], UNKNOWN);
      await settleEach(store, [entry('discarded', 'a')], DEAD);
      await records.decide('discarded', DISCARD);
      const odd = message({
        text: 'a\0b \ud83d 🤷',
        fields: { a: [null, 1e300, { '': '\0' }] },
        attachments: [{ url: 'https://a/b', size: 7 }],
        providerId: 'p',
        sentAt: '2026-11-22T12:30:00Z',
        name: 'n',
        email: 'e',
        phone: '+1',
      });
      const waiting = { ...entry('waiting', 'a'), channel: 'sms', message: odd };
      await store.accept([strayEntry('stray', 's7'), waiting]);
      const { items, next } = await records.recent(all);
      const usual = ['discarded', 'unknown', 'dead', 'delivered'].map((id) => ({
        ...{ id, channel: 'chat', message: message() },
      }));
      const stray = { id: 'stray', channel: 'chat', message: message({ sender: 's7' }) };
      expect(items).toEqual([{ id: 'waiting', channel: 'sms', message: odd }, stray, ...usual]);
      expect(next).toBeUndefined();
    });

    test('keeps the place of what was put back', async () => {
      const { store, records } = await opened([entry('m1', 'a')], DEAD);
      await store.accept([entry('m2', 'a')]);
      await records.decide('m1', REDRIVE);
      expect((await records.recent(all)).items.map(({ id }) => id)).toEqual(['m2', 'm1']);
    });

    test('gives no message where its content is erased, and one that is empty as it came', async () => {
      const empty = message({ text: '', fields: null });
      const { store, records } = await opened([entry('delivered', 'a', { message: empty })], DELIVERED);
      await settleEach(store, [entry('discarded', 'a', { message: empty })], DEAD);
      await records.decide('discarded', DISCARD);
      await store.prune({ contentMs: 0, rowsMs: 1_000, limit: 10 });
      await settleEach(store, [entry('kept', 'a', { message: empty })], DELIVERED);
      expect((await records.recent(all)).items).toEqual([
        { id: 'kept', channel: 'chat', message: empty },
        { id: 'discarded', channel: 'chat', message: undefined },
        { id: 'delivered', channel: 'chat', message: undefined },
      ]);
    });

    test.each([1, 7, 20, 1_000])('by pages of %i gives each once, also when more comes in between', async (limit) => {
      const { store, records } = await open();
      await store.accept(Array.from({ length: 45 }, (_, index) => entry(`m${index}`, 'a')));
      const found: string[] = [];
      for (let before: number | undefined, count = 0; ; count += 1) {
        const { items, next } = await records.recent({ before, limit });
        expect(items.length).toBeLessThanOrEqual(limit);
        found.push(...items.map(({ id }) => id));
        if (next === undefined) break;
        before = next;
        await store.accept([entry(`late${count}`, 'a')]);
      }
      expect(found).toEqual(Array.from({ length: 45 }, (_, index) => `m${44 - index}`));
    });
  });

  describe(`${name}: get`, () => {
    test('knows nothing of a message that is not there', async () => {
      const { records } = await open();
      expect(await records.get('m1')).toBeUndefined();
    });

    test('gives all that is known of a message', async () => {
      const { store, records, clock } = await open();
      const fields = { order: [7, { open: true }] };
      await settleEach(store, [entry('m1', 'a', { message: message({ fields, providerId: 'p' }) })], DEAD);
      expect(await records.get('m1')).toEqual({
        id: 'm1',
        state: 'dead',
        reason: 'refused',
        channel: 'chat',
        account: 'main',
        businessId: 1,
        authId: 'a',
        sender: 's',
        providerId: 'p',
        acceptedAt: clock.now(),
        settledAt: clock.now(),
        attempts: 1,
        messageId: null,
        createdAt: null,
        route: 'routes[0]',
        tableVersion: 'v1',
        detail: 'HTTP 400',
        text: 't',
        fields,
        attemptLog: [ATTEMPT],
        stops: false,
        waitsBehind: null,
      });
    });

    test('of what no route fitted has the text that came', async () => {
      const { store, records } = await open();
      await store.accept([strayEntry('m1', 's')]);
      expect(await records.get('m1')).toMatchObject({ text: message({}).text, fields: {}, detail: 'no route fits' });
    });

    test('shows its attempts, each as it was, the oldest first', async () => {
      const { store, records, clock } = await open();
      await store.accept([entry('m1', 'a')]);
      const attempts = [
        { at: 1, outcome: 'retry', status: 503, duration: 5, detail: 'HTTP 503 "busy"' },
        { at: 2, outcome: 'hold', status: 401, duration: 6, detail: 'HTTP 401' },
        { at: 3, outcome: 'delivered', status: 200, duration: 7, detail: null },
      ] as const;
      const [first, second, third] = attempts;
      await store.settle(await one(store), { ...AGAIN, attempt: first }, undefined);
      clock.advance(1_000);
      await store.settle(await one(store), { ...AGAIN, isSpent: false, attempt: second }, undefined);
      expect(await records.get('m1')).toMatchObject({ state: 'waiting', attempts: 1, detail: 'HTTP 500' });
      clock.advance(1_000);
      await store.settle(await one(store), { ...DELIVERED, attempt: third }, undefined);
      expect(await records.get('m1')).toMatchObject({ attempts: 2, detail: null, attemptLog: attempts });
    });

    test('shows the last 100 attempts of a message that is tried on and on', async () => {
      const { store, records } = await open();
      await store.accept([entry('m1', 'a')]);
      for (let at = 0; at < 103; at += 1) {
        await store.settle(await one(store), { ...AGAIN, dueInMs: 0, attempt: { ...ATTEMPT, at } }, undefined);
      }
      const { attempts, attemptLog } = (await records.get('m1')) ?? {};
      expect(attempts).toBe(103);
      expect(attemptLog?.map(({ at }) => at)).toEqual(Array.from({ length: 100 }, (_, index) => index + 3));
    });
  });

  describe(`${name}: prune`, () => {
    test('erases what was discarded, and keeps why', async () => {
      const { store, records } = await opened([entry('m1', 'a')], DEAD);
      await records.decide('m1', DISCARD);
      await store.prune({ contentMs: 0, rowsMs: 1_000, limit: 10 });
      const erased = { state: 'discarded', reason: 'a test', text: undefined, fields: undefined, detail: null };
      expect(await records.get('m1')).toMatchObject({ ...erased, sender: 's', authId: 'a' });
    });

    test('forgets what was discarded, and then a repeat is a new message', async () => {
      const { store, records, clock } = await opened([entry('m1', 'a', { providerId: 'p' })], DEAD);
      clock.advance(5_000);
      await records.decide('m1', DISCARD);
      const prune = () => store.prune({ contentMs: 1_000, rowsMs: 1_000, limit: 10 });
      clock.advance(999);
      await prune();
      expect(await store.accept([entry('m2', 'a', { providerId: 'p' })])).toMatchObject([{ isDuplicate: true }]);
      clock.advance(1);
      await prune();
      expect(await records.get('m1')).toBeUndefined();
      expect(await store.accept([entry('m2', 'a', { providerId: 'p' })])).toMatchObject([{ isDuplicate: false }]);
    });

    test('never touches what is dead or unknown', async () => {
      const { store, records, clock } = await opened([entry('m1', 'a'), entry('m2', 'a')], DEAD, UNKNOWN);
      await store.accept([strayEntry('m3', 's')]);
      clock.advance(1e12);
      await store.prune({ contentMs: 0, rowsMs: 0, limit: 10 });
      expect(await records.get('m1')).toMatchObject({ state: 'dead', text: 't' });
      expect(await records.get('m2')).toMatchObject({ state: 'unknown', text: 't' });
      expect(await records.get('m3')).toMatchObject({ state: 'dead', fields: {} });
    });
  });
}
