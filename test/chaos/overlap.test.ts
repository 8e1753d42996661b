import { expect, test } from '@jest/globals';
import { type Call, check, type Disturbance, isKept } from './checker.ts';
import { call, evidence, FIRST, SECOND, THIRD } from './evidence.ts';

/** The first message is at the far end for two seconds, and the second comes at 2,000 ms, by another process. */
function overlapping(disturbances: readonly Disturbance[] = [], but: Partial<Call> = {}) {
  const first = { ...call(FIRST, 1_000, 'delivered', 2_000), ...but };
  return check(evidence({ calls: [first, { ...call(SECOND, 2_000), by: 'two' }, call(THIRD, 4_000)], disturbances }));
}

const sleep = (by: string, losesLeases = true): Disturbance => ({
  cause: 'pause',
  by,
  from: 900,
  to: 20_000,
  losesLeases,
});

test('two messages of a conversation at the far end at a time break a promise', () => {
  const report = overlapping();
  expect(report.broken.overlapping).toEqual([SECOND]);
  expect(isKept(report)).toBe(false);
});

test('so do two calls for the same message', () => {
  const calls = [call(FIRST, 1_000, 'given up', 2_000), { ...call(FIRST, 2_000), by: 'two' }, call(SECOND, 4_000)];
  expect(check(evidence({ calls })).broken.overlapping).toEqual([FIRST]);
});

test('one who slept for longer than his lease may still be there; that is counted', () => {
  const report = overlapping([sleep('one')]);
  expect([report.broken.overlapping, report.overlapped]).toEqual([[], { pause: 1 }]);
});

test('a sleep that costs no lease, or is another one’s, or any other trouble, is no excuse', () => {
  expect(overlapping([sleep('one', false)]).broken.overlapping).toEqual([SECOND]);
  expect(overlapping([sleep('three')]).broken.overlapping).toEqual([SECOND]);
  expect(overlapping([{ ...sleep('one'), cause: 'cut' }]).broken.overlapping).toEqual([SECOND]);
  expect(overlapping([{ ...sleep('one'), cause: 'kill' }]).broken.overlapping).toEqual([SECOND]);
});

test('one who wakes up may send what he was about to send', () => {
  const woken = { ...sleep('two'), to: 1_990 };
  expect(overlapping([woken]).overlapped).toEqual({ pause: 1 });
  expect(overlapping([{ ...woken, to: 1_000 }]).broken.overlapping).toEqual([SECOND]);
});

test('that a caller has gone may be read a moment late; that it was answered not', () => {
  expect(overlapping([], { end: 'given up', to: 2_170 }).broken.overlapping).toEqual([]);
  expect(overlapping([], { end: 'given up', to: 2_180 }).broken.overlapping).toEqual([SECOND]);
  expect(overlapping([], { to: 2_001 }).broken.overlapping).toEqual([SECOND]);
  expect(overlapping([], { to: 2_000 }).broken.overlapping).toEqual([]);
});

test('conversations go on at the same time', () => {
  const calls = [call('north0x0-0', 1_000, 'delivered', 2_000), call('north1x0-0', 2_000)];
  expect(check(evidence({ calls })).broken.overlapping).toEqual([]);
});
