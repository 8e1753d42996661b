import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { CHAT, startTestBridge } from '../support/bridge.ts';

const TOKEN = 'a-token-of-the-operator';
const PROBLEM = 'application/problem+json';

const withToken = () => startTestBridge({ routing: CHAT, env: { ADMIN_TOKEN: TOKEN } });
const withoutToken = () => startTestBridge({ routing: CHAT });

describe('with a token, the operator listener', () => {
  test.each([
    ['without a token', undefined],
    ['with a wrong token', `Bearer ${TOKEN.replace('a', 'b')}`],
    ['with a part of it', `Bearer ${TOKEN.slice(0, -1)}`],
    ['with more than it', `Bearer ${TOKEN}x`],
    ['with an empty token', 'Bearer '],
    ['with two tokens', `Bearer ${TOKEN} ${TOKEN}`],
    ['by another scheme', `Basic ${btoa(`operator:${TOKEN}`)}`],
    ['without a scheme', TOKEN],
  ])('lets nobody in %s, also on loopback', async (_how, authorization) => {
    const { admin } = await withToken();
    for (const path of ['/api/messages', '/api/accounts', '/metrics', '/console', '/nothing/here']) {
      const answer = await admin.get(path).set(authorization === undefined ? {} : { authorization });
      expect([answer.status, answer.type, answer.headers['www-authenticate']]).toEqual([401, PROBLEM, 'Bearer']);
      expect(JSON.stringify(answer.body)).not.toContain(TOKEN);
    }
    const change = admin.post('/api/redrive').set(authorization === undefined ? {} : { authorization });
    expect((await change.send({ filter: {} })).status).toBe(401);
  });

  test('lets in who has it, under any name and from any page, also with a change that has no body', async () => {
    const { admin } = await withToken();
    const headers = { authorization: `bearer ${TOKEN}`, host: 'bridge.internal', origin: 'https://ops.example' };
    expect((await admin.get('/api/messages').set(headers)).status).toBe(200);
    expect((await admin.get('/metrics').set(headers)).status).toBe(200);
    expect((await admin.post('/api/accounts/main/pause').set(headers)).status).toBe(200);
    const form = await admin.post('/api/redrive').set(headers).type('form').send('filter=');
    expect([form.status, form.type]).toEqual([415, PROBLEM]);
  });

  test('does not tell the token to its log', async () => {
    const { admin, lines } = await withToken();
    await admin.get('/api/messages').set('authorization', `Bearer ${TOKEN}`);
    await admin.get('/api/messages').set('authorization', `Basic ${TOKEN}`);
    expect(JSON.stringify(lines)).not.toContain(TOKEN);
  });
});

describe('without a token, the operator listener', () => {
  test.each([
    'evil.example',
    'evil.example:9090',
    'localhost.evil.example',
    'evil.example.',
    '127.0.0.1.evil.example',
    '10.0.0.1',
    '[2001:db8::1]:9090',
    '[::ffff:10.0.0.1]',
    'localhost@evil.example',
    '',
  ])('is not there under the name %j', async (host) => {
    const { admin } = await withoutToken();
    const answer = await admin.get('/api/messages').set('Host', host);
    expect([answer.status, answer.type]).toEqual([403, PROBLEM]);
    expect((await admin.post('/api/redrive').set('Host', host).send({ filter: {} })).status).toBe(403);
  });

  test.each(['localhost', 'LOCALHOST:9090', '127.0.0.1', '127.1.2.3:80', '[::1]', '[::1]:9090'])(
    'is there under the name %s',
    async (host) => {
      const { admin } = await withoutToken();
      expect((await admin.get('/api/messages').set('Host', host)).status).toBe(200);
    },
  );

  test.each(['https://evil.example', 'null', 'http://localhost.evil.example', 'http://evil.example:9090', 'file://'])(
    'does nothing for pages of %s, not even a preflight',
    async (origin) => {
      const { admin } = await withoutToken();
      for (const request of [
        admin.get('/api/messages'),
        admin.options('/api/redrive'),
        admin.post('/api/redrive').send({ filter: {} }),
      ]) {
        const answer = await request.set('Origin', origin);
        expect([answer.status, answer.type]).toEqual([403, PROBLEM]);
        expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
      }
    },
  );

  test.each(['http://localhost:9090', 'http://127.0.0.1:9090', 'https://localhost', 'http://[::1]:9090'])(
    'works for pages of %s',
    async (origin) => {
      const { admin } = await withoutToken();
      const answer = await admin.post('/api/redrive').set('Origin', origin).send({ filter: {} });
      expect(answer.status).toBe(200);
    },
  );

  test.each([
    'text/plain',
    'text/plain; charset=application/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=application/json',
    undefined,
  ])('makes no change for what a form can send: %s', async (type) => {
    const { bridge, admin } = await withoutToken();
    for (const body of [new Uint8Array(Buffer.from('{"filter":{},"reason":"x"}')), null]) {
      const headers = type === undefined ? {} : { 'content-type': type };
      for (const path of ['discard', 'accounts/main/pause']) {
        const answer = await fetch(`${bridge.adminUrl}/api/${path}`, { method: 'POST', body, headers });
        expect([answer.status, answer.headers.get('content-type')]).toEqual([415, `${PROBLEM}; charset=utf-8`]);
      }
    }
    expect((await admin.get('/api/accounts')).body.items[0]).toMatchObject({ state: 'active' });
  });
});

