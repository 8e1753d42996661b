import { createServer, type Socket } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import fetch from 'node-fetch';
import { createClient, type Post } from '../src/haptik/client.ts';
import { createDeliver } from '../src/haptik/deliver.ts';
import type { Fault } from '../src/haptik/simulator.ts';
import type { Delivery, Outcome } from '../src/message.ts';
import type { Deliver } from '../src/outbox/drain.ts';
import { CREDENTIALS, startSimulator } from './support/bridge.ts';
import { ManualClock, onTestEnd, turns, until } from './support/fixtures.ts';
import { startOutbox } from './support/outbox.ts';

/**
 * What becomes of a message, by what Haptik, or whoever answers in its place, makes of the first attempt. `one` and `two`
 * are of one conversation and wait both; `other` is of another and comes in after that attempt.
 */

type OnUnknown = Delivery['onUnknown'];

/** What follows: for the messages, and for the operator who looks. */
interface Consequence {
  readonly state: 'delivered' | 'waiting' | 'dead' | 'unknown';
  readonly reason: string | null;
  /** Attempts that count. */
  readonly spent: number;
  /** `one` again after so many milliseconds, else `two` at once, or nothing of the conversation. */
  readonly next: number | 'two' | 'nothing';
  readonly stopped: number;
  readonly hold: 'unauthorized' | undefined;
  /** What Haptik has of the conversation, once all is well again. */
  readonly arrived: readonly string[];
}

const WELL = { reason: null, spent: 1, stopped: 0, hold: undefined, arrived: ['one', 'two'] } as const;
const AGAIN: Consequence = { ...WELL, state: 'waiting', next: 500 };
const STOPPED: Consequence = { ...WELL, state: 'unknown', next: 'nothing', stopped: 1, arrived: [] };

const CONSEQUENCES: Readonly<Record<Outcome['kind'], (onUnknown: OnUnknown) => Consequence>> = {
  delivered: () => ({ ...WELL, state: 'delivered', next: 'two' }),
  retry: () => AGAIN,
  unknown: (onUnknown) => (onUnknown === 'retry' ? AGAIN : STOPPED),
  hold: () => ({ ...WELL, state: 'waiting', spent: 0, next: 30_000, hold: 'unauthorized' }),
  dead: () => ({ ...WELL, state: 'dead', next: 'two', arrived: ['two'] }),
};

/** How the far end takes the first attempt: faults of the simulator, a server of another kind, or none. */
type FarEnd = readonly Fault[] | ((socket: Socket) => void) | 'nobody';

/** What is said · outcome · the HTTP status that decided · what differs from its usual consequence */
type Row = readonly [says: string, FarEnd, Outcome['kind'], number | null, Partial<Consequence>?];

const message = (fault: Omit<Fault, 'path' | 'count'>): Fault => ({ ...fault, path: 'message', count: 1 });
const user = (fault: Omit<Fault, 'path' | 'count'>): Fault => ({ ...fault, path: 'user', count: 1 });
const says = (status: number, body?: unknown) => [message({ status, body })];
const waits = (status: number, after: string) => [message({ status, headers: { 'Retry-After': after } })];
const then = (fault: Omit<Fault, 'path' | 'count'>) => [message({ status: 403 }), message(fault)];
const raw = (answer: string) => (socket: Socket) => void socket.end(`HTTP/1.1 ${answer}`);
const cut = (answer: string) => (socket: Socket) =>
  void socket.write(`HTTP/1.1 ${answer}\r\nContent-Length: 100\r\n\r\n{`, () => socket.destroy());
const OVERSIZED = { message_id: 7, padding: 'x'.repeat(70_000) };

const REFUSED = { reason: 'refused' };
const NOT_REGISTERED = { reason: 'user_not_registered' };
const REGISTRATION_REFUSED = { reason: 'registration_refused' };

