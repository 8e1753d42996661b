import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { backoffMs } from '../../src/outbox/backoff.ts';

test('the longest wait doubles with each attempt, from 1 s to 10 min', () => {
  const almostOne = 1 - Number.EPSILON;
  expect([1, 2, 3, 4, 10, 11, 1000].map((attempt) => backoffMs(attempt, undefined, almostOne) + 1)).toEqual([
    1_000, 2_000, 4_000, 8_000, 512_000, 600_000, 600_000,
  ]);
});

test('any wait between nothing and the longest is possible', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2_000 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (attempt, random) => {
        const wait = backoffMs(attempt, undefined, random);
        expect(wait).toBeGreaterThanOrEqual(0);
        expect(wait).toBeLessThan(Math.min(600_000, 1_000 * 2 ** (attempt - 1)));
      },
    ),
  );
});

test('what the far end asks for wins, up to an hour', () => {
  expect(backoffMs(1, 20_000, 0)).toBe(20_000);
  expect(backoffMs(1, 9_999_999_999, 0)).toBe(3_600_000);
});
