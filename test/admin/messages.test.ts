import { describe, expect, test } from '@jest/globals';
import { CHAT, type Running, startTestBridge } from '../support/bridge.ts';
import { temporaryFolder, until } from '../support/fixtures.ts';

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const at = expect.stringMatching(ISO);
/** Soon, whatever the backoff. */
const HASTE = { random: () => 0.01 };

const STOP = CHAT.replace('business_id:', 'on_unknown: stop, on_dead: stop, business_id:');
/** What says `route: none` fits no route, and `to` is the auth_id. */
const PICKY = `
channels:
  chat: { verify: none, fields: { sender: sender, text: text, id: id } }
  other: { verify: none }
routes:
  - { channel: chat, when: { fields.to: { matches: ".*" } }, business_id: 343, auth_id: "{{ fields.to }}" }
  - { channel: other, business_id: 344, auth_id: "{{ sender | alnum }}" }
`;

async function post({ request }: Running, body: object, channel = 'chat'): Promise<string> {
  const answer = await request.post(`/webhooks/${channel}`).send(body);
  expect(answer.status).toBe(202);
  return answer.body.id;
}

async function stateOf({ admin }: Running, id: string): Promise<string> {
  return (await admin.get(`/api/messages/${id}`)).body.state;
}

async function becomes(running: Running, id: string, state: string): Promise<void> {
  await until(`${id} is ${state}`, async () => (await stateOf(running, id)) === state);
}

async function list({ admin }: Running, query: string): Promise<{ id: string }[]> {
  const { status, body } = await admin.get(`/api/messages?${query}`);
  expect(status).toBe(200);
  return body.items;
}

/** A message that Haptik has refused. */
async function refused(running: Running, body: object): Promise<string> {
  running.simulator.addFault({ count: 1, status: 400, body: { error_message: 'no' } });
  const id = await post(running, body);
  await becomes(running, id, 'dead');
  return id;
}

/** A message of which nobody knows whether it arrived; its conversation waits behind it. */
async function unknown(running: Running, body: object): Promise<string> {
  running.simulator.addFault({ count: 1, path: 'message', action: 'accept_then_drop' });
  const id = await post(running, body);
  await becomes(running, id, 'unknown');
  return id;
}

