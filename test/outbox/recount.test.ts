import { expect, test } from '@jest/globals';
import { keepCounted } from '../../src/outbox/recount.ts';
import type { ConversationRef } from '../../src/outbox/store.ts';
import { ManualClock, memoryLog, onTestEnd, turns, until } from '../support/fixtures.ts';

/** A store of so many parts to count. */
function start(parts: number, isBroken = () => false) {
  const clock = new ManualClock();
  const { log, lines } = memoryLog();
  const asked: (ConversationRef | undefined)[] = [];
  const recount = async (after: ConversationRef | undefined) => {
    asked.push(after);
    if (isBroken()) throw new Error('disk full');
    const next = Number(after ?? 0) + 1;
    return { next: next < parts ? next : undefined, mended: [] };
  };
  const ending = new AbortController();
  const ended = keepCounted({ store: { recount }, clock, log }, ending.signal);
  onTestEnd(() => ending.abort());
  return { clock, lines, asked, ending, ended };
}

test('counts part by part at start, and again after an hour', async () => {
  const { clock, asked } = start(3);
  await until('all is counted', () => asked.length === 3);
  clock.advance(3_599_999);
  await turns();
  expect(asked).toEqual([undefined, 1, 2]);
  clock.advance(1);
  await until('all is counted again', () => asked.length === 6);
  expect(asked).toEqual([undefined, 1, 2, undefined, 1, 2]);
});

test('goes on a minute after a fault of the store', async () => {
  let isBroken = true;
  const { clock, lines, asked } = start(1, () => isBroken);
  await until('it failed', () => lines.length === 1);
  isBroken = false;
  clock.advance(60_000);
  await until('it tried again', () => asked.length === 2);
  expect(lines).toMatchObject([{ level: 'error', message: expect.stringMatching(/cannot be counted/) }]);
});

test('ends when it is told to', async () => {
  const { ending, ended, asked } = start(1);
  await until('it counted', () => asked.length === 1);
  ending.abort();
  await ended;
  expect(asked).toEqual([undefined]);
});
