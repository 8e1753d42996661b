import { request as call } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import type { Response } from 'supertest';
import { redriveAll } from '../../src/admin/redrive.ts';
import type { Records, Routing } from '../../src/outbox/records.ts';
import { EVERY_ACCOUNT } from '../outbox/samples.ts';
import { CHAT, type Running, startTestBridge } from '../support/bridge.ts';
import { ManualClock, temporaryFolder, turns, until } from '../support/fixtures.ts';

const NDJSON = 'application/x-ndjson';
/** A name of a sender that sorts as its number does, as conversations are redriven in the order of their names. */
const nameOf = (index: number) => `u${String(index).padStart(4, '0')}`;
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);
const STRICT = CHAT.replace('channel: chat,', 'channel: chat, when: { text: { prefix: ok } },');

async function count({ admin }: Running, state: string): Promise<number> {
  return (await admin.get(`/api/messages?limit=500&state=${state}`)).body.items.length;
}

async function post({ request }: Running, messages: readonly object[]): Promise<string[]> {
  const answer = await request.post('/webhooks/chat').send({ messages });
  expect(answer.status).toBe(202);
  return answer.body.messages.map(({ id }: { id: string }) => id);
}

/** `each` messages, refused by Haptik, in each of so many conversations. */
async function dead(running: Running, conversations: number, each: number): Promise<string[]> {
  running.simulator.addFault({ rate: 1, status: 400, body: 'no' });
  const messages = upTo(each).flatMap((n) => upTo(conversations).map((c) => ({ sender: nameOf(c), text: `ok ${n}` })));
  const ids = await post(running, messages);
  await until('all are dead', async () => (await count(running, 'dead')) >= ids.length);
  running.simulator.clearFaults();
  return ids;
}

/** What arrived of a sender, in its order. */
function arrived({ simulator }: Running, sender: string): string[] {
  return simulator.messages.filter(({ auth_id }) => auth_id === sender).map(({ message_body }) => message_body);
}

function redrive({ admin }: Running, body: object) {
  return admin.post('/api/redrive').send({ rate: 10_000, ...body });
}