describe('a message is shown', () => {
  test('with everything that is known of it, delivered', async () => {
    const running = await startTestBridge({ routing: CHAT });
    const id = await post(running, { sender: 'u-1', text: 'private words', id: 'p1', fields: { order: 7 } });
    await becomes(running, id, 'delivered');
    const [logged] = running.simulator.messages;
    const view = {
      id,
      state: 'delivered',
      reason: null,
      channel: 'chat',
      account: 'main',
      business_id: 343,
      auth_id: 'u1',
      sender: 'u-1',
      provider_id: 'p1',
      accepted_at: at,
      settled_at: at,
      attempts: 1,
      message_id: String(logged?.message_id),
      created_at: logged?.created_at,
      route: 'routes[0]',
      table_version: expect.any(String),
    };
    expect(await list(running, '')).toEqual([view]);
    const { body } = await running.admin.get(`/api/messages/${id}`);
    const attempt = { at, outcome: 'delivered', status: 200, duration_ms: expect.any(Number), detail: null };
    expect(body).toEqual({
      ...view,
      detail: null,
      stops: false,
      waits_behind: null,
      text: 'private words',
      attempt_log: [attempt],
    });
  });

  test('with everything that is known of it, dead at once', async () => {
    const running = await startTestBridge({ routing: PICKY });
    const id = await post(running, { sender: 'u1', text: 'private words' });
    const { body } = await running.admin.get(`/api/messages/${id}`);
    expect(body).toMatchObject({ state: 'dead', reason: 'unroutable', detail: expect.any(String), attempt_log: [] });
    expect(body).toMatchObject({ account: null, business_id: null, auth_id: null, route: null, text: 'private words' });
    expect(body).toMatchObject({ sender: 'u1', provider_id: null, attempts: 0, message_id: null, settled_at: at });
  });

  test('with each of its attempts: a 500, then a 200', async () => {
    const running = await startTestBridge({ routing: CHAT, overrides: HASTE });
    running.simulator.addFault({ count: 1, status: 500 });
    const id = await post(running, { sender: 'u1', text: 't' });
    await becomes(running, id, 'delivered');
    const { body } = await running.admin.get(`/api/messages/${id}`);
    expect(body.attempts).toBe(2);
    expect(body.attempt_log).toEqual([
      { at, outcome: 'retry', status: 500, duration_ms: expect.any(Number), detail: 'HTTP 500' },
      { at, outcome: 'delivered', status: 200, duration_ms: expect.any(Number), detail: null },
    ]);
  });

  test('without its text, in a list', async () => {
    const running = await startTestBridge({ routing: CHAT });
    running.simulator.addFault({ count: 1, status: 400, body: 'private words' });
    await post(running, {
      sender: 'u1',
      text: 'private words',
      name: 'private name',
      fields: { note: 'private note' },
    });
    await until('it is dead', async () => (await list(running, 'state=dead')).length === 1);
    expect((await running.admin.get('/api/messages')).text).not.toMatch(/private/);
    expect((await running.admin.post('/api/redrive').send({ filter: {}, preview: true })).text).not.toMatch(/private/);
    expect(JSON.stringify(running.lines)).not.toMatch(/private/);
  });

  test('with its text null once it is erased', async () => {
    const running = await startTestBridge({ routing: CHAT, env: { RETAIN_CONTENT_HOURS: '0' } });
    const id = await post(running, { sender: 'u1', text: 'private words' });
    await becomes(running, id, 'delivered');
    expect((await running.admin.get(`/api/messages/${id}`)).body).toMatchObject({ text: null, auth_id: 'u1' });
  });

  test('or 404, where there is none', async () => {
    const { admin } = await startTestBridge({ routing: CHAT });
    for (const [method, path] of [
      ['get', ''],
      ['post', '/redrive'],
      ['post', '/confirm'],
      ['post', '/discard'],
    ] as const) {
      const answer = await admin[method](`/api/messages/0190-none${path}`).send(
        path === '/discard' ? { reason: 'x' } : {},
      );
      expect([answer.status, answer.type]).toEqual([404, 'application/problem+json']);
      expect(answer.body.detail).toMatch(/no message 0190-none/);
    }
  });
});

