import { createServer } from 'node:http';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { CHAT, CREDENTIALS, startTestBridge } from '../support/bridge.ts';
import { onTestEnd, until } from '../support/fixtures.ts';

describe('a message', () => {
  test('becomes exactly the request that Haptik documents', async () => {
    const { request, simulator } = await startTestBridge({ routing: CHAT });
    const answer = await request.post('/webhooks/chat').send({ sender: 'user7', text: 'Hello, कहाँ है? 🙂' });
    expect(answer.status).toBe(202);
    expect(answer.body).toEqual({ id: expect.any(String), status: 'accepted' });
    await until('it is delivered', () => simulator.messages.length === 1);

    const sent = simulator.requests.at(-1);
    expect(sent).toMatchObject({ method: 'POST', path: '/v1.0/log_message_from_user/', status: 200 });
    expect(sent?.body).toEqual({
      user: { auth_id: 'user7' },
      message_body: 'Hello, कहाँ है? 🙂',
      message_type: 0,
      business_id: 343,
    });
    expect(sent?.headers).toMatchObject({
      authorization: `Bearer ${CREDENTIALS.token}`,
      'client-id': CREDENTIALS.clientId,
      'content-type': 'application/json',
    });
    const usual = ['accept', 'connection', 'content-length', 'host', 'user-agent'];
    expect(Object.keys(sent?.headers ?? {}).sort()).toEqual(
      [...usual, 'authorization', 'client-id', 'content-type'].sort(),
    );
  });

  test('of an unknown user registers the user with what the payload says, and is sent again', async () => {
    const { request, simulator } = await startTestBridge({ routing: CHAT });
    await request
      .post('/webhooks/chat')
      .send({ sender: 'u1', text: 'Hi', name: 'Asha', email: 'a@example.in', phone: 98200 });
    await until('it is delivered', () => simulator.messages.length === 1);
    expect(simulator.requests.map(({ path, status }) => [path, status])).toEqual([
      ['/v1.0/log_message_from_user/', 403],
      ['/v1.0/user/', 200],
      ['/v1.0/log_message_from_user/', 200],
    ]);
    expect(simulator.requests[1]?.body).toEqual({
      auth_id: 'u1',
      name: 'Asha',
      email: 'a@example.in',
      mobile_no: '98200',
    });
  });

  test.each([
    ['application/json; charset=utf-8', JSON.stringify({ sender: 'u1', text: 'Grüße' })],
    ['application/vnd.crm+json', JSON.stringify({ sender: 'u1', text: 'Grüße' })],
    ['application/x-www-form-urlencoded', 'sender=u1&text=Gr%C3%BC%C3%9Fe'],
    [
      'multipart/form-data; boundary=b',
      '--b\r\ncontent-disposition: form-data; name="sender"\r\n\r\nu1\r\n--b\r\ncontent-disposition: form-data; name="text"\r\n\r\nGrüße\r\n--b--\r\n',
    ],
  ])('may be sent as %s', async (type, body) => {
    const { request, simulator } = await startTestBridge({ routing: CHAT });
    const answer = await request.post('/webhooks/chat').set('Content-Type', type).serialize(String).send(body);
    expect(answer.status).toBe(202);
    await until('it is delivered', () => simulator.messages.length === 1);
    expect(simulator.messages[0]).toMatchObject({ auth_id: 'u1', message_body: 'Grüße' });
  });

  test('is read by the paths of its channel', async () => {
    const routing = `
channels:
  crm: { verify: none, fields: { sender: from.phone, text: 'items[0].body', id: event_id, sent_at: at }, default_country: IN }
routes:
  - { channel: crm, when: { fields.plan: gold }, business_id: 1, auth_id: "{{ sender | digits }}", message_body: "{{ sent_at }} {{ text }}" }
`;
    const { request, simulator } = await startTestBridge({ routing });
    const payload = {
      event_id: 7,
      at: 1_795_350_600,
      plan: 'gold',
      from: { phone: '098200 12345' },
      items: [{ body: 'x' }],
    };
    expect((await request.post('/webhooks/crm').send(payload)).status).toBe(202);
    expect((await request.post('/webhooks/crm').send(payload)).body.status).toBe('duplicate');
    await until('it is delivered', () => simulator.messages.length === 1);
    expect(simulator.messages[0]).toMatchObject({
      auth_id: '919820012345',
      message_body: '2026-11-22T12:30:00.000Z x',
    });
  });

  test.each([
    ['2026-11-22T18:00:00+05:30', '2026-11-22T12:30:00.000Z'],
    ['2026-11-22T18:00:00+0530', '2026-11-22T12:30:00.000Z'],
    ['2026-11-22T04:30:00.123-08:00', '2026-11-22T12:30:00.123Z'],
    ['2026-11-22T12:30:00Z', '2026-11-22T12:30:00.000Z'],
    ['2026-11-22T12:30:00.123456Z', '2026-11-22T12:30:00.123Z'],
    ['2026-11-22T12:30:00', '2026-11-22T12:30:00.000Z'],
    ['2026-11-22 12:30:00', '2026-11-22T12:30:00.000Z'],
    ['2026-11-22T12:30', '2026-11-22T12:30:00.000Z'],
    ['2026-11-22', '2026-11-22T00:00:00.000Z'],
    ['1795350600', '2026-11-22T12:30:00.000Z'],
    [1_795_350_600_000, '2026-11-22T12:30:00.000Z'],
  ])('may say when it was written as %j', async (sent_at, iso) => {
    const { request, simulator } = await startTestBridge({
      routing: CHAT.replace('auth_id:', 'message_body: "{{ sent_at }}", auth_id:'),
    });
    expect((await request.post('/webhooks/chat').send({ sender: 'u', text: 't', sent_at })).status).toBe(202);
    await until('it is delivered', () => simulator.messages.length === 1);
    expect(simulator.messages[0]?.message_body).toBe(iso);
  });

  test('that no route fits is accepted and kept as a dead letter, with its reason in the log', async () => {
    const routing = `
channels:
  chat: { verify: none }
routes:
  - { channel: chat, when: { text: x }, business_id: 1, auth_id: a }
`;
    const { request, lines } = await startTestBridge({ routing });
    const answer = await request.post('/webhooks/chat').send({ sender: 'u', text: 'y' });
    expect(answer.status).toBe(202);
    expect(lines).toContainEqual(
      expect.objectContaining({ message: 'dead', id: answer.body.id, reason: 'unroutable' }),
    );
  });
});