describe('a redrive of many', () => {
  test('can be looked at before: how many, of how many conversations, and ten of them; nothing changes', async () => {
    const running = await startTestBridge({ routing: CHAT });
    const ids = await dead(running, 6, 2);
    const calls = running.simulator.requests.length;
    const before = (await running.admin.get('/api/messages')).body;
    const { status, body } = await redrive(running, { filter: {}, preview: true });
    expect(status).toBe(200);
    expect(body).toEqual({ count: 12, conversations: 6, samples: expect.any(Array) });
    expect(body.samples.length).toBe(10);
    expect(before.items).toEqual(expect.arrayContaining(body.samples));
    expect((await running.admin.get('/api/messages')).body).toEqual(before);
    expect(running.simulator.requests.length).toBe(calls);
    expect(before.items.length).toBe(ids.length);

    const some = await redrive(running, { filter: { auth_id: nameOf(3) }, preview: true });
    expect([some.body.count, some.body.conversations, some.body.samples.length]).toEqual([2, 1, 2]);
    const none = await redrive(running, { filter: { reason: 'expired' }, preview: true });
    expect(none.body).toEqual({ count: 0, conversations: 0, samples: [] });
  });

  test('brings all back, each conversation in its order, and done again it does nothing', async () => {
    const running = await startTestBridge({ routing: CHAT });
    await dead(running, 5, 3);
    const { status, body } = await redrive(running, { filter: {} });
    expect([status, body]).toEqual([200, { redriven: 15, conversations: 5, unplaced: 0 }]);
    expect((await redrive(running, { filter: {} })).body).toEqual({ redriven: 0, conversations: 0, unplaced: 0 });
    await until('all are delivered', async () => (await count(running, 'delivered')) === 15);
    await redrive(running, { filter: {} });
    for (const c of upTo(5)) expect(arrived(running, nameOf(c))).toEqual(['ok 0', 'ok 1', 'ok 2']);
  });

  test('asked for twice at the same time sends nothing twice', async () => {
    const running = await startTestBridge({ routing: CHAT });
    await dead(running, 20, 2);
    const answers = await Promise.all(upTo(3).map(() => redrive(running, { filter: {} }).then(({ body }) => body)));
    expect(answers.reduce((sum, { redriven }) => sum + redriven, 0)).toBe(40);
    await until('all are delivered', async () => (await count(running, 'delivered')) === 40);
    expect(running.simulator.messages.length).toBe(40);
  });

  test('is of those that match', async () => {
    const running = await startTestBridge({ routing: CHAT });
    const [first = ''] = await dead(running, 3, 2);
    const { accepted_at } = (await running.admin.get(`/api/messages/${first}`)).body;
    expect((await redrive(running, { filter: { until: accepted_at } })).body.redriven).toBe(0);
    expect((await redrive(running, { filter: { channel: 'none' } })).body.redriven).toBe(0);
    const { body } = await redrive(running, { filter: { sender: nameOf(1), since: accepted_at, reason: 'refused' } });
    expect(body).toEqual({ redriven: 2, conversations: 1, unplaced: 0 });
    expect(await count(running, 'dead')).toBe(4);
  });

  test('is of dead ones, unless it says unknown: those may have arrived', async () => {
    const running = await startTestBridge({
      routing: CHAT.replace('business_id:', 'on_unknown: stop, business_id:'),
    });
    await dead(running, 1, 1);
    running.simulator.addFault({ count: 1, path: 'message', action: 'garbage' });
    await post(running, [{ sender: 'who', text: 'unknown' }]);
    await until('it is unknown', async () => (await count(running, 'unknown')) === 1);
    expect((await redrive(running, { filter: {} })).body.redriven).toBe(1);
    expect(await count(running, 'unknown')).toBe(1);
    expect((await redrive(running, { filter: { state: 'unknown' } })).body.redriven).toBe(1);
    await until('both are delivered', async () => (await count(running, 'delivered')) === 2);
  });

  test.each([
    [{}, ['filter']],
    [{ filter: { state: 'delivered' } }, ['filter.state']],
    [{ filter: { text: 'x', colour: 'red' } }, ['filter.colour', 'filter.text']],
    [{ filter: { since: 1 } }, ['filter.since']],
    [{ filter: {}, dry_run: true }, ['dry_run']],
    [{ filter: {}, rate: 0 }, ['rate']],
    [{ filter: {}, rate: -1 }, ['rate']],
    [{ filter: {}, rate: 1e9 }, ['rate']],
    [{ filter: {}, rate: '5' }, ['rate']],
    [{ filter: {}, preview: 'yes' }, ['preview']],
    [{ filter: {}, reroute: 1 }, ['reroute']],
    [{ filter: [] }, ['filter']],
  ])('of %j is refused, and it is said where', async (body, paths) => {
    const running = await startTestBridge({ routing: CHAT });
    await dead(running, 1, 1);
    const answer = await running.admin.post('/api/redrive').send(body);
    expect(answer.status).toBe(422);
    expect(answer.body.errors.map(({ path }: { path: string }) => path).sort()).toEqual(paths);
    expect(await count(running, 'dead')).toBe(1);
  });

  test('of what waits for an account that is there is refused: it is on its way', async () => {
    const { admin } = await startTestBridge({ routing: CHAT });
    for (const filter of [{ state: 'waiting' }, { state: 'waiting', account: 'main' }]) {
      const answer = await admin.post('/api/redrive').send({ filter, reroute: true });
      expect([answer.status, answer.type]).toEqual([409, 'application/problem+json']);
    }
  });

  test('puts what was dead before what is waiting; only what is being delivered goes first', async () => {
    const running = await startTestBridge({ routing: CHAT });
    await dead(running, 1, 2);
    running.simulator.addFault({ count: 1, delay_ms: 500 });
    const sender = nameOf(0);
    const before = running.simulator.requests.length;
    await post(running, [{ sender, text: 'in flight' }]);
    await until('it is in flight', () => running.simulator.requests.length > before);
    await post(running, [{ sender, text: 'waits' }]);
    expect((await redrive(running, { filter: {} })).body.redriven).toBe(2);
    await post(running, [{ sender, text: 'new' }]);
    await until('all have arrived', () => arrived(running, sender).length === 5);
    expect(arrived(running, sender)).toEqual(['in flight', 'ok 0', 'ok 1', 'waits', 'new']);
  });

  test('tells each step to who asks for lines', async () => {
    const running = await startTestBridge({ routing: CHAT });
    await dead(running, 3, 2);
    const answer = await redrive(running, { filter: {} }).set('Accept', NDJSON).buffer(true).parse(asText);
    expect(answer.headers['content-type']).toMatch(/^application\/x-ndjson/);
    expect(linesOf(answer.body)).toEqual([
      { redriven: 2, conversations: 1, unplaced: 0 },
      { redriven: 4, conversations: 2, unplaced: 0 },
      { redriven: 6, conversations: 3, unplaced: 0 },
      { redriven: 6, conversations: 3, unplaced: 0, done: true },
    ]);
    const again = await redrive(running, { filter: {} }).set('Accept', NDJSON).buffer(true).parse(asText);
    expect(linesOf(again.body)).toEqual([{ redriven: 0, conversations: 0, unplaced: 0, done: true }]);
  });

  test.each([NDJSON, 'application/json'])(
    'ends when the caller hangs up, and a second one does the rest: %s',
    async (accept) => {
      const running = await startTestBridge({ routing: CHAT });
      await dead(running, 30, 2);
      const headers = { 'content-type': 'application/json', accept };
      const caller = call(`${running.bridge.adminUrl}/api/redrive`, { method: 'POST', headers });
      caller.on('error', () => undefined);
      caller.on('response', (response) => response.on('error', () => undefined).resume());
      caller.end(JSON.stringify({ filter: {}, rate: 20 }));
      await until('it has begun', async () => (await count(running, 'dead')) < 60);
      caller.destroy();
      await until('it has ended', () => running.lines.some(({ message }) => message === 'redriven by an operator'));
      const left = await count(running, 'dead');
      expect(left).toBeGreaterThan(20);
      expect((await redrive(running, { filter: {} })).body.redriven).toBe(left);
      await until('all are delivered', async () => (await count(running, 'delivered')) === 60);
      expect(running.simulator.messages.length).toBe(60);
      for (const c of upTo(30)) expect(arrived(running, nameOf(c))).toEqual(['ok 0', 'ok 1']);
    },
  );

  test('that the end of the bridge breaks off does not say that it is done, and is finished by the next', async () => {
    const folder = await temporaryFolder();
    const running = await startTestBridge({ routing: CHAT, folder });
    await dead(running, 30, 1);
    const lines = redrive(running, { filter: {}, rate: 10 }).set('Accept', NDJSON).buffer(true).parse(asText);
    const whole = redrive(running, { filter: {}, rate: 10 });
    const answers = Promise.all([lines, whole]);
    await until('they have begun', async () => (await count(running, 'dead')) < 30);
    await running.bridge.stop();
    const [told, answer] = await answers;
    expect(linesOf(told.body).at(-1)).not.toHaveProperty('done');
    expect([answer.status, answer.type]).toEqual([503, 'application/problem+json']);

    const next = await startTestBridge({ routing: CHAT, folder });
    const left = await count(next, 'dead');
    expect((await redrive(next, { filter: {} })).body.redriven).toBe(left);
    await until('all are delivered', async () => (await count(next, 'delivered')) === 30);
    expect(running.simulator.messages.length + next.simulator.messages.length).toBe(30);
  });

  test('keeps to its rate of conversations, all of one at once', async () => {
    const clock = new ManualClock();
    const groups = upTo(7).map(String);
    const done: [string, number][] = [];
    const { signal } = new AbortController();
    const startedAt = clock.elapsed();
    const records: Pick<Records, 'walk' | 'redrive'> = {
      walk: async () => ({ count: 70, samples: [], groups, next: undefined }),
      redrive: async (group) => {
        done.push([group, clock.elapsed() - startedAt]);
        return { redriven: 10, unplaced: 0 };
      },
    };
    const work = redriveAll(records, {}, { routing: AS_IT_WAS, rate: 4, clock, signal });
    const all = (async () => {
      for await (const _ of work);
    })();
    for (const _ of upTo(40)) {
      await turns(5);
      clock.advance(50);
    }
    await all;
    expect(done).toEqual(groups.map((group, index) => [group, index * 250]));
  });

  test('redrives a conversation once, though it is too long to be looked at in one go and dies again meanwhile', async () => {
    const parts = [
      { count: 2_000, samples: [], groups: ['a', 'b'], next: { group: 'b', seq: 2_000 } },
      { count: 10, samples: [], groups: ['b', 'c'], next: undefined },
    ];
    const redriven: string[] = [];
    const records: Pick<Records, 'walk' | 'redrive'> = {
      walk: async () => parts.shift() ?? { count: 0, samples: [], groups: [], next: undefined },
      redrive: async (group) => {
        redriven.push(group);
        return { redriven: 1, unplaced: 0 };
      },
    };
    const { signal } = new AbortController();
    for await (const _ of redriveAll(records, {}, { routing: AS_IT_WAS, rate: 1e9, clock: new ManualClock(), signal }));
    expect(redriven).toEqual(['a', 'b', 'c']);
  });
});

