import { describe, expect, test } from '@jest/globals';
import type { Delivery, Outcome } from '../../src/message.ts';
import { Dispatcher, type DispatcherOptions } from '../../src/outbox/dispatcher.ts';
import type { Decision } from '../../src/outbox/records.ts';
import type { Store } from '../../src/outbox/store.ts';
import { memoryLog, onTestEnd, turns, until } from '../support/fixtures.ts';
import { accountsOf, DELIVERED, FarEnd, HOUR_MS, startOutbox } from '../support/outbox.ts';
import { EVERY_ACCOUNT } from './samples.ts';

describe('the dispatcher', () => {
  test('delivers at once what is accepted for an idle conversation', async () => {
    const { farEnd, dispatcher, send, attempts } = await startOutbox();
    dispatcher.start();
    await send('a', 'one');
    await attempts(1);
    expect(farEnd.texts).toEqual(['one']);
  });

  test('delivers one message of a conversation at a time, and in order', async () => {
    const { farEnd, dispatcher, send, attempts, settle } = await startOutbox();
    farEnd.automatic = undefined;
    dispatcher.start();
    for (const text of ['one', 'two', 'three']) await send('a', text);
    await settle();
    expect(farEnd.texts).toEqual(['one']);
    farEnd.calls[0]?.answer(DELIVERED);
    await attempts(2);
    await settle();
    expect(farEnd.texts).toEqual(['one', 'two']);
    farEnd.calls[1]?.answer(DELIVERED);
    await attempts(3);
    expect(farEnd.texts).toEqual(['one', 'two', 'three']);
  });

  test('works on many conversations at once, up to its concurrency, and on the rest as slots get free', async () => {
    const { farEnd, dispatcher, send, attempts, settle } = await startOutbox({ concurrency: 3 });
    farEnd.automatic = undefined;
    dispatcher.start();
    for (const authId of ['a', 'b', 'c', 'd', 'e']) await send(authId, authId);
    await settle();
    expect(farEnd.texts).toEqual(['a', 'b', 'c']);
    farEnd.calls[1]?.answer(DELIVERED);
    await attempts(4);
    await settle();
    expect(farEnd.texts).toEqual(['a', 'b', 'c', 'd']);
    for (const call of farEnd.calls) call.answer(DELIVERED);
    await attempts(5);
  });

  test('honours the lower concurrency of an account', async () => {
    const accounts = accountsOf({ main: { maxConcurrency: 1 } });
    const { farEnd, dispatcher, send, settle } = await startOutbox({ accounts });
    farEnd.automatic = undefined;
    dispatcher.start();
    await send('a', 'a');
    await send('b', 'b');
    await settle();
    expect(farEnd.texts).toEqual(['a']);
  });

  test('gives a slot back after some turns, so that a flood in one conversation does not starve the others', async () => {
    const { clock, farEnd, dispatcher, send, settle } = await startOutbox({ concurrency: 1 });
    farEnd.automatic = () => {
      clock.advance(1);
      return DELIVERED;
    };
    for (let count = 0; count < 40; count += 1) await send('flood', `f${count}`);
    await send('other', 'me too');
    dispatcher.start();
    await settle();
    expect(farEnd.texts).toHaveLength(41);
    expect(farEnd.texts.indexOf('me too')).toBeLessThan(20);
    expect(farEnd.texts.filter((text) => text.startsWith('f'))).toEqual(
      Array.from({ length: 40 }, (_, index) => `f${index}`),
    );
  });

  test('leaves the messages of an account that it does not know', async () => {
    const { farEnd, dispatcher, send, settle, store } = await startOutbox();
    dispatcher.start();
    await send('a', 'x', { account: 'gone' });
    await settle();
    expect(farEnd.texts).toEqual([]);
    expect((await store.claim({ account: 'gone', limit: 1, leaseMs: 1, busy: new Set() })).claims).toHaveLength(1);
  });
});

