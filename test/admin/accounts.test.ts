import { describe, expect, test } from '@jest/globals';
import { ACCOUNTS, CHAT, CREDENTIALS, type Running, startTestBridge } from '../support/bridge.ts';
import { temporaryFolder, turns, until } from '../support/fixtures.ts';

const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const TWO_ACCOUNTS = `${ACCOUNTS}
  second: { base_url: ${'$'}{HAPTIK_BASE_URL}, client_id: ${CREDENTIALS.clientId}, token: ${CREDENTIALS.token} }
`;
const TWO_CHANNELS = `
channels:
  chat: { verify: none }
  other: { verify: none }
routes:
  - { channel: chat, account: main, business_id: 343, auth_id: "{{ sender | alnum }}" }
  - { channel: other, account: second, business_id: 344, auth_id: "{{ sender | alnum }}" }
`;
const EMPTY = {
  cause: null,
  since: null,
  next_probe_at: null,
  waiting: 0,
  oldest_at: null,
  stopped: 0,
  stopped_since: null,
  dead: 0,
  unknown: 0,
};

async function post({ request }: Running, text: string, channel = 'chat', sender = 'u'): Promise<string> {
  const answer = await request.post(`/webhooks/${channel}`).send({ sender, text });
  expect(answer.status).toBe(202);
  return answer.body.id;
}

async function account({ admin }: Running, name = 'main') {
  const { body } = await admin.get('/api/accounts');
  return body.items.find((item: { name: string }) => item.name === name);
}

const texts = ({ simulator }: Running) => simulator.messages.map(({ message_body }) => message_body);

describe('accounts', () => {
  test('are shown with what waits in them', async () => {
    const running = await startTestBridge({ accounts: TWO_ACCOUNTS, routing: TWO_CHANNELS });
    const { status, body } = await running.admin.get('/api/accounts');
    expect([status, body]).toEqual([
      200,
      {
        items: [
          { name: 'main', state: 'active', ...EMPTY },
          { name: 'second', state: 'active', ...EMPTY },
        ],
        next: null,
      },
    ]);
    await running.admin.post('/api/accounts/second/pause').send({});
    const id = await post(running, 'a', 'other');
    await post(running, 'b', 'other');
    const { accepted_at } = (await running.admin.get(`/api/messages/${id}`)).body;
    expect(await account(running, 'second')).toEqual({
      ...EMPTY,
      name: 'second',
      state: 'held',
      cause: 'operator',
      since: time,
      waiting: 2,
      oldest_at: accepted_at,
    });
  });

  test('tell how many of their messages and conversations wait for a person', async () => {
    const running = await startTestBridge({
      routing: CHAT.replace('business_id:', 'on_unknown: stop, on_dead: stop, business_id:'),
    });
    running.simulator.addFault({ count: 1, path: 'message', action: 'garbage' });
    await post(running, 'unknown', 'chat', 'a');
    await until('it is unknown', async () => (await account(running)).unknown === 1);
    running.simulator.addFault({ count: 1, status: 400 });
    const dead = await post(running, 'dead', 'chat', 'b');
    await until('it is dead', async () => (await account(running)).dead === 1);
    await post(running, 'behind', 'chat', 'b');
    expect(await account(running)).toMatchObject({ waiting: 1, stopped: 2, stopped_since: time, dead: 1, unknown: 1 });
    await running.admin.post(`/api/messages/${dead}/discard`).send({ reason: 'x' });
    await until('it goes on', async () => (await account(running)).waiting === 0);
    expect(await account(running)).toMatchObject({ stopped: 1, dead: 0, unknown: 1 });
  });
});