describe('what no route fitted', () => {
  test('is placed once the routing file is mended, in its first order', async () => {
    const folder = await temporaryFolder();
    const before = await startTestBridge({ routing: STRICT, folder });
    await post(
      before,
      upTo(6).map((n) => ({ sender: nameOf(n % 2), text: `late ${n}` })),
    );
    await post(before, [{ sender: '???', text: 'late' }]);
    expect((await redrive(before, { filter: {} })).body).toEqual({ redriven: 0, conversations: 0, unplaced: 7 });
    await before.bridge.stop();

    const after = await startTestBridge({ routing: CHAT, folder });
    const preview = await redrive(after, { filter: { reason: 'unroutable' }, preview: true });
    expect([preview.body.count, preview.body.conversations]).toEqual([7, 3]);
    const { body } = await redrive(after, { filter: { reason: 'unroutable' } });
    expect(body).toEqual({ redriven: 6, conversations: 2, unplaced: 1 });
    await until('all are delivered', async () => (await count(after, 'delivered')) === 6);
    expect(arrived(after, nameOf(0))).toEqual(['late 0', 'late 2', 'late 4']);
    expect(arrived(after, nameOf(1))).toEqual(['late 1', 'late 3', 'late 5']);
    const { items } = (await after.admin.get('/api/messages?state=dead')).body;
    expect(items).toMatchObject([{ sender: '???', reason: expect.stringMatching(/^(no|bad)_auth_id$/) }]);
    expect(items[0].table_version).not.toBe(preview.body.samples[0].table_version);
  });

  test('is not what a redrive routes anew, unless it says so', async () => {
    const folder = await temporaryFolder();
    const before = await startTestBridge({ routing: CHAT, folder });
    await dead(before, 2, 1);
    await before.bridge.stop();
    const after = await startTestBridge({ routing: CHAT.replace('343', '999'), folder });
    await redrive(after, { filter: { sender: nameOf(0) } });
    await redrive(after, { filter: { sender: nameOf(1) }, reroute: true });
    await until('both are delivered', async () => (await count(after, 'delivered')) === 2);
    const places = after.simulator.messages.map(({ auth_id, business_id }) => [auth_id, business_id]);
    expect(places.sort()).toEqual([
      [nameOf(0), 343],
      [nameOf(1), 999],
    ]);
  });
});