describe('a message that fails', () => {
  test('is tried again after a growing time, before what came after it', async () => {
    const { clock, farEnd, dispatcher, send, attempts, settle, lines } = await startOutbox();
    farEnd.automatic = () => ({ kind: 'retry', detail: 'HTTP 500' });
    dispatcher.start();
    await send('a', 'one');
    await attempts(1);
    await settle();
    await send('a', 'two');
    for (const [attempt, wait] of [500, 1_000, 2_000, 4_000].entries()) {
      clock.advance(wait - 1);
      await settle();
      expect(farEnd.texts).toHaveLength(attempt + 1);
      clock.advance(1);
      await attempts(attempt + 2);
      await settle();
    }
    expect(new Set(farEnd.texts)).toEqual(new Set(['one']));
    farEnd.automatic = () => DELIVERED;
    clock.advance(8_000);
    await attempts(7);
    expect(farEnd.texts.slice(-2)).toEqual(['one', 'two']);
    expect(lines).toContainEqual(
      expect.objectContaining({ message: 'to be tried again', attempt: 1, due_in_ms: 500, detail: 'HTTP 500' }),
    );
  });

  test('is tried again when the far end asks for it, and at most an hour later', async () => {
    const { farEnd, dispatcher, send, attempts, settle, clock } = await startOutbox();
    farEnd.automatic = () => ({ kind: 'retry', detail: 'HTTP 429', retryAfterMs: 7 * HOUR_MS });
    dispatcher.start();
    await send('a', 'one');
    await attempts(1);
    await settle();
    clock.advance(HOUR_MS - 1);
    await settle();
    expect(farEnd.calls).toHaveLength(1);
    clock.advance(1);
    await attempts(2);
  });

  test('does not make other conversations wait', async () => {
    const { farEnd, dispatcher, send, attempts } = await startOutbox();
    farEnd.automatic = ({ authId }) => (authId === 'bad' ? { kind: 'retry', detail: 'HTTP 500' } : DELIVERED);
    dispatcher.start();
    await send('bad', 'x');
    await send('good', 'y');
    await attempts(2);
    expect(farEnd.texts).toEqual(['x', 'y']);
  });

  test('for good becomes a dead letter with its reason, and its conversation goes on', async () => {
    const { farEnd, dispatcher, send, attempts, settle, lines } = await startOutbox();
    farEnd.automatic = ({ text }) =>
      text === 'bad' ? { kind: 'dead', reason: 'refused', detail: 'HTTP 400', answer: 'the text was: bad' } : DELIVERED;
    dispatcher.start();
    await send('a', 'bad');
    await send('a', 'good');
    await attempts(2);
    await settle();
    expect(farEnd.texts).toEqual(['bad', 'good']);
    expect(lines).toContainEqual(
      expect.objectContaining({ level: 'error', message: 'dead', reason: 'refused', detail: 'HTTP 400' }),
    );
    expect(JSON.stringify(lines)).not.toContain('the text was');
  });

  test('until it is older than the horizon is given up as expired', async () => {
    const { clock, farEnd, dispatcher, send, attempts, settle, lines } = await startOutbox({ retryHorizonMs: HOUR_MS });
    farEnd.automatic = () => ({ kind: 'retry', detail: 'HTTP 500' });
    dispatcher.start();
    await send('a', 'one');
    await attempts(1);
    await settle();
    clock.advance(HOUR_MS);
    await attempts(2);
    await settle();
    expect(lines).toContainEqual(expect.objectContaining({ message: 'dead', reason: 'expired' }));
    clock.advance(HOUR_MS);
    await settle();
    expect(farEnd.calls).toHaveLength(2);
  });

  test('with an unknown outcome is tried again, and told as a possible repeat', async () => {
    const { clock, farEnd, dispatcher, send, attempts, settle, lines } = await startOutbox();
    farEnd.automatic = () => ({ kind: 'unknown', detail: 'HTTP 504' });
    dispatcher.start();
    await send('a', 'one');
    await attempts(1);
    await settle();
    expect(lines).toContainEqual(expect.objectContaining({ message: 'to be tried again', possible_repeat: true }));
    clock.advance(500);
    await attempts(2);
  });

  test('is not given up at once for what it waited while the bridge was down', async () => {
    const before = await startOutbox();
    await before.send('a', 'one');
    await before.store.close();
    const { clock, farEnd, dispatcher, attempts, settle, lines } = await startOutbox({ file: before.file });
    clock.jump(48 * HOUR_MS);
    farEnd.automatic = () => ({ kind: 'retry', detail: 'HTTP 503' });
    dispatcher.start();
    await attempts(1);
    await settle();
    expect(lines.map(({ message }) => message)).not.toContain('dead');
    clock.advance(24 * HOUR_MS);
    await attempts(2);
    await settle();
    expect(lines).toContainEqual(expect.objectContaining({ message: 'dead', reason: 'expired' }));
  });

  test('because delivering itself broke is an unknown outcome, not the end of the dispatcher', async () => {
    const { clock, dispatcher, send, settle, lines } = await startOutbox({
      deliver: () => Promise.reject(new Error('a bug')),
    });
    dispatcher.start();
    await send('a', 'one');
    await settle();
    clock.advance(500);
    await until('it was tried twice', () => lines.filter((line) => /a bug/.test(String(line.detail))).length === 2);
  });
});