const KNOWN_USER: readonly Row[] = [
  ['200 with a message_id', [], 'delivered', 200],
  ['200 without a message_id', says(200, { ok: true }), 'unknown', 200],
  ['200 with broken JSON', says(200, '{"message_id": 14'), 'unknown', 200],
  ['200 with a page', [message({ action: 'garbage' })], 'unknown', 200],
  ['200 that is oversized', says(200, OVERSIZED), 'unknown', 200],
  ['200 that breaks off', cut('200 OK'), 'unknown', 200],
  ['201', says(201, { message_id: 7 }), 'unknown', 201],
  ['204', says(204), 'unknown', 204],
  ['301', says(301), 'retry', 301],
  ['302', says(302), 'retry', 302],
  ['400', says(400), 'dead', 400, REFUSED],
  ['400 that is oversized', says(400, OVERSIZED), 'dead', 400, REFUSED],
  ['400 that breaks off', cut('400 Bad Request'), 'dead', 400, REFUSED],
  ['401', says(401), 'hold', 401],
  ['404', says(404), 'dead', 404, REFUSED],
  ['405', says(405), 'dead', 405, REFUSED],
  ['408', says(408), 'retry', 408],
  ['409', says(409), 'dead', 409, REFUSED],
  ['413', says(413), 'dead', 413, REFUSED],
  ['415', says(415), 'dead', 415, REFUSED],
  ['422', says(422), 'dead', 422, REFUSED],
  ['425', says(425), 'retry', 425],
  ['429', says(429), 'retry', 429],
  ['429, Retry-After in seconds', waits(429, '7'), 'retry', 429, { next: 7_000 }],
  ['429, Retry-After as a date', waits(429, 'Sun, 22 Nov 2026 12:31:00 GMT'), 'retry', 429, { next: 60_000 }],
  ['429, Retry-After of two hours', waits(429, '7200'), 'retry', 429, { next: 3_600_000 }],
  ['429, Retry-After of nothing', waits(429, '0'), 'retry', 429],
  ['500', says(500), 'retry', 500],
  ['500 that is oversized', says(500, OVERSIZED), 'retry', 500],
  ['501', says(501), 'retry', 501],
  ['502', says(502), 'unknown', 502],
  ['503', says(503), 'retry', 503],
  ['503, Retry-After in seconds', waits(503, '7'), 'retry', 503, { next: 7_000 }],
  ['504', says(504), 'unknown', 504],
  ['599', says(599), 'retry', 599],
  ['nothing, since nobody listens', 'nobody', 'retry', null],
  ['nothing, and closes the connection at once', (socket) => void socket.destroy(), 'unknown', null],
  ['nothing, and cuts the connection after the request', [message({ action: 'drop' })], 'unknown', null],
  ['nothing, and has it, and cuts the connection', [message({ action: 'accept_then_drop' })], 'unknown', null],
  ['nothing in time', [message({ action: 'hang' })], 'unknown', null],
  ['what is not HTTP', (socket) => void socket.end('220 mail.example ESMTP\r\n'), 'unknown', null],
  ['half a head', raw('200 OK\r\nContent-Le'), 'unknown', null],
];

const UNKNOWN_USER: readonly Row[] = [
  ['200 to the registration', [], 'delivered', 200],
  ['200 to the registration, and 403 again', [user({ status: 200 })], 'dead', 403, NOT_REGISTERED],
  ['302 to the registration', [user({ status: 302 })], 'retry', 302],
  ['400 to the registration', [user({ status: 400 })], 'dead', 400, REGISTRATION_REFUSED],
  ['401 to the registration', [user({ status: 401 })], 'hold', 401],
  // It may be the message's own fault: it counts, and another message is the next probe.
  ['403 to the registration', [user({ status: 403 })], 'hold', 403, { spent: 1, next: 30_500 }],
  ['408 to the registration', [user({ status: 408 })], 'retry', 408],
  ['409 to the registration', [user({ status: 409 })], 'dead', 409, REGISTRATION_REFUSED],
  ['429 to the registration', [user({ status: 429, headers: { 'Retry-After': '7' } })], 'retry', 429, { next: 7_000 }],
  ['500 to the registration', [user({ status: 500 })], 'retry', 500],
  ['502 to the registration', [user({ status: 502 })], 'retry', 502],
  ['504 to the registration', [user({ status: 504 })], 'retry', 504],
  ['nothing in time to the registration', [user({ action: 'hang' })], 'retry', null],
  ['nothing to the registration', [user({ action: 'drop' })], 'retry', null],
  ['401 after the registration', then({ status: 401 }), 'hold', 401],
  ['400 after the registration', then({ status: 400 }), 'dead', 400, REFUSED],
  ['500 after the registration', then({ status: 500 }), 'retry', 500],
  ['502 after the registration', then({ status: 502 }), 'unknown', 502],
  ['nothing after the registration', then({ action: 'drop' }), 'unknown', null],
];

