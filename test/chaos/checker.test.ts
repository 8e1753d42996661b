import { expect, test } from '@jest/globals';
import { type Call, check, type Evidence, isKept } from './checker.ts';
import { arrival, call, evidence, FIRST, SECOND, THIRD } from './evidence.ts';

/** The second message is there twice: called for first as given, and then answered. */
function repeated(first: Call, but: Partial<Evidence> = {}): Evidence {
  return evidence({
    arrivals: [FIRST, SECOND, SECOND, THIRD].map((id) => arrival(id)),
    calls: [call(FIRST, 1_000), first, call(SECOND, 3_000), call(THIRD, 3_010)],
    told: new Set([`bridge's ${SECOND}`]),
    ...but,
  });
}

test('a run in which everything arrives once and in order keeps the promises', () => {
  const report = check(evidence());
  expect(report).toMatchObject({ acknowledged: 3, delivered: 3, duplicated: {} });
  expect(isKept(report)).toBe(true);
});

test('what was acknowledged and never arrived is lost', () => {
  const report = check(evidence({ arrivals: [FIRST, THIRD].map((id) => arrival(id)) }));
  expect(report.delivered).toBe(2);
  expect(report.broken.lost).toEqual([SECOND]);
  expect(isKept(report)).toBe(false);
});

test('what has not arrived, but is kept, is not lost, and breaks a promise all the same', () => {
  const arrivals = [FIRST, SECOND].map((id) => arrival(id));
  const waits = check(evidence({ arrivals, waiting: [THIRD] }));
  expect([waits.broken.lost, waits.broken.waiting, isKept(waits)]).toEqual([[], [THIRD], false]);
  const dead = check(evidence({ arrivals, dead: new Map([[THIRD, 'refused']]) }));
  expect([dead.broken.lost, dead.broken.dead, isKept(dead)]).toEqual([[], [`${THIRD} (refused)`], false]);
});

test('what arrives first after a later one of its conversation is reordered', () => {
  const report = check(evidence({ arrivals: [FIRST, THIRD, SECOND].map((id) => arrival(id)) }));
  expect(report.broken.reordered).toEqual([SECOND]);
  expect(isKept(report)).toBe(false);
});

test('the tenth message comes after the ninth, and conversations do not concern each other', () => {
  const ids = ['north0x0-9', 'north0x0-10'];
  const other = { account: 'north', conversation: 'north2x0', id: 'north2x0-3' };
  const arrivals = [...ids.map((id) => arrival(id)), other];
  expect(check(evidence({ arrivals })).broken.reordered).toEqual([]);
});

test('a copy that arrives late does not reorder what had arrived before', () => {
  const late = repeated(call(SECOND, 1_010, 'given up', 700), {
    arrivals: [FIRST, SECOND, THIRD, SECOND].map((id) => arrival(id)),
  });
  expect(isKept(check(late))).toBe(true);
});

test('what arrives at another account, or in another conversation, is astray', () => {
  const wrong = [arrival(FIRST), arrival(SECOND, 'south'), { ...arrival(THIRD), conversation: 'north0x1' }];
  const report = check(evidence({ arrivals: wrong }));
  expect(report.broken.astray).toEqual([SECOND, THIRD]);
  expect(isKept(report)).toBe(false);
});

test('what was answered in time and is sent again is an unexplained duplicate', () => {
  const report = check(repeated(call(SECOND, 1_010)));
  expect(report.duplicated).toEqual({});
  expect(report.broken.unexplained).toEqual([`${SECOND} (delivered after 5 ms)`]);
  expect(isKept(report)).toBe(false);
});

test('what is given up before its time-out and sent again is unexplained, also when it arrived but once', () => {
  const calls = [call(FIRST, 1_000), call(SECOND, 1_010, 'given up', 50), call(SECOND, 1_100), call(THIRD, 1_110)];
  expect(check(evidence({ calls })).broken.unexplained).toEqual([`${SECOND} (given up after 50 ms)`]);
});

test('a copy that no call accounts for is unexplained', () => {
  const report = check(evidence({ arrivals: [FIRST, SECOND, SECOND, THIRD].map((id) => arrival(id)) }));
  expect(report.broken.unexplained).toEqual([SECOND]);
});

test('a lost answer and a late one explain a duplicate; an answer that says no does not', () => {
  expect(check(repeated(call(SECOND, 1_010, 'cut'))).duplicated).toEqual({ 'lost answer': 1 });
  expect(check(repeated(call(SECOND, 1_010, 'given up', 700))).duplicated).toEqual({ 'late answer': 1 });
  expect(check(repeated(call(SECOND, 1_010, 'delivered', 650))).duplicated).toEqual({ 'late answer': 1 });
  expect(check(repeated(call(SECOND, 1_010, 'other answer'))).broken.unexplained).toEqual([SECOND]);
});

test('a kill explains a duplicate of what was in flight, and of nothing that came before', () => {
  const kill = (from: number) => [{ cause: 'kill', from, to: from + 10 } as const];
  const hit = check(repeated(call(SECOND, 1_010), { disturbances: kill(1_012) }));
  expect(hit.duplicated).toEqual({ kill: 1 });
  expect(isKept(hit)).toBe(true);
  const spared = check(repeated(call(SECOND, 1_010), { disturbances: kill(2_000) }));
  expect(spared.broken.unexplained).toEqual([`${SECOND} (delivered after 5 ms)`]);
});

test('a duplicate of which the log says nothing is untold', () => {
  const report = check(repeated(call(SECOND, 1_010, 'cut'), { told: new Set() }));
  expect(report.broken.untold).toEqual([SECOND]);
  expect(isKept(report)).toBe(false);
});

test('a process that got no time explains a call that ran into its time-out unseen, just before or after it', () => {
  const stall = (from: number) => [{ cause: 'stall', from, to: from + 300 } as const];
  const near = check(repeated(call(SECOND, 1_010), { disturbances: stall(700) }));
  expect(near.duplicated).toEqual({ stall: 1 });
  const far = check(repeated(call(SECOND, 1_010), { disturbances: stall(3_000) }));
  expect(far.broken.unexplained).toHaveLength(1);
});