describe('a message that its route stops for', () => {
  const UNKNOWN: Outcome = { kind: 'unknown', status: 504, detail: 'HTTP 504' };
  const DEAD: Outcome = { kind: 'dead', status: 400, reason: 'refused', detail: 'HTTP 400' };
  const redrive: Decision = {
    kind: 'redrive',
    routing: {
      reroute: false,
      table: { version: 'v2', accounts: EVERY_ACCOUNT, place: () => ({ route: null, dead: 'unroutable', detail: '' }) },
    },
  };

  /** `one` has ended so, and `two` waits behind it. */
  async function stopped(outcome: Outcome) {
    const outbox = await startOutbox();
    const { farEnd, dispatcher, send, attempts, settle, pass } = outbox;
    farEnd.automatic = () => outcome;
    dispatcher.start();
    await send('a', 'one', { id: 'one', onUnknown: 'stop', onDead: 'stop' });
    await attempts(1);
    await settle();
    farEnd.automatic = () => DELIVERED;
    await send('a', 'two', { id: 'two' });
    await pass(25 * HOUR_MS, HOUR_MS);
    expect(farEnd.texts).toEqual(['one']);
    return outbox;
  }

  test.each([
    ['unknown', UNKNOWN],
    ['dead', DEAD],
  ])('when it is %s keeps its conversation waiting, and no other', async (state, outcome) => {
    const { farEnd, send, attempts, settle, store } = await stopped(outcome);
    await send('b', 'other');
    await attempts(2);
    await settle();
    expect(farEnd.texts).toEqual(['one', 'other']);
    expect(await store.records.get('one')).toMatchObject({ state, attempts: 1 });
    expect(await store.records.survey()).toMatchObject([{ waiting: 1, stopped: 1, [state]: 1 }]);
  });

  test.each<[string, Outcome, Decision, string[]]>([
    ['unknown, is redriven', UNKNOWN, redrive, ['one', 'one', 'two']],
    ['unknown, is confirmed', UNKNOWN, { kind: 'confirm' }, ['one', 'two']],
    ['unknown, is discarded', UNKNOWN, { kind: 'discard', reason: 'too late' }, ['one', 'two']],
    ['dead, is redriven', DEAD, redrive, ['one', 'one', 'two']],
    ['dead, is discarded', DEAD, { kind: 'discard', reason: 'spam' }, ['one', 'two']],
  ])('and, %s: its conversation goes on', async (_name, outcome, decision, texts) => {
    const { farEnd, dispatcher, settle, store } = await stopped(outcome);
    expect(await store.records.decide('one', decision)).toBe('done');
    dispatcher.wake('main');
    await settle();
    expect(farEnd.texts).toEqual(texts);
    expect(await store.records.survey()).toEqual([]);
  });

  test('still does so after a restart', async () => {
    const before = await stopped(UNKNOWN);
    await before.dispatcher.stop(0);
    await before.store.close();
    const { farEnd, dispatcher, settle, store } = await startOutbox({ file: before.file, clock: before.clock });
    dispatcher.start();
    await settle();
    expect(farEnd.texts).toEqual([]);
    await store.records.decide('one', redrive);
    dispatcher.wake('main');
    await settle();
    expect(farEnd.texts).toEqual(['one', 'two']);
  });
});

