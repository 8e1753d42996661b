import { describe, expect, test } from '@jest/globals';
import { repeatKey } from '../../src/outbox/postgres/conversation.ts';
import type { PostgresStore } from '../../src/outbox/postgres/store.ts';
import { type Acceptance, type Claim, type Entry, StoreUnavailable } from '../../src/outbox/store.ts';
import { claimAll, ids, KEEP, LEASE_MS, one } from './contract.ts';
import { type Kit, lockConversations, openKit } from './postgres-kit.ts';
import { DELIVERED, entry } from './samples.ts';

/** Several processes on one database, whose steps are forced into the order in which they could do harm. */

async function open(count: number): Promise<{ readonly kit: Kit; readonly stores: readonly PostgresStore[] }> {
  const kit = await openKit();
  const stores: PostgresStore[] = [];
  for (let index = 0; index < count; index += 1) stores.push(await kit.start());
  return { kit, stores };
}

async function two() {
  const { kit, stores } = await open(2);
  const [first, second] = stores;
  if (!first || !second) throw new Error('no stores');
  return { kit, first, second };
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/** As a sender does: again, until it is taken. */
async function acceptAgain(store: PostgresStore, entries: readonly Entry[]): Promise<readonly Acceptance[]> {
  for (;;) {
    try {
      return await store.accept(entries);
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
    }
  }
}

describe('a settle that waits', () => {
  test('and gets through before the claim of its conversation: nothing is delivered again', async () => {
    const { kit, first, second } = await two();
    await first.accept([entry('m1', 'a')]);
    const claim = await one(first);
    const letGo = await lockConversations(await kit.session());
    const settled = first.settle(claim, DELIVERED, KEEP);
    await kit.waiting(1);
    kit.advance(LEASE_MS);
    expect(await claimAll(second)).toEqual([]);
    await letGo();
    expect(await settled).toEqual({ next: undefined, hasMore: false });
    expect(await claimAll(second)).toEqual([]);
  });

  test('for another claim of its conversation is stale, and changes nothing', async () => {
    const { kit, first, second } = await two();
    await first.accept([entry('m1', 'a')]);
    const claim = await one(first);
    kit.advance(LEASE_MS);
    // Stops the claim between its two statements: the conversation is leased, its message is yet to be read.
    const holder = await kit.session();
    await holder.query('begin');
    await holder.query('lock table haptik_bridge.messages in access exclusive mode');
    const claimed = one(second);
    await kit.waiting(1);
    const settled = first.settle(claim, DELIVERED, KEEP);
    await kit.waiting(2);
    await holder.query('commit');
    expect(await settled).toBe('stale');
    expect(await claimed).toMatchObject({ isInDoubt: true, message: { id: 'm1', attempts: 0 } });
  });
});

describe('accepts that cross', () => {
  test('in conversations: neither waits for the other, and nothing is lost', async () => {
    const { stores } = await open(2);
    for (const round of range(15)) {
      await Promise.all(
        stores.map((store, replica) => {
          const conversations = replica === 0 ? range(40) : range(40).reverse();
          return store.accept(conversations.map((name) => entry(`m${round}-${replica}-${name}`, `c${name}`)));
        }),
      );
    }
    const [store] = stores;
    if (!store) throw new Error('no store');
    const claims = await claimAll(store);
    expect(claims).toHaveLength(40);
    expect(await store.recount(undefined, 100)).toEqual({ next: undefined, mended: [] });
  });

  test('in ids of providers: each is stored once, at the latest when it is sent again', async () => {
    const { stores } = await open(2);
    const answers = await Promise.all(
      stores.map((store, replica) => {
        const order = replica === 0 ? range(300) : range(300).reverse();
        return acceptAgain(
          store,
          order.map((name) => entry(`m${replica}-${name}`, `c${name % 7}`, { providerId: `p${name}` })),
        );
      }),
    );
    const firsts = answers.flat().filter(({ isDuplicate }) => !isDuplicate);
    expect(firsts).toHaveLength(300);
    expect(new Set(answers.flat().map(({ id }) => id)).size).toBe(300);
  });
});

describe('windows of repeats', () => {
  const form = (id: string, key: string) => entry(id, 'a', { repeat: { key, withinMs: 60_000 } });

  test('that cross: each is opened once, and nobody has to try again', async () => {
    const { kit, first, second } = await two();
    const holder = await kit.session();
    await holder.query('begin');
    await holder.query("insert into haptik_bridge.repeats values ($1, 'm0', 0)", [repeatKey('chat', 'held')]);
    const keys = ['f', 'held', 'g'];
    const accepted = [
      first.accept(keys.map((key) => form(`m1-${key}`, key))),
      second.accept(keys.toReversed().map((key) => form(`m2-${key}`, key))),
    ];
    await kit.waiting(2);
    await holder.query('rollback');
    const answers = (await Promise.all(accepted)).flat();
    expect(answers.filter(({ isDuplicate }) => !isDuplicate)).toHaveLength(3);
    expect(new Set(answers.map(({ id }) => id)).size).toBe(3);
  });

  test('are open also for who began before the first was stored', async () => {
    const { kit, first, second } = await two();
    const holder = await kit.session();
    await holder.query('begin');
    await holder.query('lock table haptik_bridge.repeats in access exclusive mode');
    const late = second.accept([form('m2', 'f')]);
    await kit.waiting(1);
    kit.advance(1_000);
    const early = first.accept([form('m1', 'f')]);
    await kit.waiting(2);
    await holder.query('commit');
    const [[before], [after]] = await Promise.all([early, late]);
    expect(before?.id).toBe(after?.id);
    // Now for certain.
    kit.advance(-1_000);
    expect(await second.accept([form('m3', 'f')])).toMatchObject([{ id: before?.id, isDuplicate: true }]);
    kit.advance(60_999);
    expect(await second.accept([form('m4', 'f')])).toMatchObject([{ id: before?.id, isDuplicate: true }]);
  });

  test('are over when the clock is set back for long', async () => {
    const { kit, first } = await two();
    await first.accept([form('m1', 'f')]);
    kit.advance(-7_200_000);
    expect(await first.accept([form('m2', 'f')])).toMatchObject([{ id: 'm2', isDuplicate: false }]);
    kit.advance(59_999);
    expect(await first.accept([form('m3', 'f')])).toMatchObject([{ id: 'm2', isDuplicate: true }]);
  });

  test('cost those nothing that have none', async () => {
    const { kit, first } = await two();
    await kit.query('drop table haptik_bridge.repeats');
    expect(await first.accept([entry('m1', 'a', { providerId: 'p' })])).toMatchObject([{ isDuplicate: false }]);
  });
});

describe.each([
  ['by an id', { providerId: 'p' }],
  ['within a window', { repeat: { key: 'f', withinMs: 60_000 } }],
])('a repeat %s of what is not stored yet', (_name, known) => {
  /** The first one has its place in the index, and waits for its conversation. */
  async function uncommitted() {
    const { kit, first, second } = await two();
    await first.accept([entry('m0', 'a')]);
    const letGo = await lockConversations(await kit.session());
    const firsts = first.accept([entry('m1', 'a', known)]);
    await kit.waiting(1);
    let isAnswered = false;
    const repeat = second.accept([entry('m2', 'b', known)]).finally(() => {
      isAnswered = true;
    });
    await kit.waiting(2);
    expect(isAnswered).toBe(false);
    return { firsts, repeat, letGo, second };
  }

  test('is answered after it, with its id', async () => {
    const { firsts, repeat, letGo, second } = await uncommitted();
    await letGo();
    expect(await firsts).toMatchObject([{ id: 'm1', isDuplicate: false }]);
    expect(await repeat).toMatchObject([{ id: 'm1', isDuplicate: true }]);
    expect(ids(await claimAll(second))).toEqual(['m0']);
  });

  test('is stored itself when the first one was not', async () => {
    const { firsts, repeat, letGo, second } = await uncommitted();
    await expect(firsts).rejects.toThrow(StoreUnavailable);
    expect(await repeat).toMatchObject([{ id: 'm2', isDuplicate: false }]);
    await letGo();
    expect(ids(await claimAll(second)).sort()).toEqual(['m0', 'm2']);
  });
});

describe('an accept, and the settle that empties its conversation', () => {
  async function contended() {
    const { kit, first, second } = await two();
    await first.accept([entry('m1', 'a')]);
    const claim = await one(first);
    const letGo = await lockConversations(await kit.session());
    return { kit, first, second, claim, letGo };
  }

  test('which comes first: the message begins a conversation anew, with its lease', async () => {
    const { kit, first, second, claim, letGo } = await contended();
    const settled = first.settle(claim, DELIVERED, KEEP);
    await kit.waiting(1);
    const accepted = second.accept([entry('m2', 'a', { lease: { token: 't', leaseMs: LEASE_MS } })]);
    await kit.waiting(2);
    await letGo();
    expect(await settled).toEqual({ next: undefined, hasMore: false });
    expect(await accepted).toMatchObject([{ claim: { lease: 't', message: { id: 'm2' } } }]);
    expect(await claimAll(first)).toEqual([]);
  });

  test('which comes second: it goes on with the message', async () => {
    const { kit, first, second, claim, letGo } = await contended();
    const accepted = second.accept([entry('m2', 'a', { lease: { token: 't', leaseMs: LEASE_MS } })]);
    await kit.waiting(1);
    const settled = first.settle(claim, DELIVERED, KEEP);
    await kit.waiting(2);
    await letGo();
    expect(await accepted).toMatchObject([{ claim: undefined }]);
    expect(await settled).toMatchObject({ next: { message: { id: 'm2' }, isInDoubt: false } });
  });

  test('however they fall: it is delivered next, and counted right', async () => {
    const { first, second } = await two();
    await first.accept([entry('m0', 'a')]);
    for (const round of range(60)) {
      const claim = await one(first);
      expect(claim.message.id).toBe(`m${round}`);
      await Promise.all([second.accept([entry(`m${round + 1}`, 'a')]), first.settle(claim, DELIVERED, undefined)]);
    }
    expect(await first.recount(undefined, 10)).toEqual({ next: undefined, mended: [] });
  });
});

test('claims of several processes at once: no conversation is given twice, and none is left', async () => {
  const { stores } = await open(4);
  await stores[0]?.accept(range(300).map((name) => entry(`m${name}`, `c${name}`)));
  const claimed: Claim[] = [];
  const most = { account: 'main', limit: 7, leaseMs: LEASE_MS, busy: new Set<string>() };
  await Promise.all(
    stores.map(async (store) => {
      for (let isMore = true; isMore; ) {
        const { claims } = await store.claim(most);
        claimed.push(...claims);
        isMore = claims.length > 0;
      }
    }),
  );
  const left = await Promise.all(stores.map((store) => claimAll(store)));
  const all = [...claimed, ...left.flat()];
  expect(all).toHaveLength(300);
  expect(new Set(all.map(({ conversation }) => conversation)).size).toBe(300);
});

test('all at once: each message is delivered once, in order, and nothing was ever counted wrong', async () => {
  const { kit, stores } = await open(3);
  const CONVERSATIONS = 12;
  const EACH = 25;
  const delivered = new Map(range(CONVERSATIONS).map((name) => [`c${name}`, [] as string[]]));
  let count = 0;
  const isDone = () => count === CONVERSATIONS * EACH;
  const senders = range(CONVERSATIONS).map(async (name) => {
    for (const turn of range(EACH)) {
      const store = stores[(name + turn) % stores.length];
      await store?.accept([entry(`c${name}-${turn}`, `c${name}`, { providerId: `c${name}-${turn}` })]);
      await store?.accept([entry(`again-c${name}-${turn}`, `c${name}`, { providerId: `c${name}-${turn}` })]);
    }
  });
  const workers = stores.flatMap((store) => [
    (async () => {
      while (!isDone()) {
        const { claims } = await store.claim({ account: 'main', limit: 3, leaseMs: LEASE_MS, busy: new Set() });
        for (let claim of claims) {
          for (let turn = 0; ; turn += 1) {
            delivered.get(claim.message.delivery.authId)?.push(claim.message.id);
            count += 1;
            expect(claim.isInDoubt).toBe(false);
            await store.renew([claim], LEASE_MS);
            const result = await store.settle(claim, DELIVERED, turn < 3 ? KEEP : undefined);
            if (result === 'stale') throw new Error('lost a lease that had not ended');
            if (result.next === undefined) break;
            claim = result.next;
          }
        }
      }
    })(),
    (async () => {
      while (!isDone()) {
        expect((await store.recount(undefined, 5)).mended).toEqual([]);
        await store.prune({ contentMs: 0, rowsMs: 60_000, limit: 20 });
      }
    })(),
  ]);
  await Promise.all([...senders, ...workers]);
  for (const [name, texts] of delivered) expect(texts).toEqual(range(EACH).map((turn) => `${name}-${turn}`));
  expect(kit.lines.filter(({ level }) => level === 'error')).toEqual([]);
  expect(await kit.query('select 1 from haptik_bridge.conversations')).toEqual([]);
});

test('many messages in one accept keep their order', async () => {
  const { kit, first } = await two();
  const names = range(500).map((name) => entry(`m${String(name).padStart(3, '0')}`, `c${name % 3}`));
  await first.accept(names);
  const rows = await kit.query<{ id: string }>('select id from haptik_bridge.messages order by seq');
  expect(rows.map(({ id }) => id)).toEqual(names.map(({ id }) => id));
});

test('the defaults of the database change none of it', async () => {
  const kit = await openKit();
  const name = new URL(kit.url).pathname.slice(1);
  for (const setting of [
    "default_transaction_isolation = 'serializable'",
    "client_min_messages = 'error'",
    'synchronous_commit = off',
  ]) {
    await kit.query(`alter database ${name} set ${setting}`);
  }
  const first = await kit.start();
  const second = await kit.start();
  await first.accept([entry('m1', 'a', { providerId: 'p' })]);
  const claim = await one(first);
  const letGo = await lockConversations(await kit.session());
  const accepted = second.accept([entry('m2', 'a')]);
  await kit.waiting(1);
  const settled = first.settle(claim, DELIVERED, KEEP);
  await kit.waiting(2);
  await letGo();
  expect(await accepted).toMatchObject([{ isDuplicate: false }]);
  expect(await settled).toMatchObject({ next: { message: { id: 'm2' } } });
});
