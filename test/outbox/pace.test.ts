import { describe, expect, test } from '@jest/globals';
import { gathering, inTurn, sparing } from '../../src/outbox/postgres/pace.ts';
import { ManualClock, turns } from '../support/fixtures.ts';

/** Resolves, or rejects, when it is told to. */
function open<T>() {
  return Promise.withResolvers<T>();
}

describe('in turn', () => {
  test('begins what is asked for when all before has ended, and goes on after what has failed', async () => {
    const turn = inTurn();
    const begun: string[] = [];
    const first = open<string>();
    const answers = Promise.allSettled([
      turn(() => first.promise),
      turn(async () => void begun.push('second')),
      turn(async () => void begun.push('third')),
    ]);
    await turns();
    expect(begun).toEqual([]);
    first.reject(new Error('no answer'));
    expect((await answers).map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
    expect(begun).toEqual(['second', 'third']);
  });
});

describe('gathering', () => {
  function gathered(most = 10) {
    const asked: (readonly string[])[] = [];
    const under = open<void>();
    const turn = inTurn();
    void turn(() => under.promise);
    const get = gathering(turn, most, async (keys) => {
      asked.push(keys);
      return new Map(keys.filter((key) => key !== 'missing').map((key) => [key, `${key}!`]));
    });
    return { asked, get, goOn: under.resolve };
  }

  test('gets at once what was asked for until its turn came, each key once', async () => {
    const { asked, get, goOn } = gathered();
    const answers = Promise.all([get('a'), get('missing'), get('a')]);
    goOn();
    expect(await answers).toEqual(['a!', undefined, 'a!']);
    expect(await get('a')).toBe('a!');
    expect(asked).toEqual([['a', 'missing'], ['a']]);
  });

  test('gets no more at once than it may', async () => {
    const { asked, get, goOn } = gathered(2);
    const answers = Promise.all(['a', 'b', 'c'].map(get));
    goOn();
    expect(await answers).toEqual(['a!', 'b!', 'c!']);
    expect(asked).toEqual([['a', 'b'], ['c']]);
  });
});

describe('sparing', () => {
  test('gives the last result again for ten times as long as it took to get', async () => {
    const clock = new ManualClock();
    let count = 0;
    const get = sparing(clock, async () => {
      clock.advance(200);
      count += 1;
      return count;
    });
    expect(await get()).toBe(1);
    clock.advance(1_999);
    expect(await get()).toBe(1);
    clock.advance(1);
    expect(await get()).toBe(2);
  });

  test('gives nothing again of what failed', async () => {
    const clock = new ManualClock();
    let isDown = true;
    const get = sparing(clock, async () => {
      clock.advance(200);
      if (isDown) throw new Error('no answer');
      return 1;
    });
    await expect(get()).rejects.toThrow('no answer');
    isDown = false;
    expect(await get()).toBe(1);
  });
});
