import { expect, test } from '@jest/globals';
import { runChaos } from './chaos.ts';
import { describeResult } from './report.ts';
import { makeSchedule } from './schedule.ts';

test('killed, stopped, paused, with a clock that jumps and a Haptik that fails in every way: the promises are kept', async () => {
  const timeline: string[] = [];
  const options = { seed: 1, seconds: 10, speed: 10, conversations: 24, pauseMs: 200, drainMs: 60_000 };
  const result = await runChaos(
    { ...options, withFullDisk: false, say: (line) => timeline.push(line) },
    new AbortController().signal,
  );
  // What broke a promise is said by the whole story, not by a number.
  expect(result.isKept ? '' : [...timeline, describeResult(result)].join('\n')).toBe('');
  expect(result.report.acknowledged).toBeGreaterThan(200);
}, 120_000);

test('the same seed gives the same schedule, another one another', () => {
  const options = { seconds: 60, speed: 10, accounts: ['north', 'south'], timeoutMs: 700, canFillDisk: true };
  const schedule = makeSchedule({ ...options, seed: 7 });
  expect(makeSchedule({ ...options, seed: 7 })).toEqual(schedule);
  expect(makeSchedule({ ...options, seed: 8 })).not.toEqual(schedule);
});

test('a schedule of half a minute has every kind of blow', () => {
  const options = { seconds: 30, speed: 10, accounts: ['north'], timeoutMs: 700, canFillDisk: true };
  const kinds = new Set(makeSchedule({ ...options, seed: 1 }).blows.map(({ blow }) => blow.kind));
  expect([...kinds].sort()).toEqual(['full disk', 'jump', 'kill', 'pause', 'stop']);
});