describe('a process that ends in the middle of an attempt', () => {
  /** Two messages wait, the first of them is in flight, and the process is gone; another one takes up the file. */
  async function crashed(onUnknown: Delivery['onUnknown']) {
    const before = await startOutbox();
    before.farEnd.automatic = undefined;
    before.dispatcher.start();
    await before.send('a', 'one', { id: 'one', onUnknown });
    await before.send('a', 'two', { id: 'two', onUnknown });
    await before.settle();
    expect(before.farEnd.texts).toEqual(['one']);
    await before.store.close();
    const outbox = await startOutbox({ file: before.file, clock: before.clock });
    outbox.dispatcher.start();
    await outbox.settle();
    return outbox;
  }

  test('leaves a message that is sent again, with a warning, in its order', async () => {
    const { farEnd, lines, store } = await crashed('retry');
    expect(farEnd.texts).toEqual(['one', 'two']);
    const { attemptLog } = (await store.records.get('one')) ?? {};
    expect(attemptLog?.map(({ outcome }) => outcome)).toEqual(['unknown', 'delivered']);
    const warnings = lines.filter(({ message }) => /possible repeat/.test(message));
    expect(warnings).toMatchObject([{ level: 'warn', id: 'one' }]);
  });

  test('leaves a message that is not sent again where the route says so: it is unknown, and a person is told why', async () => {
    const { farEnd, lines, store, clock, settled } = await crashed('stop');
    expect(farEnd.texts).toEqual([]);
    const detail = expect.stringMatching(/the process ended during the attempt/);
    const evidence = { at: clock.now(), outcome: 'unknown', status: null, duration: null, detail };
    expect(await store.records.get('one')).toMatchObject({ state: 'unknown', detail, attemptLog: [evidence] });
    expect(await store.records.get('two')).toMatchObject({ state: 'waiting', attempts: 0 });
    expect(settled).toMatchObject([{ state: 'unknown' }]);
    expect(lines).toContainEqual(
      expect.objectContaining({ level: 'error', message: expect.stringMatching(/^unknown/), id: 'one' }),
    );
  });

  test('leaves the message behind it for when a person has decided', async () => {
    const { farEnd, dispatcher, settle, store } = await crashed('stop');
    await store.records.decide('one', { kind: 'confirm' });
    dispatcher.wake('main');
    await settle();
    expect(farEnd.texts).toEqual(['two']);
  });
});