describe('the list', () => {
  test('is of what every filter asks for', async () => {
    const running = await startTestBridge({ routing: PICKY });
    const first = await post(running, { sender: 'u1', text: 'a', id: 'p1', to: 'c1' });
    await becomes(running, first, 'delivered');
    const second = await refused(running, { sender: 'u2', text: 'b', id: 'p2', to: 'c2' });
    const third = await post(running, { sender: 'u1', text: 'c', id: 'p1' }, 'other');
    await becomes(running, third, 'delivered');
    const fourth = await post(running, { sender: 'u2', text: 'no route' });
    const all = await list(running, '');
    expect(all.map(({ id }) => id)).toEqual([fourth, third, second, first]);
    const { accepted_at: thirdAt } = (await running.admin.get(`/api/messages/${third}`)).body;

    const cases: [string, string[]][] = [
      ['state=delivered', [third, first]],
      ['state=dead', [fourth, second]],
      ['state=waiting', []],
      ['state=unknown', []],
      ['state=discarded', []],
      ['channel=other', [third]],
      ['account=main', [third, second, first]],
      ['account=none', []],
      ['auth_id=c2', [second]],
      ['sender=u1', [third, first]],
      ['provider_id=p1', [third, first]],
      ['provider_id=p1&channel=chat', [first]],
      ['reason=refused', [second]],
      ['reason=unroutable&sender=u2', [fourth]],
      [`since=${thirdAt}&until=2100-01-01T00:00:00Z&channel=other`, [third]],
      [`until=${thirdAt}&channel=other`, []],
      ['since=2100-01-01T00:00:00%2B05:30', []],
      ["sender=' or 1=1 --", []],
      ['sender=%25', []],
    ];
    for (const [query, ids] of cases) {
      expect([query, (await list(running, query)).map(({ id }) => id)]).toEqual([query, ids]);
    }
  });

  test('comes in pages that show each message once, also while new ones arrive', async () => {
    const running = await startTestBridge({ routing: CHAT });
    const batch = (from: number) =>
      running.request.post('/webhooks/chat').send({
        messages: Array.from({ length: 25 }, (_, index) => ({ sender: `u${index}`, text: 't', id: from + index })),
      });
    const { body } = await batch(0);
    const seen: string[] = [];
    let next: string | null = '';
    for (let page = 1; next !== null; page += 1) {
      const answer: { body: { items: { id: string }[]; next: string | null } } = await running.admin.get(
        `/api/messages?limit=10${next && `&after=${next}`}`,
      );
      seen.push(...answer.body.items.map(({ id }) => id));
      next = answer.body.next;
      await batch(page * 100);
    }
    const stored = body.messages.map(({ id }: { id: string }) => id);
    expect(seen).toEqual(stored.reverse());
  });

  test('has 50 where no limit is given, and 500 at most', async () => {
    const running = await startTestBridge({ routing: CHAT });
    const messages = Array.from({ length: 501 }, () => ({ sender: 'u', text: 't' }));
    await running.request.post('/webhooks/chat').send({ messages });
    expect((await list(running, '')).length).toBe(50);
    expect((await list(running, 'limit=1')).length).toBe(1);
    expect((await list(running, 'limit=500')).length).toBe(500);
  });

  test.each([
    ['limit=0', 'limit'],
    ['limit=501', 'limit'],
    ['limit=x', 'limit'],
    ['limit=', 'limit'],
    ['limit=1.5', 'limit'],
    ['after=x', 'after'],
    ['after=-1', 'after'],
    ['state=gone', 'state'],
    ['state=', 'state'],
    ['since=yesterday', 'since'],
    ['until=2026-13-01T00:00:00Z', 'until'],
    ['until=2026-11-22', 'until'],
    ['sender=', 'sender'],
    ['state=dead&state=unknown', 'state'],
    ['sender=a&sender=b', 'sender'],
    ['colour=red', 'colour'],
    ['__proto__=red', '__proto__'],
  ])('refuses %s and says where', async (query, path) => {
    const { admin } = await startTestBridge({ routing: CHAT });
    const { status, body } = await admin.get(`/api/messages?${query}`);
    expect([status, body.errors]).toEqual([422, [{ path, message: expect.any(String) }]]);
  });

  test('tells all problems at once', async () => {
    const { admin } = await startTestBridge({ routing: CHAT });
    const { body } = await admin.get('/api/messages?limit=0&state=gone&colour=red&size=7');
    expect(body.errors.map(({ path }: { path: string }) => path).sort()).toEqual(['colour', 'limit', 'size', 'state']);
  });
});