describe('a repeat', () => {
  test('of an id is answered as a duplicate with the first id, and is not delivered again', async () => {
    const { request, simulator } = await startTestBridge({ routing: CHAT });
    const send = () => request.post('/webhooks/chat').send({ sender: 'u1', text: 'Hi', id: 'm-1' });
    const first = await send();
    const second = await send();
    expect([first.status, second.status]).toEqual([202, 200]);
    expect(second.body).toEqual({ id: first.body.id, status: 'duplicate' });
    await request.post('/webhooks/chat').send({ sender: 'u1', text: 'after', id: 'm-2' });
    await until('the next one is delivered', () =>
      simulator.messages.some((message) => message.message_body === 'after'),
    );
    expect(simulator.messages.map((message) => message.message_body)).toEqual(['Hi', 'after']);
  });

  test('is recognised by the Idempotency-Key where the payload has no id', async () => {
    const { request } = await startTestBridge({ routing: CHAT });
    const send = (key: string) =>
      request.post('/webhooks/chat').set('Idempotency-Key', key).send({ sender: 'u1', text: 'Hi' });
    const first = await send('k1');
    expect((await send('k1')).body).toEqual({ id: first.body.id, status: 'duplicate' });
    expect((await send('k2')).body.status).toBe('accepted');
  });

  test('on another channel is a message of its own', async () => {
    const routing = `
channels:
  a: { verify: none }
  b: { verify: none }
routes:
  - { channel: a, business_id: 1, auth_id: x }
  - { channel: b, business_id: 1, auth_id: x }
`;
    const { request } = await startTestBridge({ routing });
    expect((await request.post('/webhooks/a').send({ sender: 'u', text: 't', id: '1' })).body.status).toBe('accepted');
    expect((await request.post('/webhooks/b').send({ sender: 'u', text: 't', id: '1' })).body.status).toBe('accepted');
  });

  test('without any id is a new message: a second "yes" is never swallowed', async () => {
    const { request, simulator } = await startTestBridge({ routing: CHAT });
    for (const _ of [1, 2]) await request.post('/webhooks/chat').send({ sender: 'u1', text: 'yes' });
    await until('both are delivered', () => simulator.messages.length === 2);
    expect(simulator.messages.map(({ message_body }) => message_body)).toEqual(['yes', 'yes']);
  });

  test('is told by its digits, also beyond what a JavaScript number holds', async () => {
    const { request } = await startTestBridge({ routing: CHAT });
    const send = (id: string) =>
      request
        .post('/webhooks/chat')
        .set('Content-Type', 'application/json')
        .send(`{"sender":"u","text":"t","id":${id}}`);
    expect((await send('4912661846655238145')).body.status).toBe('accepted');
    expect((await send('4912661846655238146')).body.status).toBe('accepted');
    expect((await send('4912661846655238145')).body.status).toBe('duplicate');
  });
});

