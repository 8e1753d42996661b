import { expect, test } from '@jest/globals';
import { type Call, check, type Disturbance, type Evidence, isKept } from './checker.ts';
import { acknowledged, arrival, call, evidence, FIRST, SECOND, THIRD } from './evidence.ts';
import type { Decision } from './tended.ts';

/** The second message is there twice: first by one process, and then by another. */
function repeated(but: Partial<Evidence> = {}, first: Partial<Call> = {}): Evidence {
  const again = { ...call(SECOND, 30_000), by: 'two' };
  return evidence({
    arrivals: [FIRST, SECOND, SECOND, THIRD].map((id) => arrival(id)),
    calls: [call(FIRST, 1_000), { ...call(SECOND, 1_010), ...first }, again, call(THIRD, 30_010)],
    told: new Set([`bridge's ${SECOND}`]),
    ...but,
  });
}

const cut = (by: string): Disturbance => ({ cause: 'cut', by, from: 1_000, to: 20_000, losesLeases: true });

test('who is cut off from the database may lose what he delivered to others; another one’s trouble explains nothing', () => {
  const own = check(repeated({ disturbances: [cut('one')] }));
  expect([own.duplicated, isKept(own)]).toEqual([{ cut: 1 }, true]);
  const early = check(repeated({ disturbances: [{ ...cut('one'), from: 22_000, to: 40_000 }] }, { from: 23_000 }));
  expect(early.broken.unexplained).toHaveLength(1);
  const others = check(repeated({ disturbances: [cut('two')] }));
  expect(others.broken.unexplained).toEqual([`${SECOND} (delivered after 5 ms)`]);
});

test('who slept for longer than his lease may send once more when he wakes up', () => {
  const woken: Disturbance = { cause: 'pause', by: 'two', from: 5_000, to: 29_900, losesLeases: true };
  expect(check(repeated({ disturbances: [woken] })).duplicated).toEqual({ pause: 1 });
  expect(check(repeated({ disturbances: [{ ...woken, to: 20_000 }] })).broken.unexplained).toHaveLength(1);
  expect(check(repeated({ disturbances: [{ ...woken, losesLeases: false }] })).broken.unexplained).toHaveLength(1);
});

test('what gives no id is there as often as it is stored, and stored as often as it was sent at most', () => {
  const sent = (tries: number, copies: number) =>
    check(
      repeated({
        acknowledged: [FIRST, SECOND, THIRD].map((id) => ({ ...acknowledged(id), hasId: false, tries })),
        copies: new Map([[SECOND, copies]]),
      }),
    );
  expect([sent(2, 2).duplicated, isKept(sent(2, 2))]).toEqual([{ 'sent again': 1 }, true]);
  expect(sent(2, 1).broken.unexplained).toEqual([`${SECOND} (delivered after 5 ms)`]);
  expect(sent(2, 3).broken.unexplained).toEqual([`${SECOND} (stored 3 times, sent 2 times)`]);
});

test('what is stored twice may be repeated for another reason besides', () => {
  const base = repeated({
    acknowledged: [FIRST, SECOND, THIRD].map((id) => ({ ...acknowledged(id), hasId: false, tries: 2 })),
    copies: new Map([[SECOND, 2]]),
    disturbances: [cut('one')],
  });
  const thrice = {
    arrivals: [FIRST, SECOND, SECOND, SECOND, THIRD].map((id) => arrival(id)),
    calls: [...base.calls.slice(0, -1), { ...call(SECOND, 30_008), by: 'two' }, call(THIRD, 30_020)],
  };
  expect(isKept(check({ ...base, ...thrice }))).toBe(true);
  expect(check({ ...base, ...thrice, disturbances: [] }).broken.unexplained).toHaveLength(1);
});

test('what gives an id is stored once, however often it was sent', () => {
  const all = [FIRST, SECOND, THIRD].map((id) => ({ ...acknowledged(id), tries: 5 }));
  const report = check(evidence({ acknowledged: all, copies: new Map([[SECOND, 2]]) }));
  expect(report.broken.unexplained).toEqual([`${SECOND} (stored 2 times, sent 5 times)`]);
});

test('what a person gave up is not lost; what nobody gave up is', () => {
  const but = { arrivals: [FIRST, THIRD].map((id) => arrival(id)), discarded: new Map([[SECOND, 'spam']]) };
  const decisions: Decision[] = [{ id: SECOND, kind: 'discard', from: 1_015, to: 1_016 }];
  const given = check(evidence({ ...but, calls: [call(FIRST, 1_000), call(THIRD, 2_000)], decisions }));
  expect([given.broken.lost, given.decided.discard, isKept(given)]).toEqual([[], 1, true]);
  expect(check(evidence(but)).broken.lost).toEqual([SECOND]);
});

test('of a pause that another was told of a process hears soon, or when it is not deaf any more', () => {
  const late = (at: number, deaf: Evidence['deaf'] = []) => {
    const calls = [call(FIRST, 1_000), call(SECOND, at), call(THIRD, 20_000)];
    const holds = [{ account: 'north', from: 2_000, to: 15_000 }];
    return check(evidence({ calls, holds, deaf, noticeMs: 1_500 })).broken.held;
  };
  expect(late(5_500)).toEqual([]);
  expect(late(5_700)).toEqual([SECOND]);
  expect(late(9_000, [{ by: 'one', from: 3_000, to: 8_000 }])).toEqual([]);
  expect(late(9_000, [{ by: 'two', from: 3_000, to: 8_000 }])).toEqual([SECOND]);
  expect(late(12_000, [{ by: 'one', from: 3_000, to: 8_000 }])).toEqual([SECOND]);
});

test('one process that is new does not excuse another, nor blame it', () => {
  const calls = [call(FIRST, 1_000), call(SECOND, 3_000), call(THIRD, 20_000)];
  const holds = [{ account: 'north', from: 2_000, to: 15_000 }];
  const born = (by: string) =>
    check(evidence({ calls, holds, births: [{ by, at: 2_500 }], noticeMs: 1_500 })).broken.held;
  expect(born('one')).toEqual([SECOND]);
  expect(born('two')).toEqual([]);
});