describe('a dead message', () => {
  test('that is redriven arrives before newer ones that wait, in its first order', async () => {
    const running = await startTestBridge({ routing: CHAT });
    const { simulator, admin } = running;
    await refused(running, { sender: 'u', text: 'dead 1' });
    const second = await refused(running, { sender: 'u', text: 'dead 2' });
    await admin.post('/api/accounts/main/pause').send({});
    await post(running, { sender: 'u', text: 'new' });
    const { status, body } = await admin.post(`/api/messages/${second}/redrive`).send({});
    expect(status).toBe(200);
    expect(body).toMatchObject({ id: second, state: 'waiting', reason: null, attempts: 0, settled_at: null });
    await admin.post('/api/accounts/main/resume').send({});
    await until('both have arrived', () => simulator.messages.length === 2);
    expect(simulator.messages.map(({ message_body }) => message_body)).toEqual(['dead 2', 'new']);
    expect((await list(running, 'state=dead')).length).toBe(1);
  });

  test('can be redriven again and again, and arrives once', async () => {
    const running = await startTestBridge({ routing: CHAT });
    const id = await refused(running, { sender: 'u', text: 't' });
    await running.admin.post('/api/accounts/main/pause').send({});
    for (let turn = 0; turn < 3; turn += 1) {
      const { status, body } = await running.admin.post(`/api/messages/${id}/redrive`).send({});
      expect([status, body.state]).toEqual([200, 'waiting']);
    }
    await running.admin.post('/api/accounts/main/resume').send({});
    await becomes(running, id, 'delivered');
    expect(running.simulator.messages.length).toBe(1);
    const again = await running.admin.post(`/api/messages/${id}/redrive`).send({});
    expect([again.status, again.body.detail]).toEqual([
      409,
      `Message ${id} is delivered; there is nothing to redrive.`,
    ]);
  });

  test('goes where it was to go, or by the routing file of today where that is asked for', async () => {
    const folder = await temporaryFolder();
    const before = await startTestBridge({ routing: CHAT, folder });
    const ids = [await refused(before, { sender: 'a', text: 't' }), await refused(before, { sender: 'b', text: 't' })];
    const { table_version } = (await before.admin.get(`/api/messages/${ids[0]}`)).body;
    await before.bridge.stop();
    const after = await startTestBridge({ routing: CHAT.replace('343', '999'), folder });
    const [asItWas, rerouted] = await Promise.all(
      ids.map((id, index) => after.admin.post(`/api/messages/${id}/redrive`).send({ reroute: index === 1 })),
    );
    expect(asItWas?.body).toMatchObject({ business_id: 343, table_version });
    expect(rerouted?.body.business_id).toBe(999);
    expect(rerouted?.body.table_version).not.toBe(table_version);
    await until('both have arrived', () => after.simulator.messages.length === 2);
    const places = after.simulator.messages.map(({ auth_id, business_id }) => `${auth_id} ${business_id}`);
    expect(places.sort()).toEqual(['a 343', 'b 999']);
  });

  test('that no route fits stays dead, and it is said why', async () => {
    const running = await startTestBridge({ routing: PICKY });
    const id = await post(running, { sender: 'u', text: 't' });
    for (const reroute of [true, false]) {
      const { status, body } = await running.admin.post(`/api/messages/${id}/redrive`).send({ reroute });
      expect([status, body.detail]).toEqual([
        409,
        expect.stringMatching(/^Message .* stays dead: no route fits it \(unroutable\); mend the routing file\.$/),
      ]);
    }
    expect(await stateOf(running, id)).toBe('dead');
  });

  test('can be confirmed: it did arrive', async () => {
    const running = await startTestBridge({ routing: CHAT });
    const id = await refused(running, { sender: 'u', text: 't' });
    for (let turn = 0; turn < 2; turn += 1) {
      const { status, body } = await running.admin.post(`/api/messages/${id}/confirm`).send({});
      expect([status, body]).toEqual([200, expect.objectContaining({ state: 'delivered', settled_at: at })]);
    }
    expect(running.simulator.messages).toEqual([]);
  });

  test('can be discarded, with a reason', async () => {
    const running = await startTestBridge({ routing: CHAT });
    const id = await refused(running, { sender: 'u', text: 't' });
    for (const body of [undefined, {}, { reason: '' }, { reason: '  ' }, { reason: 5 }]) {
      const answer = await running.admin.post(`/api/messages/${id}/discard`).type('json').send(body);
      expect(answer.status).toBe(422);
    }
    const unknownKey = await running.admin.post(`/api/messages/${id}/discard`).send({ reason: 'x', why: 'y' });
    expect(unknownKey.body.errors).toEqual([{ path: 'why', message: expect.any(String) }]);
    expect(await stateOf(running, id)).toBe('dead');
    for (const reason of ['a test', 'another word']) {
      const answer = await running.admin.post(`/api/messages/${id}/discard`).send({ reason });
      expect([answer.status, answer.body.state, answer.body.reason]).toEqual([200, 'discarded', 'a test']);
    }
    for (const decision of ['redrive', 'confirm']) {
      const answer = await running.admin.post(`/api/messages/${id}/${decision}`).send({});
      expect([answer.status, answer.body.detail]).toEqual([
        409,
        `Message ${id} is discarded; there is nothing to ${decision}.`,
      ]);
    }
  });

  test('behind which its conversation stops lets it go on, once it is decided', async () => {
    const running = await startTestBridge({ routing: STOP });
    for (const decision of ['redrive', 'confirm', 'discard']) {
      const id = await refused(running, { sender: decision, text: 'dead' });
      const next = await post(running, { sender: decision, text: 'next' });
      expect(await stateOf(running, next)).toBe('waiting');
      await running.admin
        .post(`/api/messages/${id}/${decision}`)
        .send({ ...(decision === 'discard' && { reason: 'x' }) });
      await becomes(running, next, 'delivered');
    }
    const arrived = running.simulator.messages.map(({ auth_id, message_body }) => `${auth_id} ${message_body}`);
    expect(arrived).toEqual(['redrive dead', 'redrive next', 'confirm next', 'discard next']);
  });
});