describe('a discard of many', () => {
  test('takes those that match from what waits for a person, and keeps the reason', async () => {
    const running = await startTestBridge({ routing: CHAT });
    const { admin } = running;
    await dead(running, 4, 2);
    for (const body of [
      { filter: {} },
      { filter: {}, reason: ' ' },
      { reason: 'x' },
      { filter: {}, reason: 'x', rate: 1 },
    ]) {
      expect((await admin.post('/api/discard').send(body)).status).toBe(422);
    }
    expect((await admin.post('/api/discard').send({ filter: { state: 'waiting' }, reason: 'x' })).status).toBe(422);
    const discard = (sender?: string) => admin.post('/api/discard').send({ filter: { sender }, reason: 'a load test' });
    expect((await discard(nameOf(2))).body).toEqual({ discarded: 2 });
    expect(await count(running, 'dead')).toBe(6);
    expect((await discard()).body).toEqual({ discarded: 6 });
    expect((await discard()).body).toEqual({ discarded: 0 });
    expect(await count(running, 'dead')).toBe(0);
    const { items } = (await admin.get('/api/messages?state=discarded')).body;
    expect(items.map(({ reason }: { reason: string }) => reason)).toEqual(upTo(8).map(() => 'a load test'));
    expect((await redrive(running, { filter: {} })).body.redriven).toBe(0);
    expect(running.simulator.messages).toEqual([]);
  });

  test('tells each step to who asks for lines', async () => {
    const running = await startTestBridge({ routing: CHAT });
    await dead(running, 3, 1);
    const answer = await running.admin
      .post('/api/discard')
      .set('Accept', NDJSON)
      .send({ filter: {}, reason: 'x' })
      .buffer(true)
      .parse(asText);
    expect(linesOf(answer.body)).toEqual([
      { discarded: 1 },
      { discarded: 2 },
      { discarded: 3 },
      { discarded: 3, done: true },
    ]);
  });
});

const AS_IT_WAS: Routing = {
  table: { version: 'v1', accounts: EVERY_ACCOUNT, place: () => ({ route: null, dead: 'empty', detail: '' }) },
  reroute: false,
};

function asText(response: Response, done: (error: Error | null, text: string) => void): void {
  let text = '';
  response.on('data', (chunk) => {
    text += chunk;
  });
  response.on('end', () => done(null, text));
}

function linesOf(text: string): unknown[] {
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}
