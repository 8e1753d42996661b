import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { type Trouble, Troubles } from './troubles.ts';

beforeEach(() => void jest.useFakeTimers({ now: 0 }));
afterEach(() => void jest.useRealTimers());

const at = (ms: number) => jest.setSystemTime(ms);

function troubled(...spans: readonly (readonly [cause: Trouble, from: number, to: number])[]): Troubles {
  const troubles = new Troubles(5_000);
  for (const [cause, from, to] of spans) {
    at(from);
    const end = troubles.begin(cause);
    at(to);
    end();
  }
  return troubles;
}

test('what is short costs no lease, and what follows soon makes it longer', () => {
  expect(troubled(['cut', 10_000, 17_000]).lostLeases).toEqual([]);
  expect(troubled(['cut', 10_000, 14_000], ['hang', 17_000, 22_000]).lostLeases).toEqual([]);
  expect(troubled(['cut', 10_000, 14_000], ['hang', 16_000, 21_000]).lostLeases).toEqual([
    { cause: 'hang', from: 8_000, to: 21_000, losesLeases: true },
    { cause: 'cut', from: 8_000, to: 21_000, losesLeases: true },
  ]);
});

test('it is felt for a while after its end, and what was answered since its beginning may be unwritten for a moment', () => {
  const troubles = troubled(['mute', 10_000, 12_000]);
  at(14_000);
  expect([troubles.isFelt, troubles.unwrittenSince]).toEqual([true, 8_000]);
  at(16_000);
  expect([troubles.isFelt, troubles.unwrittenSince]).toEqual([true, 14_000]);
  at(18_000);
  expect([troubles.isFelt, troubles.unwrittenSince]).toEqual([false, 16_000]);
});

test('while it lasts it is felt', () => {
  const troubles = new Troubles(5_000);
  at(10_000);
  troubles.begin('cut');
  at(60_000);
  expect([troubles.isFelt, troubles.unwrittenSince]).toEqual([true, 8_000]);
});