describe('a message of unknown outcome', () => {
  test('can be redriven, confirmed or discarded, and its conversation goes on', async () => {
    const running = await startTestBridge({ routing: STOP });
    for (const decision of ['redrive', 'confirm', 'discard']) {
      const id = await unknown(running, { sender: decision, text: 'unknown' });
      const next = await post(running, { sender: decision, text: 'next' });
      const answer = await running.admin
        .post(`/api/messages/${id}/${decision}`)
        .send({ ...(decision === 'discard' && { reason: 'x' }) });
      expect(answer.status).toBe(200);
      await becomes(running, next, 'delivered');
      const state = { redrive: 'delivered', confirm: 'delivered', discard: 'discarded' }[decision];
      expect(await stateOf(running, id)).toBe(state);
    }
  });
});

describe('a waiting message', () => {
  test('cannot be confirmed; it is discarded unless it is being delivered, and a redrive changes nothing', async () => {
    const running = await startTestBridge({ routing: CHAT });
    const { admin, simulator } = running;
    simulator.addFault({ count: 1, delay_ms: 1_000 });
    const sending = await post(running, { sender: 'a', text: 'in flight' });
    await until('it is in flight', () => simulator.requests.length === 1);
    const leased = await admin.post(`/api/messages/${sending}/discard`).send({ reason: 'x' });
    expect([leased.status, leased.body.detail]).toEqual([409, `Message ${sending} is being delivered right now.`]);

    await admin.post('/api/accounts/main/pause').send({});
    const id = await post(running, { sender: 'b', text: 'waits' });
    expect((await list(running, 'state=waiting')).map((item) => item.id)).toContain(id);
    const confirmed = await admin.post(`/api/messages/${id}/confirm`).send({});
    expect([confirmed.status, confirmed.body.detail]).toEqual([
      409,
      `Message ${id} is waiting; there is nothing to confirm.`,
    ]);
    expect((await admin.post(`/api/messages/${id}/redrive`).send({})).body.state).toBe('waiting');
    const discarded = await admin.post(`/api/messages/${id}/discard`).send({ reason: 'too late' });
    expect(discarded.body).toMatchObject({ state: 'discarded', reason: 'too late' });
    const last = await post(running, { sender: 'b', text: 'last' });
    await admin.post('/api/accounts/main/resume').send({});
    await becomes(running, last, 'delivered');
    await becomes(running, sending, 'delivered');
    expect(simulator.messages.map(({ message_body }) => message_body).sort()).toEqual(['in flight', 'last']);
  });
});

describe('a delivered message', () => {
  test('stays as it is', async () => {
    const running = await startTestBridge({ routing: CHAT });
    const id = await post(running, { sender: 'u', text: 't' });
    await becomes(running, id, 'delivered');
    const { admin } = running;
    expect((await admin.post(`/api/messages/${id}/redrive`).send({})).status).toBe(409);
    expect((await admin.post(`/api/messages/${id}/discard`).send({ reason: 'x' })).status).toBe(409);
    const confirmed = await admin.post(`/api/messages/${id}/confirm`).send({});
    expect([confirmed.status, confirmed.body.state]).toEqual([200, 'delivered']);
    expect(running.simulator.messages.length).toBe(1);
  });
});