describe('a batch', () => {
  test('is answered message by message, in its order, and arrives in its order', async () => {
    const { request, simulator } = await startTestBridge({ routing: CHAT });
    const messages = ['a', 'b', 'c'].map((text, index) => ({ sender: 'u1', text, id: index }));
    const first = await request.post('/webhooks/chat').send({ messages: messages.slice(0, 2) });
    expect(first.status).toBe(202);
    const second = await request.post('/webhooks/chat').send({ messages });
    expect(second.status).toBe(202);
    expect(second.body.messages).toEqual([
      { id: first.body.messages[0].id, status: 'duplicate' },
      { id: first.body.messages[1].id, status: 'duplicate' },
      { id: expect.any(String), status: 'accepted' },
    ]);
    expect((await request.post('/webhooks/chat').send({ messages })).status).toBe(200);
    await until('all are delivered', () => simulator.messages.length === 3);
    expect(simulator.messages.map(({ message_body }) => message_body)).toEqual(['a', 'b', 'c']);
  });

  test('with the same id twice holds one message and its duplicate', async () => {
    const { request } = await startTestBridge({ routing: CHAT });
    const message = { sender: 'u1', text: 'x', id: 'same' };
    const { body } = await request.post('/webhooks/chat').send({ messages: [message, message] });
    expect(body.messages).toEqual([
      { id: expect.any(String), status: 'accepted' },
      { id: body.messages[0].id, status: 'duplicate' },
    ]);
  });

  test('is refused whole when one item is invalid, and every problem is told by its place', async () => {
    const { request, lines } = await startTestBridge({ routing: CHAT });
    const messages = [{ sender: 'u1', text: 'fine' }, { sender: {}, text: 5 }, 'no object'];
    const { status, body } = await request.post('/webhooks/chat').send({ messages });
    expect(status).toBe(422);
    expect(body.errors).toEqual([
      { path: 'messages[1].sender', message: 'must be text' },
      { path: 'messages[1].text', message: 'must be text' },
      { path: 'messages[2].sender', message: 'is missing' },
      { path: 'messages[2].text', message: 'is missing' },
    ]);
    expect(lines.filter(({ message }) => message === 'accepted')).toEqual([]);
  });
});