describe('an account whose credentials are refused', () => {
  const HOLD: Outcome = { kind: 'hold', detail: 'HTTP 401', isSpent: false };
  const TWO = accountsOf({ main: {}, other: {} });

  test('is put on hold: one probe every 30 s, no attempt is spent, other accounts go on, and then all arrive in order', async () => {
    const { clock, farEnd, dispatcher, send, attempts, settle, lines } = await startOutbox({ accounts: TWO });
    farEnd.automatic = ({ account }) => (account === 'main' ? HOLD : DELIVERED);
    dispatcher.start();
    await send('a', 'a1');
    await attempts(1);
    await settle();
    await send('a', 'a2');
    await send('b', 'b1');
    await send('c', 'elsewhere', { account: 'other' });
    await attempts(2);
    for (let probes = 1; probes <= 4; probes += 1) {
      clock.advance(29_999);
      await settle();
      expect(farEnd.calls.filter(({ account }) => account === 'main')).toHaveLength(probes);
      clock.advance(1);
      await attempts(probes + 2);
      await settle();
    }
    expect(lines.filter(({ message }) => /account on hold/.test(message))).toHaveLength(1);

    farEnd.calls.length = 0;
    farEnd.automatic = () => DELIVERED;
    clock.advance(30_000);
    await attempts(3);
    await settle();
    expect(farEnd.texts.filter((text) => text.startsWith('a'))).toEqual(['a1', 'a2']);
    expect(farEnd.texts).toContain('b1');
    expect(lines).toContainEqual(
      expect.objectContaining({ message: expect.stringMatching(/account released/), account: 'main' }),
    );
    const delivered = lines.filter(({ message }) => message === 'delivered');
    expect(delivered.map((line) => line.attempt)).toEqual([1, 1, 1, 1]);
  });

  test('is not released by a probe that says nothing about them', async () => {
    const { clock, farEnd, dispatcher, send, attempts, settle } = await startOutbox();
    farEnd.automatic = () => HOLD;
    dispatcher.start();
    await send('a', 'a1');
    await send('b', 'b1');
    await attempts(1);
    await settle();
    const held = farEnd.calls.length;
    farEnd.automatic = () => ({ kind: 'retry', detail: 'HTTP 500' });
    clock.advance(30_000);
    await attempts(held + 1);
    await settle();
    clock.advance(29_999);
    await settle();
    expect(farEnd.calls).toHaveLength(held + 1);
  });

  test('by an attempt that began before they were last accepted is not put on hold again', async () => {
    const { farEnd, dispatcher, send, attempts, settle, pass, lines } = await startOutbox();
    farEnd.automatic = undefined;
    dispatcher.start();
    await send('slow', 's');
    await send('a', 'a1');
    farEnd.calls[1]?.answer(HOLD);
    await settle();
    await pass(30_000, 1_000);
    await attempts(3);
    farEnd.calls[2]?.answer(DELIVERED);
    await until('it is released', () => lines.some(({ message }) => /account released/.test(message)));
    farEnd.calls[0]?.answer(HOLD);
    await until('it is a retry', () => lines.some(({ message }) => message === 'to be tried again'));
    await send('b', 'b1');
    await attempts(4);
    expect(farEnd.texts.at(-1)).toBe('b1');
  });

  test('on account of one message alone is released by another, and that message grows old and is given up', async () => {
    const { clock, farEnd, dispatcher, send, attempts, settle, lines } = await startOutbox({ retryHorizonMs: HOUR_MS });
    const refused = (): Outcome => ({ kind: 'hold', detail: 'registering the user: HTTP 403', isSpent: true });
    farEnd.automatic = ({ authId }) => (authId === 'poison' ? refused() : DELIVERED);
    dispatcher.start();
    await send('poison', 'p');
    await attempts(1);
    await settle();
    await send('good', 'g1');
    clock.advance(30_000);
    await attempts(2);
    expect(farEnd.texts).toEqual(['p', 'g1']);
    for (let minute = 0; minute < 120; minute += 1) {
      clock.advance(60_000);
      await settle();
      await send('good', `later ${minute}`);
      await settle();
    }
    expect(lines.filter(({ message }) => message === 'dead')).toMatchObject([{ auth_id: 'poison', reason: 'expired' }]);
    expect(farEnd.texts.filter((text) => text === 'p').length).toBeLessThan(20);
    clock.advance(60_000);
    await settle();
    expect(farEnd.texts.filter((text) => text.startsWith('later'))).toHaveLength(120);
  });

  test('for longer than the horizon costs no message', async () => {
    const { clock, farEnd, dispatcher, send, attempts, settle, lines } = await startOutbox({ retryHorizonMs: HOUR_MS });
    farEnd.automatic = () => HOLD;
    dispatcher.start();
    await send('a', 'a1');
    await send('b', 'b1');
    await attempts(1);
    await settle();
    clock.advance(3 * HOUR_MS);
    await settle();
    farEnd.automatic = ({ authId }) => (authId === 'a' ? DELIVERED : { kind: 'retry', detail: 'HTTP 500' });
    for (let probe = 0; probe < 3; probe += 1) {
      clock.advance(30_000);
      await settle();
    }
    expect(lines.map(({ message }) => message)).not.toContain('dead');
  });
});

