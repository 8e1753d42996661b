import { expect, test } from '@jest/globals';
import { check, isKept } from './checker.ts';
import { acknowledged, arrival, call, evidence, FIRST, SECOND, THIRD } from './evidence.ts';
import type { Decision } from './tended.ts';

const AT_ONCE = { once: ['north'] };
const decided = (kind: Decision['kind'], from: number, to: number): Decision => ({ id: SECOND, kind, from, to });
const twice = [FIRST, SECOND, SECOND, THIRD].map((id) => arrival(id));
/** The answer to the second message is lost, and it is sent again. */
const again = [call(FIRST, 1_000), call(SECOND, 1_010, 'cut'), call(SECOND, 3_000), call(THIRD, 3_010)];
const told = new Set([`bridge's ${SECOND}`]);

test('where only a person sends again, no cause excuses a duplicate', () => {
  const elsewhere = check(evidence({ arrivals: twice, calls: again, told }));
  expect([elsewhere.duplicated, isKept(elsewhere)]).toEqual([{ 'lost answer': 1 }, true]);
  const report = check(evidence({ arrivals: twice, calls: again, told, ...AT_ONCE }));
  expect(report.broken.repeated).toEqual([SECOND]);
  expect(isKept(report)).toBe(false);
});

test('nor does a person who sends again what had arrived', () => {
  const decisions = [decided('redrive', 1_500, 2_000)];
  expect(check(evidence({ arrivals: twice, calls: again, told, decisions, ...AT_ONCE })).broken.repeated).toEqual([
    SECOND,
  ]);
});

test('what nobody redrove is not even to be called for again after a call that may have been logged', () => {
  expect(check(evidence({ calls: again, ...AT_ONCE })).broken.repeated).toEqual([SECOND]);
  const confirmed = [decided('confirm', 1_500, 2_000)];
  expect(check(evidence({ calls: again, decisions: confirmed, ...AT_ONCE })).broken.repeated).toEqual([SECOND]);
  const tooLate = [decided('redrive', 3_500, 4_000)];
  expect(check(evidence({ calls: again, decisions: tooLate, ...AT_ONCE })).broken.repeated).toEqual([SECOND]);
});

test('one redrive is for one call that may have been logged, and not for two', () => {
  const calls = [...again.slice(0, 2), call(SECOND, 2_500, 'cut'), ...again.slice(2)];
  const decisions = [decided('redrive', 1_500, 2_000)];
  expect(check(evidence({ calls, decisions, ...AT_ONCE })).broken.repeated).toEqual([SECOND]);
});

test('what a person redrove is called for again, and so is what was refused', () => {
  const decisions = [decided('redrive', 1_500, 2_000)];
  const redriven = check(evidence({ calls: again, decisions, ...AT_ONCE }));
  expect([isKept(redriven), redriven.decided]).toEqual([true, { confirm: 0, redrive: 1, discard: 0 }]);
  const calls = again.map((each) => (each.end === 'cut' ? { ...each, end: 'other answer' as const } : each));
  expect(isKept(check(evidence({ calls, ...AT_ONCE })))).toBe(true);
});

test('a conversation that goes on before the person has spoken is ahead', () => {
  const ahead = check(evidence({ decisions: [decided('confirm', 1_015, 1_030)] }));
  expect(ahead.broken.ahead).toEqual([THIRD]);
  expect(isKept(ahead)).toBe(false);
  expect(isKept(check(evidence({ decisions: [decided('confirm', 1_015, 1_020)] })))).toBe(true);
});

test('other conversations need not wait for the person', () => {
  const other = 'north2x0-0';
  const report = check(
    evidence({
      acknowledged: [FIRST, SECOND, THIRD, other].map(acknowledged),
      arrivals: [
        ...[FIRST, SECOND, THIRD].map((id) => arrival(id)),
        { account: 'north', conversation: 'north2x0', id: other },
      ],
      calls: [call(FIRST, 1_000), call(SECOND, 1_010), call(other, 1_500), call(THIRD, 2_100)],
      decisions: [decided('confirm', 1_015, 2_000)],
    }),
  );
  expect(isKept(report)).toBe(true);
});

test('what is called for while its account is paused is held, unless it was in flight before', () => {
  const hold = (account: string, from: number) => [{ account, from, to: from + 4_000 }];
  const calls = [call(FIRST, 1_000), call(SECOND, 5_000), call(THIRD, 5_010)];
  const report = check(evidence({ calls, holds: hold('north', 3_000) }));
  expect(report.broken.held).toEqual([]);
  const held = check(evidence({ calls, holds: hold('north', 2_000) }));
  expect([held.broken.held, isKept(held)]).toEqual([[SECOND, THIRD], false]);
  expect(isKept(check(evidence({ calls, holds: hold('south', 2_000) })))).toBe(true);
  const asleep = [{ cause: 'pause', from: 2_500, to: 4_900 } as const];
  expect(isKept(check(evidence({ calls, holds: hold('north', 2_000), disturbances: asleep })))).toBe(true);
  const born = check(
    evidence({ calls, holds: hold('north', 3_000), births: [2_000, 4_990].map((at) => ({ by: 'one', at })) }),
  );
  expect(born.broken.held).toEqual([SECOND, THIRD]);
});

test('what still waits for a person at the end is not lost, and breaks a promise all the same', () => {
  const report = check(evidence({ arrivals: [FIRST, SECOND].map((id) => arrival(id)), unknown: [THIRD] }));
  expect([report.broken.lost, report.broken.unknown, isKept(report)]).toEqual([[], [THIRD], false]);
});