describe('bad input is refused with a clear error, and nothing is stored:', () => {
  const json = (text: string) => ({ type: 'application/json', body: text });
  const nested = `{"sender":"u","text":"t","fields":${'{"a":'.repeat(500)}1${'}'.repeat(500)}}`;
  const bomb = gzipSync(Buffer.alloc(50_000_000, ' '));
  const cases: [string, { type?: string; body: string | Buffer; encoding?: string }, number, RegExp][] = [
    ['wrong JSON', json('{"sender": "u", "text": "secret words'), 400, /not valid JSON/],
    ['a JSON list', json('[]'), 400, /must be a JSON object/],
    [
      'bytes that are not UTF-8',
      { type: 'application/json', body: Buffer.from([0x7b, 0xff, 0x7d]) },
      400,
      /not valid utf-8/,
    ],
    ['an unknown charset', { type: 'application/json; charset=klingon', body: '{}' }, 415, /charset klingon/],
    ['a wrong type', json('{"sender":"u","text":{"a":1}}'), 422, /text must be text/],
    ['a missing field', json('{"sender":"u"}'), 422, /text is missing/],
    ['an empty sender', json('{"sender":" ","text":"t"}'), 422, /sender must not be empty/],
    ['an empty text', json('{"sender":"u","text":" "}'), 422, /text must not be empty/],
    ['a time that is none', json('{"sender":"u","text":"t","sent_at":"yesterday"}'), 422, /sent_at must be a time/],
    [
      'an id that is too long',
      json(`{"sender":"u","text":"t","id":"${'x'.repeat(1001)}"}`),
      422,
      /id must not be longer/,
    ],
    ['fields that are no object', json('{"sender":"u","text":"t","fields":[1]}'), 422, /fields must be an object/],
    ['no messages', json('{"messages":[]}'), 422, /messages must hold at least one/],
    ['a body of 1 MB', json(`{"sender":"u","text":"${'x'.repeat(1_000_000)}"}`), 413, /larger than 262144 bytes/],
    ['deep nesting', json(nested), 400, /nests deeper than 64/],
    [
      '__proto__ as a key',
      json('{"sender":"u","text":"t","__proto__":{"admin":true}}'),
      422,
      /__proto__ is not accepted/,
    ],
    ['NUL in the text', json('{"sender":"u","text":"a\\u0000b"}'), 422, /text must not hold the character NUL/],
    ['a lone surrogate', json('{"sender":"u","text":"a\\ud83d"}'), 422, /half of a surrogate pair/],
    [
      'a lone surrogate in a key',
      json('{"sender":"u","text":"t","fields":{"\\ud83d":1}}'),
      422,
      /half of a surrogate pair/,
    ],
    [
      'a wrong content type',
      { type: 'text/plain', body: 'hello' },
      415,
      /Content-Type text\/plain is not accepted; send one of application\/json/,
    ],
    ['no content type', { body: 'x' }, 415, /\(none\) is not accepted/],
    ['a gzip bomb', { type: 'application/json', body: bomb, encoding: 'gzip' }, 415, /send the body uncompressed/],
    ['multipart without a boundary', { type: 'multipart/form-data', body: 'x' }, 400, /not valid multipart/],
    [
      'multipart that breaks off',
      {
        type: 'multipart/form-data; boundary=b',
        body: '--b\r\ncontent-disposition: form-data; name="f"; filename="x"\r\n\r\nabc',
      },
      400,
      /not valid multipart/,
    ],
    [
      'a form of 1,001 fields',
      { type: 'application/x-www-form-urlencoded', body: 'a=1&'.repeat(1_001) },
      400,
      /more than 1000 fields/,
    ],
  ];

  test.each(cases)('%s', async (_name, { type, body, encoding }, status, detail) => {
    const { bridge, lines, simulator } = await startTestBridge({ routing: CHAT });
    const answer = await fetch(`${bridge.url}/webhooks/chat`, {
      method: 'POST',
      body: typeof body === 'string' ? Buffer.from(body) : new Uint8Array(body),
      headers: { ...(type && { 'content-type': type }), ...(encoding && { 'content-encoding': encoding }) },
    });
    const problem = (await answer.json()) as { status: number; detail: string };
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    expect(problem).toMatchObject({ type: expect.stringMatching(/^urn:/), title: expect.any(String), status });
    expect(problem.detail).toMatch(detail);
    expect(JSON.stringify(lines)).not.toContain('secret words');
    expect(lines.filter(({ message }) => message === 'accepted')).toEqual([]);
    expect(simulator.requests).toEqual([]);
  });

  test('many faults in little space cost little: the first places are told, and paths are cut', async () => {
    const { request } = await startTestBridge({ routing: CHAT });
    const key = `K${'x'.repeat(100_000)}`;
    const faults = Array.from({ length: 11_000 }, () => '{"\\u0000":1}').join();
    for (const body of [`{"${key}":[${faults}]}`, `{"${key}":["\\u0000","\\u0000"]}`]) {
      const answer = await request.post('/webhooks/chat').type('application/json').serialize(String).send(body);
      expect(answer.status).toBe(422);
      expect(answer.body.errors.length).toBeLessThanOrEqual(20);
      expect(answer.text.length).toBeLessThan(20_000);
    }
  });

  test('a batch of more than 5,000 is refused before it is looked at, and of a bad one the first problems are told', async () => {
    const { request } = await startTestBridge({ routing: CHAT });
    const huge = await request.post('/webhooks/chat').send({ messages: Array.from({ length: 130_000 }, () => 1) });
    expect([huge.status, huge.body.errors]).toEqual([
      422,
      [{ path: 'messages', message: 'must not hold more than 5000' }],
    ]);
    const bad = await request.post('/webhooks/chat').send({ messages: Array.from({ length: 1_000 }, () => 1) });
    expect([bad.status, bad.body.errors.length]).toEqual([422, 20]);
    const good = await request
      .post('/webhooks/chat')
      .send({ messages: Array.from({ length: 1_000 }, () => ({ sender: 'u', text: 't' })) });
    expect([good.status, good.body.messages.length]).toEqual([202, 1_000]);
  });

  test('all problems of a message come at once', async () => {
    const { request } = await startTestBridge({ routing: CHAT });
    const { body } = await request.post('/webhooks/chat').send({ text: 1, id: {}, email: [], sent_at: true });
    const blank = await request.post('/webhooks/chat').send({ sender: '', text: ' ' });
    expect(blank.body.errors.map(({ path }: { path: string }) => path)).toEqual(['sender', 'text']);
    expect(body.errors.map(({ path }: { path: string }) => path).sort()).toEqual([
      'email',
      'id',
      'sender',
      'sent_at',
      'text',
    ]);
  });

  test('an error names the place in the payload, as the channel maps it', async () => {
    const routing = `
channels:
  crm: { verify: none, fields: { sender: from.phone, text: body.text } }
routes:
  - { channel: crm, business_id: 1, auth_id: x }
`;
    const { request } = await startTestBridge({ routing });
    const { body } = await request.post('/webhooks/crm').send({ sender: 'u', text: 't', body: { text: 4 } });
    expect(body.errors).toEqual([
      { path: 'from.phone', message: 'is missing' },
      { path: 'body.text', message: 'must be text' },
    ]);
  });

  test('an unknown channel is 404, another method 405 with Allow', async () => {
    const { request } = await startTestBridge({ routing: CHAT });
    expect((await request.post('/webhooks/nope').send({})).status).toBe(404);
    expect((await request.post('/webhooks/constructor').send({})).status).toBe(404);
    expect((await request.post('/nothing/here').send({})).status).toBe(404);
    for (const method of ['get', 'put', 'delete', 'options'] as const) {
      const answer = await request[method]('/webhooks/chat');
      expect([answer.status, answer.headers.allow]).toEqual([405, 'POST']);
    }
    expect((await request.post('/webhooks/%ff').send({})).status).toBe(404);
  });
});