describe('a clock that jumps', () => {
  const HOURS_MS = 2 * HOUR_MS;

  test.each([-HOURS_MS, HOURS_MS])('by %i ms does not send again what is in flight', async (jump) => {
    const { clock, farEnd, dispatcher, send, settle } = await startOutbox();
    farEnd.automatic = undefined;
    dispatcher.start();
    await send('a', 'a1');
    await send('b', 'b1');
    await settle();
    clock.jump(jump);
    await send('c', 'c1');
    dispatcher.wake('main');
    await settle();
    clock.advance(2_000);
    await settle();
    expect(farEnd.texts).toEqual(['a1', 'b1', 'c1']);
  });

  test('by a minute past the lease of what is in flight does not make the dispatcher spin', async () => {
    let claims = 0;
    const base = await startOutbox();
    const store: DispatcherOptions['store'] = {
      claim: (request) => {
        claims += 1;
        return base.store.claim(request);
      },
      settle: (...args) => base.store.settle(...args),
      renew: (...args) => base.store.renew(...args),
    };
    await base.send('a', 'a1');
    const farEnd = new FarEnd();
    farEnd.automatic = undefined;
    const { dispatcher, settle } = await startOutbox({ store, deliver: farEnd.deliver, clock: base.clock });
    dispatcher.start();
    await until('it is in flight', () => farEnd.calls.length === 1);
    base.clock.jump(60_000);
    dispatcher.wake('main');
    await settle();
    expect(claims).toBeLessThan(5);
  });

  test.each([-HOUR_MS / 2, -HOURS_MS, -60 * 24 * HOUR_MS, HOURS_MS])('by %i ms puts nobody to sleep', async (jump) => {
    const { clock, farEnd, dispatcher, send, attempts, settle } = await startOutbox();
    farEnd.automatic = () => ({ kind: 'retry', detail: 'HTTP 503' });
    dispatcher.start();
    await send('a', 'a1');
    await attempts(1);
    await settle();
    clock.jump(jump);
    clock.advance(1_000);
    await attempts(2);
  });
});

describe('stopping', () => {
  test('lets attempts in flight end, starts no other, and leaves the rest stored', async () => {
    const { farEnd, dispatcher, send, settle, store } = await startOutbox();
    farEnd.automatic = undefined;
    dispatcher.start();
    await send('a', 'a1');
    await send('a', 'a2');
    await settle();
    const stopped = dispatcher.stop(10_000);
    farEnd.calls[0]?.answer(DELIVERED);
    await stopped;
    expect(farEnd.texts).toEqual(['a1']);
    const { claims } = await store.claim({ account: 'main', limit: 9, leaseMs: 1, busy: new Set() });
    expect(claims).toMatchObject([{ isInDoubt: false, message: { delivery: { text: 'a2' } } }]);
  });

  test('waits for what was being stored under an offered slot when it began', async () => {
    const { farEnd, dispatcher, send, settle, store } = await startOutbox();
    dispatcher.start();
    const accepted = send('a', 'a1');
    const stopped = dispatcher.stop(10_000);
    await accepted;
    await stopped;
    await settle();
    expect(farEnd.texts).toEqual(['a1']);
    expect((await store.claim({ account: 'main', limit: 9, leaseMs: 1, busy: new Set() })).nextDueMs).toBeUndefined();
  });

  test('aborts what does not end in time, and writes what can be said of it', async () => {
    const { farEnd, dispatcher, send, settle, store, clock } = await startOutbox();
    farEnd.automatic = undefined;
    dispatcher.start();
    await send('a', 'a1');
    await settle();
    await dispatcher.stop(0);
    clock.advance(500);
    const { claims } = await store.claim({ account: 'main', limit: 9, leaseMs: 1, busy: new Set() });
    expect(claims).toMatchObject([{ isInDoubt: false, message: { attempts: 0 } }]);
  });

  test('aborts what does not end in time, and where the route says so leaves it to a person', async () => {
    const { farEnd, dispatcher, send, settle, store } = await startOutbox();
    farEnd.automatic = undefined;
    dispatcher.start();
    await send('a', 'a1', { id: 'a1', onUnknown: 'stop' });
    await settle();
    await dispatcher.stop(0);
    expect(await store.records.get('a1')).toMatchObject({
      state: 'unknown',
      detail: 'aborted',
      attemptLog: [{ outcome: 'unknown' }],
    });
  });

  test('gives up nothing for having been cut off, however old', async () => {
    const { farEnd, dispatcher, send, settle, clock, lines } = await startOutbox({ retryHorizonMs: HOUR_MS });
    farEnd.automatic = undefined;
    dispatcher.start();
    await send('a', 'a1');
    await settle();
    clock.advance(2 * HOUR_MS);
    await dispatcher.stop(0);
    expect(lines.map(({ message }) => message)).not.toContain('dead');
  });
});