const UNREGISTERED: readonly Row[] = [
  ['403', [], 'dead', 403, { ...NOT_REGISTERED, arrived: [] }],
  ['401', says(401), 'hold', 401, { arrived: [] }],
  ['500', says(500), 'retry', 500, { arrived: [] }],
];

interface Setting {
  readonly farEnd: FarEnd;
  readonly onUnknown: OnUnknown;
  readonly knows: boolean;
  readonly registers: boolean;
}

/** The base URL of a server that does the one thing with each connection, or of none. */
async function listenRaw(act: ((socket: Socket) => void) | 'nobody'): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    if (act !== 'nobody') socket.once('data', () => act(socket));
    onTestEnd(() => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await until('it listens', () => server.listening);
  const address = server.address();
  if (act === 'nobody') server.close();
  else onTestEnd(() => server.close());
  if (typeof address !== 'object' || address === null) throw new Error('no address');
  return `http://127.0.0.1:${address.port}`;
}

/** The outbox, the client and a far end, put together as the bridge does it. */
async function start({ farEnd, onUnknown, knows, registers }: Setting) {
  const { simulator, url } = await startSimulator();
  const register = async (authId: string) => {
    const headers = { Authorization: `Bearer ${CREDENTIALS.token}`, 'client-id': CREDENTIALS.clientId };
    const answer = await fetch(`${url}/v1.0/user/`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ auth_id: authId }),
    });
    await answer.text();
  };
  if (knows) await register('a');
  await register('b');
  const faults = typeof farEnd === 'object' ? farEnd : [];
  for (const fault of faults) simulator.addFault(fault);
  const hanging = faults.find(({ action }) => action === 'hang')?.path;

  // Only what is to hang is hasty, so that a slow machine does not look like a time-out.
  const [patient, hasty] = [createClient({ fetch, timeoutMs: 20_000 }), createClient({ fetch, timeoutMs: 100 })];
  onTestEnd(() => patient.close());
  onTestEnd(() => hasty.close());
  const begun: string[] = [];
  let isFirst = true;
  const post: Post = (to, where, ...rest) => {
    const hangs = isFirst && where.pathname.includes(hanging === 'user' ? '/user/' : '/log_message');
    return (hanging && hangs ? hasty : patient).post(to, where, ...rest);
  };
  const first = typeof farEnd === 'object' ? url : await listenRaw(farEnd);
  const account = () => {
    const base = isFirst ? first : url;
    const userUrl = registers ? new URL('/v1.0/user/', base) : undefined;
    return { name: 'main', messageUrl: new URL('/v1.0/log_message_from_user/', base), userUrl, ...CREDENTIALS };
  };
  const clock = new ManualClock();
  const delivering = createDeliver({ post, account, clock });
  const deliver: Deliver = async (delivery, signal) => {
    begun.push(delivery.text);
    const outcome = await delivering(delivery, signal);
    isFirst = false;
    return outcome;
  };
  const outbox = await startOutbox({ clock, deliver });
  const send = (authId: string, text: string) => outbox.send(authId, text, { onUnknown, id: text });
  const arrived = () =>
    simulator.messages.filter(({ auth_id }) => auth_id === 'a').map(({ message_body }) => message_body);
  return { ...outbox, simulator, begun, send, arrived };
}

