import { expect, test } from '@jest/globals';
import { retain } from '../../src/outbox/retention.ts';
import { ManualClock, memoryLog, onTestEnd, turns, until } from '../support/fixtures.ts';

/** A store in which so many messages are to be forgotten. */
function start(toForget: number, isBroken = () => false) {
  const clock = new ManualClock();
  const { log, lines } = memoryLog();
  const asked: object[] = [];
  const prune = async (age: { contentMs: number; rowsMs: number; limit: number }) => {
    asked.push(age);
    if (isBroken()) throw new Error('disk full');
    const changed = Math.min(toForget, age.limit);
    toForget -= changed;
    return changed < age.limit;
  };
  const ending = new AbortController();
  const ended = retain({ store: { prune }, contentMs: 1, rowsMs: 2, clock, log }, ending.signal);
  onTestEnd(() => ending.abort());
  return { clock, lines, asked, ending, ended };
}

test('forgets in small batches until nothing is left, and looks again every minute', async () => {
  const { clock, asked } = start(450);
  await until('it is done', () => asked.length === 3);
  expect(asked[0]).toEqual({ contentMs: 1, rowsMs: 2, limit: 200 });
  clock.advance(59_999);
  await turns();
  expect(asked).toHaveLength(3);
  clock.advance(1);
  await until('it looks again', () => asked.length === 4);
});

test('goes on after a fault of the store', async () => {
  let isBroken = true;
  const { clock, lines, asked } = start(1, () => isBroken);
  await until('it failed', () => lines.length === 1);
  isBroken = false;
  clock.advance(60_000);
  await until('it tried again', () => asked.length === 2);
  expect(lines).toMatchObject([{ level: 'error', message: expect.stringMatching(/cannot be pruned/) }]);
});

test('ends when it is told to', async () => {
  const { ending, ended, asked } = start(0);
  await until('it looked', () => asked.length === 1);
  ending.abort();
  await ended;
  expect(asked).toHaveLength(1);
});
