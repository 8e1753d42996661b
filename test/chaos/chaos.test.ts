import { expect, test } from '@jest/globals';
import { runChaos } from './chaos.ts';
import { describeResult } from './report.ts';
import { makeSchedule } from './schedule.ts';

test('killed, stopped, paused, with a clock that jumps, operators at work and a Haptik that fails in every way: the promises are kept', async () => {
  const timeline: string[] = [];
  const options = { seed: 1, seconds: 10, speed: 10, conversations: 24, pauseMs: 200, drainMs: 60_000 };
  const result = await runChaos(
    { ...options, withFullDisk: false, say: (line) => timeline.push(line) },
    new AbortController().signal,
  );
  // What broke a promise is said by the whole story, not by a number.
  expect(result.isKept ? '' : [...timeline, describeResult(result)].join('\n')).toBe('');
  expect(result.report.acknowledged).toBeGreaterThan(200);
  expect(result.report.decided.redrive).toBeGreaterThan(0);
}, 120_000);

test('the same seed gives the same schedule, another one another', () => {
  const options = {
    seconds: 60,
    speed: 10,
    accounts: ['north', 'south'],
    tended: ['south'],
    timeoutMs: 700,
    canFillDisk: true,
  };
  const schedule = makeSchedule({ ...options, seed: 7 });
  expect(makeSchedule({ ...options, seed: 7 })).toEqual(schedule);
  expect(makeSchedule({ ...options, seed: 8 })).not.toEqual(schedule);
});

test('a schedule of half a minute has every kind of blow and act', () => {
  const options = { seconds: 30, speed: 10, accounts: ['north'], tended: [], timeoutMs: 700, canFillDisk: true };
  const { blows, acts } = makeSchedule({ ...options, seed: 1 });
  expect([...new Set(blows.map(({ blow }) => blow.kind))].sort()).toEqual([
    'full disk',
    'jump',
    'kill',
    'pause',
    'stop',
  ]);
  expect([...new Set(acts.map(({ act }) => act.kind))].sort()).toEqual(['backup', 'hold']);
});

test('only where a person deals with them are messages refused for good', () => {
  const options = { seconds: 60, speed: 10, timeoutMs: 700, canFillDisk: false, seed: 1 };
  const { weathers } = makeSchedule({ ...options, accounts: ['north', 'south'], tended: ['south'] });
  const refusing = [...weathers].filter(([, ofIt]) =>
    ofIt.some(({ weather: { faults } }) => faults.some(({ status }) => status === 400)),
  );
  expect(refusing.map(([account]) => account)).toEqual(['south']);
});
