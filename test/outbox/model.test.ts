import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Outcome } from '../../src/message.ts';
import { ManualClock, temporaryFolder } from '../support/fixtures.ts';
import { HOUR_MS } from '../support/outbox.ts';
import { type Decided, type Deed, Model, type Step } from './model.ts';

/** A short look at every run, always at the same seeds; `FUZZ_SECONDS=600 npm run jest -- model` is a long one at others. */
const SECONDS = process.env.FUZZ_SECONDS === undefined ? undefined : Number(process.env.FUZZ_SECONDS);
/** `FUZZ_SEED=7` begins with the seed that a failure names. */
const FIRST_SEED = Number(process.env.FUZZ_SEED ?? (SECONDS === undefined ? 1 : Date.now() % 1_000_000_000));
const SEEDS = 60;
/** A failure tells its seed and its steps, and this long it is looked for fewer of them. */
const SHRINK_MS = 20_000;
const TEST_TIMEOUT_MS = (SECONDS ?? 20) * 1_000 + SHRINK_MS + 20_000;

/** So that a counterexample can be read. */
const PLAIN = { noNullPrototype: true } as const;

const outcome = fc.oneof(
  { weight: 9, arbitrary: fc.constant<Outcome>({ kind: 'delivered', messageId: '1', createdAt: null }) },
  {
    weight: 10,
    arbitrary: fc.constantFrom<Outcome>(
      { kind: 'retry', detail: 'HTTP 500' },
      { kind: 'retry', detail: 'HTTP 429', retryAfterMs: HOUR_MS, isOverload: true },
      { kind: 'unknown', detail: 'reset' },
      { kind: 'unknown', detail: 'HTTP 504', isOverload: true },
      { kind: 'dead', reason: 'refused', detail: 'HTTP 400' },
    ),
  },
  // Seldom, since everything then waits.
  {
    weight: 1,
    arbitrary: fc.constantFrom<Outcome>(
      { kind: 'hold', detail: 'HTTP 401', isSpent: false },
      { kind: 'hold', detail: 'registering the user: HTTP 403', isSpent: true },
    ),
  },
);

const decided: fc.Arbitrary<Decided> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record(
      {
        message: fc.nat({ max: 50 }),
        kind: fc.constantFrom('redrive', 'confirm', 'discard'),
      },
      PLAIN,
    ),
  },
  {
    weight: 3,
    arbitrary: fc.record(
      {
        all: fc.constantFrom('dead', 'unknown'),
        kind: fc.constantFrom('redrive', 'discard'),
      },
      PLAIN,
    ),
  },
);

const accept = fc.record(
  {
    step: fc.constant('accept'),
    authId: fc.constantFrom('a', 'b', 'c'),
    onUnknown: fc.constantFrom('retry', 'stop'),
    onDead: fc.constantFrom('continue', 'stop'),
    form: fc.constantFrom(undefined, undefined, undefined, 'f', 'g'),
  },
  PLAIN,
);
const answer = fc.record({ step: fc.constant('answer'), call: fc.nat({ max: 5 }), outcome }, PLAIN);
const decide = fc.record({ step: fc.constant('decide'), decided }, PLAIN);
const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 3, arbitrary: accept },
  { weight: 4, arbitrary: answer },
  { weight: 2, arbitrary: decide },
);

const pass = fc.constantFrom(10, 1_000, 6_000, 31_000, HOUR_MS).map((ms) => ({ step: 'pass' as const, ms }));
const jump = fc.constantFrom(20_000, 2 * HOUR_MS, -2 * HOUR_MS).map((ms) => ({ step: 'jump' as const, ms }));
const others = fc
  .constantFrom('pause', 'resume', 'resume', 'resume', 'prune', 'stop', 'crash')
  .map((name) => ({ step: name }));

const several = <T>(what: fc.Arbitrary<T>) => fc.array(what, { minLength: 2, maxLength: 3 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 35, arbitrary: deed },
  {
    weight: 10,
    arbitrary: fc.oneof(several(deed), several(decide)).map((deeds) => ({ step: 'at once' as const, deeds })),
  },
  { weight: 6, arbitrary: pass },
  { weight: 2, arbitrary: jump },
  { weight: 5, arbitrary: others },
);

const circumstances = fc.record(
  {
    concurrency: fc.integer({ min: 1, max: 4 }),
    maxPerSecond: fc.constantFrom(undefined, undefined, 5),
  },
  PLAIN,
);

test(
  'whatever happens, what is accepted is delivered in order, set aside or discarded, and never sent when it must not be',
  async () => {
    const folder = await temporaryFolder();
    const happening = fc.asyncProperty(
      circumstances,
      fc.array(step, { maxLength: 80, size: 'max' }),
      async (given, steps) => {
        const place = await mkdtemp(join(folder, 'outbox-'));
        const file = join(place, 'bridge.db');
        const model = await Model.start({ ...given, file, clock: new ManualClock() });
        try {
          for (const each of steps) await model.take(each);
          await model.heal();
          await model.finish();
        } finally {
          await model.end();
          await rm(place, { recursive: true });
        }
      },
    );
    const end = SECONDS === undefined ? Number.POSITIVE_INFINITY : Date.now() + SECONDS * 1_000;
    let seed = FIRST_SEED;
    for (; SECONDS === undefined ? seed < FIRST_SEED + SEEDS : Date.now() < end; seed += 1) {
      await fc.assert(happening, { seed, numRuns: 1, unbiased: true, interruptAfterTimeLimit: SHRINK_MS });
    }
    expect(seed).toBeGreaterThan(FIRST_SEED);
  },
  TEST_TIMEOUT_MS,
);