describe('an account that is paused', () => {
  test('sends nothing, and all in order once it is resumed', async () => {
    const running = await startTestBridge({ routing: CHAT });
    const { admin, simulator } = running;
    const paused = await admin.post('/api/accounts/main/pause').send({});
    expect([paused.status, paused.body]).toEqual([
      200,
      { ...EMPTY, name: 'main', state: 'held', cause: 'operator', since: time },
    ]);
    for (const text of ['a', 'b', 'c']) await post(running, text);
    // Whatever could set it off.
    await admin.post('/api/redrive').send({ filter: {} });
    await turns(500);
    expect(simulator.requests).toEqual([]);
    const resumed = await admin.post('/api/accounts/main/resume').send({});
    expect([resumed.status, resumed.body]).toMatchObject([200, { state: 'active', cause: null, since: null }]);
    await until('all have arrived', () => simulator.messages.length === 3);
    expect(texts(running)).toEqual(['a', 'b', 'c']);
  });

  test('stays so through a restart', async () => {
    const folder = await temporaryFolder();
    const before = await startTestBridge({ routing: CHAT, folder });
    await before.admin.post('/api/accounts/main/pause').send({});
    const { since } = await account(before);
    for (const text of ['a', 'b']) await post(before, text);
    await before.bridge.stop();

    const after = await startTestBridge({ routing: CHAT, folder });
    await post(after, 'c');
    expect(await account(after)).toMatchObject({ state: 'held', cause: 'operator', since, waiting: 3 });
    await turns(500);
    expect([...before.simulator.requests, ...after.simulator.requests]).toEqual([]);
    await after.admin.post('/api/accounts/main/resume').send({});
    await until('all have arrived', () => after.simulator.messages.length === 3);
    expect(texts(after)).toEqual(['a', 'b', 'c']);
    await after.bridge.stop();
    expect(await account(await startTestBridge({ routing: CHAT, folder }))).toMatchObject({ state: 'active' });
  });

  test('lets what is being delivered end', async () => {
    const running = await startTestBridge({ routing: CHAT });
    running.simulator.addFault({ count: 1, delay_ms: 300 });
    await post(running, 'a');
    await post(running, 'b');
    await until('the first is in flight', () => running.simulator.requests.length === 1);
    await running.admin.post('/api/accounts/main/pause').send({});
    await until('the first has arrived', async () => (await account(running)).waiting === 1);
    await turns(500);
    expect(texts(running)).toEqual(['a']);
  });

  test('does not hold another', async () => {
    const running = await startTestBridge({ accounts: TWO_ACCOUNTS, routing: TWO_CHANNELS });
    await running.admin.post('/api/accounts/second/pause').send({});
    await post(running, 'held', 'other');
    await post(running, 'goes');
    await until('it has arrived', () => running.simulator.messages.length === 1);
    expect(texts(running)).toEqual(['goes']);
  });

  test('can be paused and resumed again and again', async () => {
    const running = await startTestBridge({ routing: CHAT });
    const ask = async (action: string) => {
      const { status, body } = await running.admin.post(`/api/accounts/main/${action}`).send({});
      return [status, body.state, body.since];
    };
    expect(await ask('resume')).toEqual([200, 'active', null]);
    const first = await ask('pause');
    expect(await ask('pause')).toEqual(first);
    expect(await ask('resume')).toEqual([200, 'active', null]);
    expect(await ask('resume')).toEqual([200, 'active', null]);
    await post(running, 'a');
    await until('it has arrived', () => running.simulator.messages.length === 1);
  });

  test('must be there', async () => {
    const { admin } = await startTestBridge({ routing: CHAT });
    for (const action of ['pause', 'resume']) {
      const { status, body } = await admin.post(`/api/accounts/none/${action}`).send({});
      expect([status, body.detail]).toEqual([404, 'There is no account "none".']);
    }
  });
});