describe('the request id', () => {
  test('is that of X-Request-Id, else the trace of traceparent, else a new one', async () => {
    const { request, lines } = await startTestBridge({ routing: CHAT });
    const send = () => request.post('/webhooks/chat').send({ sender: 'u', text: 't' });
    const trace = '0af7651916cd43dd8448eb211c80319c';
    expect((await send().set('X-Request-Id', 'abc-1')).headers['x-request-id']).toBe('abc-1');
    expect((await send().set('traceparent', `00-${trace}-b7ad6b7169203331-01`)).headers['x-request-id']).toBe(trace);
    expect((await send().set('X-Request-Id', 'not good')).headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    const ids = lines.filter(({ message }) => message === 'accepted').map((line) => line.request_id);
    expect(ids.slice(0, 2)).toEqual(['abc-1', trace]);
  });
});

describe('the public listener', () => {
  test('says that it lives and is ready, and nothing more', async () => {
    const { request } = await startTestBridge({ routing: CHAT });
    for (const path of ['/livez', '/readyz']) {
      const answer = await request.get(path);
      expect([answer.status, answer.body]).toEqual([200, { status: 'ok' }]);
      expect((await request.head(path)).status).toBe(200);
      expect((await request.post(path)).status).toBe(405);
    }
    expect((await request.get('/')).status).toBe(404);
    expect((await request.get('/metrics')).status).toBe(404);
  });

  test('logs the path without its query, and never a text', async () => {
    const { request, lines } = await startTestBridge({ routing: CHAT });
    await request.post('/webhooks/nope?key=topsecret').send({ sender: 'u', text: 'private words' });
    await request.post('/webhooks/chat?key=topsecret').send({ sender: 'u', text: 'private words' });
    expect(JSON.stringify(lines)).not.toMatch(/topsecret|private words/);
  });

  test('refuses to start on a port that is in use', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    onTestEnd(() => server.close());
    await until('the port is taken', () => server.listening);
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    await expect(startTestBridge({ routing: CHAT, env: { PORT: String(port) } })).rejects.toMatchObject({
      name: 'PortInUse',
      message: expect.stringMatching(/in use; stop what uses it, or choose another port/),
    });
  });
});
