import { createHmac } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { startTestBridge } from '../support/bridge.ts';
import { ManualClock } from '../support/fixtures.ts';

const routing = (verify: string) => `
channels:
  chat: { verify: ${verify} }
routes:
  - { channel: chat, business_id: 1, auth_id: x }
`;
const BODY = '{"sender":"u1","text":"caf\\u00e9 \\/ 🙂"}';

async function startWith(verify: string) {
  const clock = new ManualClock();
  const { bridge, lines } = await startTestBridge({ routing: routing(verify), overrides: { clock } });
  const send = async (headers: Record<string, string>, query = '', body = BODY) => {
    const answer = await fetch(`${bridge.url}/webhooks/chat${query}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    });
    return {
      status: answer.status,
      headers: answer.headers,
      detail: ((await answer.json()) as { detail?: string }).detail,
    };
  };
  return { send, lines, clock };
}

describe('header', () => {
  test('lets in who knows one of the secrets', async () => {
    const { send } = await startWith('{ header: { name: X-Api-Key, secret: [new, old] } }');
    expect((await send({ 'x-api-key': 'new' })).status).toBe(202);
    expect((await send({ 'x-api-key': 'old' })).status).toBe(202);
    for (const wrong of ['', 'ne', 'new2', 'NEW', 'new, old'])
      expect((await send({ 'x-api-key': wrong })).status).toBe(401);
    expect(await send({})).toMatchObject({ status: 401, detail: 'The header X-Api-Key is missing.' });
  });
});

describe('query', () => {
  test('lets in who knows the secret, once', async () => {
    const { send, lines } = await startWith('{ query: { name: key, secret: "a+b c&d" } }');
    const key = encodeURIComponent('a+b c&d');
    expect((await send({}, `?key=${key}`)).status).toBe(202);
    for (const query of ['', '?key=', '?key=a', `?key=${key}&key=${key}`, `?KEY=${key}`]) {
      expect((await send({}, query)).status).toBe(401);
    }
    expect(JSON.stringify(lines)).not.toContain('a+b c&d');
  });
});

describe('basic', () => {
  test('lets in the user with one of the passwords, and asks others for it', async () => {
    const { send } = await startWith('{ basic: { username: haptik, password: [p:1, p2] } }');
    const basic = (credentials: string) => ({ authorization: `Basic ${Buffer.from(credentials).toString('base64')}` });
    expect((await send(basic('haptik:p:1'))).status).toBe(202);
    expect((await send(basic('haptik:p2'))).status).toBe(202);
    for (const wrong of ['haptik:', 'haptik', ':p2', 'other:p2', 'haptik:p3'])
      expect((await send(basic(wrong))).status).toBe(401);
    const refused = await send({ authorization: 'Bearer p2' });
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Basic realm="webhooks"']);
  });
});

describe('hmac', () => {
  const sign = (secret: string, text: string, algorithm = 'sha256', encoding: 'hex' | 'base64' = 'hex') =>
    createHmac(algorithm, secret).update(text).digest(encoding);

  test('is made over the raw bytes, with any of the secrets', async () => {
    const { send } = await startWith('{ hmac: { secret: [new, old], header: X-Signature } }');
    expect((await send({ 'x-signature': sign('new', BODY) })).status).toBe(202);
    expect((await send({ 'x-signature': sign('old', BODY).toUpperCase() })).status).toBe(202);
    expect((await send({ 'x-signature': sign('new', JSON.stringify(JSON.parse(BODY))) })).status).toBe(401);
    expect((await send({ 'x-signature': sign('other', BODY) })).status).toBe(401);
    expect((await send({ 'x-signature': `${sign('new', BODY)}00` })).status).toBe(401);
    expect((await send({ 'x-signature': '' })).status).toBe(401);
    expect(await send({})).toMatchObject({ status: 401, detail: 'The signature header X-Signature is missing.' });
  });

  test.each(['sha1', 'sha256', 'sha384', 'sha512'])('may be %s, base64, with a prefix', async (algorithm) => {
    const { send } = await startWith(
      `{ hmac: { secret: s, header: x-sig, algorithm: ${algorithm}, encoding: base64, prefix: "v0=" } }`,
    );
    const signature = sign('s', BODY, algorithm, 'base64');
    expect((await send({ 'x-sig': `v0=${signature}` })).status).toBe(202);
    expect((await send({ 'x-sig': signature })).status).toBe(401);
    expect((await send({ 'x-sig': `v0=${signature.toLowerCase()}` })).status).toBe(401);
  });

  test('with a time is good for its tolerance, before and after, and no longer', async () => {
    const verify =
      '{ hmac: { secret: s, header: x-sig, signed: "v0:{timestamp}:{body}", timestamp_header: x-time, tolerance_seconds: 60 } }';
    const { send, clock } = await startWith(verify);
    const now = clock.now() / 1_000;
    const at = (time: number | string) => send({ 'x-time': String(time), 'x-sig': sign('s', `v0:${time}:${BODY}`) });
    for (const time of [now, now - 60, now + 60, now * 1_000]) expect((await at(time)).status).toBe(202);
    for (const time of [now - 61, now + 61, '', 'soon', '-1', '1e9']) expect((await at(time)).status).toBe(401);
    expect((await send({ 'x-time': String(now), 'x-sig': sign('s', `v0:${now - 1}:${BODY}`) })).status).toBe(401);
    expect(await send({ 'x-sig': sign('s', BODY) })).toMatchObject({ detail: 'The header x-time is missing.' });
  });

  test('is refused when any one byte of the body is another', async () => {
    const { send } = await startWith('{ hmac: { secret: s, header: x-sig } }');
    const signature = sign('s', BODY);
    await fc.assert(
      fc.asyncProperty(fc.nat(BODY.length - 1), fc.integer({ min: 33, max: 126 }), async (index, code) => {
        const changed = BODY.slice(0, index) + String.fromCharCode(code) + BODY.slice(index + 1);
        fc.pre(changed !== BODY);
        expect((await send({ 'x-sig': signature }, '', changed)).status).toBe(401);
      }),
      { numRuns: 50 },
    );
  });
});

test('an unverified body is not even looked at: 401 comes before 400 and 422', async () => {
  const { send } = await startWith('{ header: { name: x-api-key, secret: s } }');
  expect((await send({}, '', '{ not json')).status).toBe(401);
  expect((await send({}, '', '{}')).status).toBe(401);
});

test('mode: report lets in what it would have refused, and says so', async () => {
  const { send, lines } = await startWith('{ mode: report, header: { name: x-api-key, secret: s } }');
  expect((await send({})).status).toBe(202);
  expect(lines).toContainEqual(
    expect.objectContaining({
      level: 'warn',
      message: expect.stringMatching(/would have been refused/),
      channel: 'chat',
    }),
  );
  expect((await send({ 'x-api-key': 's' })).status).toBe(202);
  expect(lines.filter(({ message }) => /would have been refused/.test(message))).toHaveLength(1);
});