async function runRow([, farEnd, outcome, status, more]: Row, setting: Omit<Setting, 'farEnd'>): Promise<void> {
  const expected: Consequence = { ...CONSEQUENCES[outcome](setting.onUnknown), ...more };
  const { clock, store, lanes, dispatcher, begun, send, arrived, settled } = await start({ ...setting, farEnd });
  const wasHad = typeof farEnd === 'object' && farEnd.some(({ action }) => action === 'accept_then_drop');
  await send('a', 'one');
  await send('a', 'two');
  dispatcher.start();
  await until('the first attempt is over', () => settled.length > 0);

  const record = await store.records.get('one');
  expect(record).toMatchObject({ state: expected.state, reason: expected.reason, attempts: expected.spent });
  expect(record?.attemptLog).toMatchObject([{ at: clock.now(), outcome, status }]);
  expect(await store.records.survey()).toMatchObject([{ account: 'main', stopped: expected.stopped }]);
  const nextProbeAt = clock.now() + 30_000;
  expect(lanes.holdOf('main')).toEqual(expected.hold && { cause: expected.hold, since: clock.now(), nextProbeAt });

  await send('b', 'other');
  const isOtherDone = async () => (await store.records.get('other'))?.state === 'delivered';
  if (expected.hold === undefined) await until('the other conversation goes on', isOtherDone);
  const ofConversation = () => begun.filter((text) => text !== 'other');
  if (expected.next === 'two') {
    await until('the next message is sent', () => begun.includes('two'));
    expect(ofConversation().slice(0, 2)).toEqual(['one', 'two']);
  } else {
    clock.advance(expected.next === 'nothing' ? 3_600_000 : expected.next - 1);
    await turns();
    expect(ofConversation()).toEqual(['one']);
  }
  if (expected.next === 'nothing') {
    expect(arrived()).toEqual(wasHad ? ['one'] : []);
    return;
  }
  if (expected.next !== 'two') {
    clock.advance(1);
    await until('it is sent again', () => ofConversation().length > 1);
    expect(ofConversation().slice(0, 2)).toEqual(['one', 'one']);
  }
  await until('nothing waits any more', async () => (await store.look(['main'])).due.size === 0);
  expect(arrived()).toEqual(wasHad ? ['one', ...expected.arrived] : expected.arrived);
}

describe.each<OnUnknown>(['retry', 'stop'])('on_unknown: %s. Haptik says', (onUnknown) => {
  test.each(KNOWN_USER)('%s', (...row) => runRow(row, { onUnknown, knows: true, registers: true }));
});

describe.each<OnUnknown>(['retry', 'stop'])('on_unknown: %s, and the user is unknown. Haptik says', (onUnknown) => {
  test.each(UNKNOWN_USER)('%s', (...row) => runRow(row, { onUnknown, knows: false, registers: true }));
});

describe.each<OnUnknown>(['retry', 'stop'])('on_unknown: %s, and register_users: false. Haptik says', (onUnknown) => {
  test.each(UNREGISTERED)('%s', (...row) => runRow(row, { onUnknown, knows: false, registers: false }));
});

test('of a dead letter the operator sees what Haptik said of it', async () => {
  const farEnd = says(400, { error_message: 'business_id 343 is closed' });
  const { store, send, dispatcher, settled } = await start({
    farEnd,
    onUnknown: 'retry',
    knows: true,
    registers: true,
  });
  await send('a', 'one');
  dispatcher.start();
  await until('the attempt is over', () => settled.length > 0);
  const { detail } = (await store.records.get('one')) ?? {};
  expect(detail).toBe('HTTP 400: {"error_message":"business_id 343 is closed"}');
});

test('the messages of a user whom Haptik does not know arrive in order, after one registration', async () => {
  const setting = { farEnd: [], onUnknown: 'retry', knows: false, registers: true } as const;
  const { simulator, store, send, dispatcher, arrived } = await start(setting);
  for (const text of ['one', 'two', 'three']) await send('a', text);
  const before = simulator.requests.length;
  dispatcher.start();
  await until('nothing waits any more', async () => (await store.look(['main'])).due.size === 0);
  expect(simulator.requests.slice(before).map(({ path, status }) => `${path} ${status}`)).toEqual([
    '/v1.0/log_message_from_user/ 403',
    '/v1.0/user/ 200',
    ...arrived().map(() => '/v1.0/log_message_from_user/ 200'),
  ]);
  expect(arrived()).toEqual(['one', 'two', 'three']);
});
