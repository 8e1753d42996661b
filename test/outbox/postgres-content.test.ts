import { describe, expect, test } from '@jest/globals';
import { claimAll, KEEP, one } from './contract.ts';
import { openKit } from './postgres-kit.ts';
import { DEAD, DELIVERED, delivery, EVERY_ACCOUNT, entry, message, strayEntry } from './samples.ts';

/** What text may hold, and databases do not like. */
const STRANGE = [
  ['a NUL', 'a\0b'],
  ['half of a pair', 'a\ud83db'],
  ['quotes and backslashes', `'"\\'; drop table messages; -- {},NULL,"\\"`],
  ['line ends', 'a\r\nb\u2028c\td'],
  ['nothing but blanks', '  '],
  ['much of the world', 'ภาษาไทย 🤷🏽‍♀️ \u200f\u202e ß İ'],
] as const;

describe('text with', () => {
  test.each(STRANGE)('%s is stored wherever it may come', async (_name, text) => {
    const kit = await openKit();
    const store = await kit.start();
    const placement = {
      route: text,
      delivery: delivery(text, { text, user: { name: text, custom_data: { [text]: text } } }),
    };
    const content = message({
      text,
      sender: text,
      recipient: text,
      name: text,
      providerId: text,
      fields: { [text]: [text, null] },
    });
    const strange = { ...entry('m1', 'a'), placement, message: content, tableVersion: text };
    expect(await store.accept([strange, { ...strange, id: 'm2' }])).toMatchObject([
      { id: 'm1', isDuplicate: false },
      { id: 'm1', isDuplicate: true },
    ]);
    expect(await store.accept([{ ...strange, id: 'm3' }])).toMatchObject([{ id: 'm1', isDuplicate: true }]);
    await store.accept([strayEntry('m4', text)]);
    const claim = await one(store);
    expect(claim.message.delivery).toEqual(placement.delivery);

    const attempt = { at: 1, outcome: 'delivered', status: 200, duration: 1, detail: text } as const;
    const failed = { state: 'waiting', dueInMs: 0, isSpent: true, detail: text, attempt } as const;
    expect(await store.settle(claim, failed, undefined)).toMatchObject({ hasMore: true });
    const settled = { state: 'delivered', messageId: text, createdAt: text, attempt } as const;
    expect(await store.settle(await one(store), settled, undefined)).toMatchObject({ hasMore: false });
    expect(await store.records.get('m1')).toMatchObject({ state: 'delivered', attempts: 2 });
  });
});

test('names as long as they come: of a provider, a sender, a user, also of dead letters that are redriven in order', async () => {
  const kit = await openKit();
  const store = await kit.start();
  const long = '🤷'.repeat(1_000);
  const authId = 'a'.repeat(5_000);
  const known = { ...entry('m1', authId), message: message({ sender: long, providerId: long }) };
  expect(await store.accept([known, { ...known, id: 'again' }])).toMatchObject([
    { isDuplicate: false },
    { id: 'm1', isDuplicate: true },
  ]);
  await store.accept([entry('m2', authId), strayEntry('stray', long)]);
  const first = await store.settle(await one(store), DEAD, KEEP);
  if (first === 'stale' || !first.next) throw new Error('no next');
  await store.settle(first.next, DEAD, undefined);
  await store.accept([entry('m3', authId)]);
  const { groups } = await store.records.walk({ state: 'dead', account: 'main' }, undefined);
  expect(groups).toHaveLength(1);
  const table = { version: 'v2', accounts: EVERY_ACCOUNT, place: () => entry('x', authId).placement };
  for (const reroute of [false, true]) {
    expect(await store.records.redrive(String(groups[0]), { reason: 'refused' }, { table, reroute })).toEqual({
      redriven: reroute ? 0 : 2,
      unplaced: 0,
    });
  }
  const claim = await one(store);
  expect([claim.message.id, claim.message.delivery.authId]).toEqual(['m1', authId]);
  const then = await store.settle(claim, DELIVERED, KEEP);
  expect(then).toMatchObject({ next: { message: { id: 'm2' } } });
});

test('what is delivered keeps no content at all where that is asked for', async () => {
  const kit = await openKit();
  const store = await kit.start({ eraseAtOnce: true });
  await store.accept([entry('m1', 'a'), entry('m2', 'b')]);
  const [first] = await claimAll(store, 'main', 1);
  if (first === undefined) throw new Error('no claim');
  await store.settle(first, DELIVERED, undefined);
  const { items } = await store.records.recent({ before: undefined, limit: 10 });
  const left = items.map(({ id, message: what }) => [id, what]);
  expect(left).toContainEqual([first.message.id, undefined]);
  expect(left).toContainEqual([first.message.id === 'm1' ? 'm2' : 'm1', message()]);
});

test('fields that are null are null', async () => {
  const kit = await openKit();
  const store = await kit.start();
  await store.accept([{ ...entry('m1', 'a'), message: message({ fields: null }) }]);
  expect(await kit.query('select message -> $1 as fields from haptik_bridge.messages', ['fields'])).toEqual([
    { fields: null },
  ]);
});

test('a message of 4 MB goes in and out', async () => {
  const kit = await openKit();
  const store = await kit.start();
  const text = 'äö"\\\n and so on, '.repeat(210_000);
  await store.accept([{ ...entry('m1', 'a'), placement: { route: 'r', delivery: delivery('a', { text }) } }]);
  const claim = await one(store);
  expect(claim.message.delivery.text).toBe(text);
  expect(await store.settle(claim, DELIVERED, undefined)).toEqual({ next: undefined, hasMore: false });
});

test('five thousand messages go in at once, in their order, and their repeats are known', async () => {
  const kit = await openKit();
  const store = await kit.start();
  const many = Array.from({ length: 5_000 }, (_, index) =>
    entry(`m${index}`, `c${index % 50}`, { providerId: `p${index}` }),
  );
  expect((await store.accept(many)).every(({ isDuplicate }) => !isDuplicate)).toBe(true);
  const again = await store.accept(many.map((one) => ({ ...one, id: `again-${one.id}` })));
  expect(again.map(({ id }) => id)).toEqual(many.map(({ id }) => id));
  expect((await claimAll(store)).map(({ message: { id } }) => Number(id.slice(1))).sort((a, b) => a - b)).toEqual(
    Array.from({ length: 50 }, (_, index) => index),
  );
});
