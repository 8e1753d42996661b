import { expect, test } from '@jest/globals';
import { runChaos } from './chaos.ts';
import { describeResult } from './report.ts';
import { makeSchedule, type ScheduleOptions, type Site } from './schedule.ts';
import { ACCOUNTS } from './stage.ts';

const ALONE: Site = { kind: 'alone', speed: 10, canFillDisk: true };
const SHARED: Site = { kind: 'shared', replicas: 3, canFailOver: true };

function scheduleOf(but: Partial<ScheduleOptions> = {}) {
  const accounts = { accounts: ['north', 'south'], tended: ['south'], doubted: [] };
  return makeSchedule({ ...accounts, seed: 1, seconds: 60, site: ALONE, timeoutMs: 700, ...but });
}

test('killed, stopped, paused, with a clock that jumps, operators at work and a Haptik that fails in every way: the promises are kept', async () => {
  const timeline: string[] = [];
  const options = { seed: 1, seconds: 10, conversations: 24, pauseMs: 200, doubted: ACCOUNTS, drainMs: 60_000 };
  const site = { kind: 'alone', speed: 10, withFullDisk: false } as const;
  const result = await runChaos({ ...options, site, say: (line) => timeline.push(line) }, new AbortController().signal);
  // What broke a promise is said by the whole story, not by a number.
  expect(result.isKept ? '' : [...timeline, describeResult(result)].join('\n')).toBe('');
  expect(result.report.acknowledged).toBeGreaterThan(200);
  expect(result.report.decided.redrive).toBeGreaterThan(0);
}, 120_000);

test('the same seed gives the same schedule, another one another', () => {
  for (const site of [ALONE, SHARED]) {
    const schedule = scheduleOf({ site, seed: 7 });
    expect(scheduleOf({ site, seed: 7 })).toEqual(schedule);
    expect(scheduleOf({ site, seed: 8 })).not.toEqual(schedule);
  }
});

test('a schedule of half a minute has every kind of blow and act', () => {
  const { blows, acts } = scheduleOf({ seconds: 30 });
  expect([...new Set(blows.flat().map(({ blow }) => blow.kind))].sort()).toEqual([
    'full disk',
    'jump',
    'kill',
    'pause',
    'stop',
  ]);
  expect([...new Set(acts.map(({ act }) => act.kind))].sort()).toEqual(['backup', 'hold']);
});

test('with replicas one sleeps for longer than a lease, and their database fails over once', () => {
  const { blows, databaseBlows } = scheduleOf({ site: SHARED });
  expect([...new Set(blows.flat().map(({ blow }) => blow.kind))].sort()).toEqual([
    'cut',
    'hang',
    'jump',
    'kill',
    'mute',
    'pause',
    'slow',
    'stop',
  ]);
  const [sleep] = blows[0] ?? [];
  expect(sleep?.blow.kind === 'pause' && sleep.blow.forMs).toBeGreaterThan(15_000);
  expect(databaseBlows.filter(({ blow }) => blow.kind === 'failover')).toHaveLength(1);
  expect(databaseBlows.filter(({ blow }) => blow.kind === 'restart').length).toBeGreaterThan(1);
});

test('only where a person deals with them are messages refused for good', () => {
  const { weathers } = scheduleOf();
  const refusing = [...weathers].filter(([, ofIt]) =>
    ofIt.some(({ weather: { faults } }) => faults.some(({ status }) => status === 400)),
  );
  expect(refusing.map(([account]) => account)).toEqual(['south']);
});
