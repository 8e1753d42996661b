import { expect, test } from '@jest/globals';
import { fuzz } from './fuzz-presets.ts';

/** A short look at every run; `npm run fuzz -- --runs 100000` is a long one. */
const SECONDS = 4;

test('whatever comes to a channel of any provider is answered 2xx or 4xx, and what is taken is stored or counted', async () => {
  const result = await fuzz({ seed: Date.now() % 100_000, runs: 1_000_000, seconds: SECONDS });
  expect(result.fault).toBeUndefined();
  expect(result.stored).toBeGreaterThan(0);
});