describe('the two listeners', () => {
  test('share nothing', async () => {
    const { admin, request } = await withoutToken();
    for (const path of ['/api/messages', '/api/accounts', '/api/messages/x', '/metrics', '/console']) {
      const answer = await request.get(path);
      expect([answer.status, answer.type]).toEqual([404, PROBLEM]);
    }
    for (const path of ['/api/redrive', '/api/discard', '/api/backup', '/api/accounts/main/pause']) {
      expect((await request.post(path).send({ filter: {}, reason: 'x', file: '/tmp/x' })).status).toBe(404);
    }
    const webhook = await admin.post('/webhooks/chat').send({ sender: 'u', text: 't' });
    expect([webhook.status, webhook.type]).toEqual([404, PROBLEM]);
  });

  test('send back the request id, and their answers are nobody else’s to keep', async () => {
    const { admin } = await withoutToken();
    const answer = await admin.get('/api/messages').set('X-Request-Id', 'mine');
    expect(answer.headers).toMatchObject({ 'x-request-id': 'mine', 'cache-control': 'no-store' });
    expect(answer.headers['x-content-type-options']).toBe('nosniff');
  });
});

describe('what the operator listener does not understand it refuses with a problem:', () => {
  const json = (body: string | Uint8Array, headers = {}) => ({
    path: '/api/redrive',
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', ...headers },
  });
  const cases: [string, RequestInit & { path: string }, number][] = [
    ['JSON that breaks off', json('{"filter":'), 400],
    ['no object', json('"filter"'), 400],
    ['an unknown charset', json('{}', { 'content-type': 'application/json; charset=klingon' }), 400],
    ['a broken gzip', json('{}', { 'content-encoding': 'gzip' }), 415],
    ['a compressed body', json(new Uint8Array(gzipSync('{"filter":{}}')), { 'content-encoding': 'gzip' }), 415],
    ['more than 2 MB', json(JSON.stringify({ filter: { sender: 'x'.repeat(2_200_000) } })), 413],
    ['an empty body', json(''), 422],
    ['a list', json('[]'), 422],
    ['a path of nothing', { path: '/nothing/here' }, 404],
    ['a method that nothing has', { path: '/api/messages', method: 'DELETE' }, 415],
    ['broken percent-encoding', { path: '/api/messages/%ff' }, 404],
  ];

  test.each(cases)('%s', async (_what, { path, ...init }, status) => {
    const { bridge } = await withoutToken();
    const answer = await fetch(bridge.adminUrl + path, init);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([status, `${PROBLEM}; charset=utf-8`]);
    expect(await answer.json()).toMatchObject({
      type: expect.stringMatching(/^urn:haptik-bridge:problem:/),
      title: expect.any(String),
      status,
      detail: expect.any(String),
    });
  });

  test('a name of an account that cannot be decoded', async () => {
    const { admin } = await withoutToken();
    for (const name of ['%ff', '%', 'constructor', '__proto__', '%00']) {
      const answer = await admin.post(`/api/accounts/${name}/pause`).send({});
      expect([answer.status, answer.type]).toEqual([404, PROBLEM]);
    }
  });
});