describe('an account that the routing file has no longer', () => {
  test('is missing while messages of it wait, and goes on once it is back', async () => {
    const folder = await temporaryFolder();
    const before = await startTestBridge({ accounts: TWO_ACCOUNTS, routing: TWO_CHANNELS, folder });
    before.simulator.addFault({ rate: 1, status: 500, headers: { 'retry-after': '600' } });
    for (const text of ['a', 'b']) await post(before, text, 'other');
    await before.bridge.stop();

    const gone = await startTestBridge({ routing: CHAT, folder });
    expect(await account(gone, 'second')).toMatchObject({ state: 'missing', cause: null, waiting: 2, oldest_at: time });
    expect((await gone.request.post('/webhooks/other').send({ sender: 'u', text: 'x' })).status).toBe(503);
    await gone.bridge.stop();
    expect(gone.simulator.requests).toEqual([]);

    const back = await startTestBridge({ accounts: TWO_ACCOUNTS, routing: TWO_CHANNELS, folder });
    expect(await account(back, 'second')).toMatchObject({ state: 'active', waiting: 2 });
  });

  test('keeps what waits, and its dead ones go where a redrive routes them', async () => {
    const folder = await temporaryFolder();
    const before = await startTestBridge({ accounts: TWO_ACCOUNTS, routing: TWO_CHANNELS, folder });
    for (const text of ['dead', 'rerouted']) {
      before.simulator.addFault({ count: 1, status: 400 });
      const id = await post(before, text, 'other', text);
      await until('it is dead', async () => (await before.admin.get(`/api/messages/${id}`)).body.state === 'dead');
    }
    await before.admin.post('/api/accounts/second/pause').send({});
    const waiting = await post(before, 'waits', 'other');
    await before.bridge.stop();

    const moved = TWO_CHANNELS.replace('account: second', 'account: main');
    const gone = await startTestBridge({ routing: moved, folder });
    expect(await account(gone, 'second')).toMatchObject({ state: 'missing', waiting: 1, oldest_at: time, dead: 2 });
    const warned = gone.lines.filter(({ message }) => /account that the routing file does not have/.test(message));
    expect(warned).toMatchObject([{ account: 'second', waiting: 1 }]);
    const rerouted = await gone.admin.post('/api/redrive').send({ filter: { sender: 'rerouted' }, reroute: true });
    expect(rerouted.body.redriven).toBe(1);
    await until('it has arrived', () => gone.simulator.messages.length === 1);
    // As it was there is nobody to send it to: it stays.
    const stays = await gone.admin.post('/api/redrive').send({ filter: { sender: 'dead' } });
    expect(stays.body).toEqual({ redriven: 0, conversations: 0, unplaced: 1 });
    expect(await account(gone, 'second')).toMatchObject({ waiting: 1, dead: 1 });
    await turns(500);
    expect(texts(gone)).toEqual(['rerouted']);
    const discarded = await gone.admin.post(`/api/messages/${waiting}/discard`).send({ reason: 'gone' });
    expect(discarded.body.state).toBe('discarded');
    await gone.bridge.stop();

    const back = await startTestBridge({ accounts: TWO_ACCOUNTS, routing: TWO_CHANNELS, folder });
    expect(await account(back, 'second')).toMatchObject({ state: 'held', cause: 'operator', waiting: 0, dead: 1 });
    await back.admin.post('/api/redrive').send({ filter: { sender: 'dead' } });
    await back.admin.post('/api/accounts/second/resume').send({});
    await until('it has arrived', () => back.simulator.messages.length === 1);
    expect(texts(back)).toEqual(['dead']);
  });

  test('gives what waits in it to another by a redrive that says so, in its order', async () => {
    const folder = await temporaryFolder();
    const before = await startTestBridge({ accounts: TWO_ACCOUNTS, routing: TWO_CHANNELS, folder });
    before.simulator.addFault({ rate: 1, status: 500, headers: { 'retry-after': '600' } });
    for (const text of ['a', 'b', 'c']) await post(before, text, 'other');
    await before.bridge.stop();

    const moved = TWO_CHANNELS.replace('account: second', 'account: main');
    const gone = await startTestBridge({ routing: moved, folder });
    const body = { filter: { account: 'second', state: 'waiting' }, reroute: true };
    const preview = await gone.admin.post('/api/redrive').send({ ...body, preview: true });
    expect([preview.status, preview.body.count, preview.body.conversations]).toEqual([200, 3, 1]);
    expect((await gone.admin.post('/api/redrive').send(body)).body.redriven).toBe(3);
    await until('all have arrived', () => gone.simulator.messages.length === 3);
    expect(texts(gone)).toEqual(['a', 'b', 'c']);
    expect((await account(gone, 'second'))?.waiting ?? 0).toBe(0);
    expect((await gone.admin.post('/api/redrive').send(body)).body.redriven).toBe(0);
  });

  test('is not shown when nothing of it is stored', async () => {
    const folder = await temporaryFolder();
    const before = await startTestBridge({ accounts: TWO_ACCOUNTS, routing: TWO_CHANNELS, folder });
    await before.bridge.stop();
    const gone = await startTestBridge({ routing: CHAT, folder });
    expect(await account(gone, 'second')).toBeUndefined();
    expect((await gone.admin.post('/api/accounts/second/pause').send({})).status).toBe(404);
  });
});

describe('an account that Haptik refuses', () => {
  test('is held, and the next try is in 30 s; an operator’s pause covers it', async () => {
    const running = await startTestBridge({ routing: CHAT });
    running.simulator.addFault({ rate: 1, status: 401 });
    const startedAt = Date.now();
    await post(running, 'a');
    await until('it is held', async () => (await account(running)).state === 'held');
    const held = await account(running);
    expect(held).toMatchObject({ cause: 'unauthorized', since: time, waiting: 1 });
    const offBy = Date.parse(held.next_probe_at) - startedAt - 30_000;
    expect(offBy).toBeGreaterThanOrEqual(-50);
    expect(offBy).toBeLessThan(Date.now() - startedAt + 50);

    const paused = await running.admin.post('/api/accounts/main/pause').send({});
    expect(paused.body).toMatchObject({ cause: 'operator', next_probe_at: null });
    const resumed = await running.admin.post('/api/accounts/main/resume').send({});
    expect(resumed.body).toMatchObject({ state: 'held', cause: 'unauthorized', since: held.since });
    expect(running.simulator.requests.length).toBe(1);
  });
});