describe('store trouble', () => {
  test('keeps an outcome until it can be written, and does not send again meanwhile', async () => {
    let isBroken = true;
    const base = await startOutbox();
    const store: Pick<Store, 'claim' | 'settle' | 'renew'> = {
      claim: (request) => base.store.claim(request),
      renew: (claims, ms) => base.store.renew(claims, ms),
      settle: (...args) => (isBroken ? Promise.reject(new Error('disk full')) : base.store.settle(...args)),
    };
    const { clock, log } = { clock: base.clock, log: memoryLog() };
    const farEnd = new FarEnd();
    const dispatcher = new Dispatcher({
      store,
      deliver: farEnd.deliver,
      observe: () => {},
      lanes: base.lanes,
      retryHorizonMs: HOUR_MS,
      clock,
      random: () => 0.5,
      newToken: () => 'x',
      log: log.log,
    });
    onTestEnd(() => dispatcher.stop(0));
    await base.send('a', 'a1');
    dispatcher.start();
    const failures = () => log.lines.filter(({ message }) => /cannot be written/.test(message)).length;
    await until('it failed once', () => failures() === 1);
    for (let times = 2; times <= 20; times += 1) {
      clock.advance(1_000);
      await until(`it failed ${times} times`, () => failures() === times);
    }
    isBroken = false;
    clock.advance(1_000);
    await turns();
    expect(farEnd.texts).toEqual(['a1']);
    clock.advance(60_000);
    expect((await base.store.claim({ account: 'main', limit: 1, leaseMs: 1, busy: new Set() })).claims).toEqual([]);
  });

  test('does not make the dispatcher spin', async () => {
    let claims = 0;
    const { log, lines } = memoryLog();
    const { lanes, clock, send } = await startOutbox();
    await send('a', 'a1');
    const dispatcher = new Dispatcher({
      store: {
        claim: async () => {
          claims += 1;
          throw new Error('I/O error');
        },
        settle: () => Promise.reject(new Error('not called')),
        renew: async () => ({ renewed: [], lost: [] }),
      },
      deliver: async () => DELIVERED,
      observe: () => {},
      lanes,
      retryHorizonMs: HOUR_MS,
      clock,
      random: () => 0.5,
      newToken: () => 'x',
      log,
    });
    onTestEnd(() => dispatcher.stop(0));
    dispatcher.start();
    await until('it failed', () => lines.length === 1);
    clock.advance(999);
    await turns();
    expect(claims).toBe(1);
    clock.advance(1);
    await until('it tried again', () => claims === 2);
  });
});
