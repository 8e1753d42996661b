import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { startTestBridge } from '../support/bridge.ts';
import { ManualClock, until } from '../support/fixtures.ts';

const routing = (channel: string) => `
channels:
  contact: { provider: form, verify: none ${channel} }
routes:
  - channel: contact
    business_id: 412
    auth_id: "web{{ sender | sha256 | slice: 0, 8 }}"
    message_body: "{{ fields.name }}{{ fields.Name }}: {{ text }}{% for file in attachments %} [{{ file.name }} {{ file.size }}]{% endfor %}"
`;
const PLAIN = routing('');
const FORM = 'application/x-www-form-urlencoded';

describe('a website form', () => {
  test('is read by the usual names, whatever their case', async () => {
    const { request, simulator } = await startTestBridge({ routing: PLAIN });
    const sent = await request
      .post('/webhooks/contact')
      .type(FORM)
      .send('Name=Asha&EMAIL=&Phone=%2B919820012345&Comments=Hi%0D%0Athere&_gotcha=');
    expect(sent.status).toBe(202);
    await until('it is delivered', () => simulator.messages.length === 1);
    expect(simulator.messages[0]?.message_body).toBe('Asha: Hi\r\nthere');
    expect(simulator.requests[1]?.body).toMatchObject({ mobile_no: '+919820012345' });
  });

  test('may carry files, of which name, type and size are kept', async () => {
    const { request, simulator } = await startTestBridge({ routing: PLAIN });
    const answer = await request
      .post('/webhooks/contact')
      .field('name', 'Asha')
      .field('email', 'a@example.in')
      .field('message', 'see the bill')
      .attach('photo', Buffer.from('INVOICE 112\n'), { filename: 'bill "1".txt', contentType: 'text/plain' })
      .attach('extra', Buffer.alloc(0), { filename: '', contentType: 'application/octet-stream' });
    expect(answer.status).toBe(202);
    await until('it is delivered', () => simulator.messages.length === 1);
    expect(simulator.messages[0]?.message_body).toBe('Asha: see the bill [bill %221%22.txt 12]');
  });

  test('that is only a file is not empty', async () => {
    const bare =
      'channels:\n  contact: { provider: form, verify: none }\nroutes:\n  - { channel: contact, business_id: 1, auth_id: x }\n';
    const { request, simulator } = await startTestBridge({ routing: bare });
    await request
      .post('/webhooks/contact')
      .field('email', 'a@b.c')
      .field('message', '')
      .attach('f', Buffer.from('x'), 'a.pdf');
    await until('it is delivered', () => simulator.messages.length === 1);
    expect(simulator.messages[0]?.message_body).toBe('[file: a.pdf]');
  });

  test('that lacks what it needs is told which field', async () => {
    const { request } = await startTestBridge({ routing: PLAIN });
    const { status, body } = await request.post('/webhooks/contact').type(FORM).send('name=Asha');
    expect(status).toBe(422);
    expect(body.errors).toEqual([
      { path: 'email', message: 'is missing' },
      { path: 'message', message: 'is missing' },
    ]);
  });

  test('filled in by a robot is answered like any other, and dropped', async () => {
    const { request, lines } = await startTestBridge({ routing: PLAIN });
    const answer = await request.post('/webhooks/contact').type(FORM).send('email=a@b.c&message=buy&_gotcha=x');
    expect(answer.status).toBe(202);
    expect(answer.body).toEqual({ id: expect.stringMatching(/^[0-9a-f-]{36}$/), status: 'accepted' });
    expect(lines.map(({ message }) => message)).not.toContain('accepted');
  });

  test('may name its trap', async () => {
    const { request, lines } = await startTestBridge({ routing: routing(', honeypot: website') });
    await request.post('/webhooks/contact').type(FORM).send('email=a@b.c&message=m&_gotcha=x');
    await request.post('/webhooks/contact').type(FORM).send('email=a@b.c&message=m&website=x');
    expect(lines.filter(({ message }) => message === 'accepted')).toHaveLength(1);
    expect(lines).toContainEqual(expect.objectContaining({ level: 'info', message: 'ignored', why: 'trapped' }));
  });
});

describe('the answer to a form', () => {
  const THANKS = 'https://www.example.com/thanks';
  const send = (
    channel: string,
    headers: Record<string, string>,
    body = 'email=a@b.c&message=m&next=https://evil.example',
  ) =>
    startTestBridge({ routing: routing(channel) }).then(({ request }) =>
      request.post('/webhooks/contact').set(headers).redirects(0).serialize(String).send(body),
    );

  test('is a redirect to the configured page and to no other', async () => {
    const answer = await send(`, redirect: "${THANKS}"`, { 'content-type': FORM, accept: 'text/html' });
    expect([answer.status, answer.headers.location, answer.text]).toEqual([303, THANKS, '']);
  });

  test('is a small page for a browser where none is configured', async () => {
    const answer = await send('', { 'content-type': FORM, accept: 'text/html,*/*;q=0.8' });
    expect([answer.status, answer.type]).toEqual([200, 'text/html']);
    expect(answer.text).toContain('Thank you');
  });

  test('to JSON is JSON, also where a page is configured: only scripts send it', async () => {
    const json = JSON.stringify({ email: 'a@b.c', message: 'm' });
    const answer = await send(
      `, redirect: "${THANKS}"`,
      { 'content-type': 'application/json', accept: 'text/html' },
      json,
    );
    expect([answer.status, answer.body.status]).toEqual([202, 'accepted']);
  });
});

describe('the origin of a form', () => {
  const SHOP = 'https://shop.example.in';
  const LISTED = routing(`, allowed_origins: ["${SHOP}"]`);
  const post = (request: Awaited<ReturnType<typeof startTestBridge>>['request'], headers: Record<string, string>) =>
    request.post('/webhooks/contact').type(FORM).set(headers).send(`email=a@b.c&message=${randomUUID()}`);

  test('is free where none is listed', async () => {
    const { request } = await startTestBridge({ routing: PLAIN });
    const answer = await post(request, { origin: 'https://anywhere.example' });
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([202, '*']);
  });

  test('must be a listed one', async () => {
    const { request, lines } = await startTestBridge({ routing: LISTED });
    const good = await post(request, { origin: SHOP });
    expect([good.status, good.headers['access-control-allow-origin'], good.headers.vary]).toEqual([
      202,
      SHOP,
      'Origin',
    ]);
    for (const origin of ['https://evil.example', `${SHOP}.evil.example`, 'null']) {
      const refused = await post(request, { origin });
      expect([refused.status, refused.headers['access-control-allow-origin']]).toEqual([403, undefined]);
    }
    expect((await post(request, { origin: 'null', referer: `${SHOP}/contact` })).status).toBe(202);
    expect((await post(request, { referer: 'https://evil.example/' })).status).toBe(403);
    expect((await post(request, {})).status).toBe(202);
    expect(lines.filter(({ message }) => message === 'accepted')).toHaveLength(3);
  });

  test('is asked for by a preflight, which stores nothing', async () => {
    const { request, lines } = await startTestBridge({ routing: LISTED });
    const ask = (origin: string) =>
      request.options('/webhooks/contact').set({
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type,x-shop',
      });
    const answer = await ask(SHOP);
    expect(answer.status).toBe(204);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': SHOP,
      'access-control-allow-methods': 'POST',
      'access-control-allow-headers': 'content-type,x-shop',
    });
    expect((await ask('https://evil.example')).status).toBe(403);
    expect(lines.map(({ message }) => message)).not.toContain('accepted');
  });

  test('lets a page read why its message was refused', async () => {
    const { request } = await startTestBridge({ routing: LISTED });
    const answer = await request.post('/webhooks/contact').set('origin', SHOP).send({ email: 'a@b.c' });
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([422, SHOP]);
  });
});

describe('a form without an id', () => {
  async function start() {
    const clock = new ManualClock();
    const { request } = await startTestBridge({ routing: PLAIN, overrides: { clock } });
    const send = async (message: string, headers = {}) => {
      const { body } = await request
        .post('/webhooks/contact')
        .set(headers)
        .send({ email: 'a@b.c', message, topics: ['x', 'y'] });
      return body as { id: string; status: string };
    };
    return { clock, request, send };
  }

  test('is the same when the same comes again within a minute, and every time moves the minute on', async () => {
    const { clock, send } = await start();
    const { id, status } = await send('hello');
    expect(status).toBe('accepted');
    for (let count = 0; count < 3; count += 1) {
      clock.advance(59_000);
      expect(await send('hello')).toEqual({ id, status: 'duplicate' });
    }
    clock.advance(60_001);
    expect((await send('hello')).status).toBe('accepted');
  });

  test('is another with any other answer, or under another Idempotency-Key', async () => {
    const { request, send } = await start();
    const others = [await send('hello'), await send('Hello'), await send('hello', { 'idempotency-key': 'k' })];
    const more = await request.post('/webhooks/contact').send({ email: 'a@b.c', message: 'hello', topics: ['x'] });
    expect([...others, more.body].map(({ status }) => status)).toEqual([
      'accepted',
      'accepted',
      'accepted',
      'accepted',
    ]);
  });

  test('is the same in whatever order its fields come', async () => {
    const { request, send } = await start();
    const { id } = await send('hello');
    const again = await request
      .post('/webhooks/contact')
      .send({ topics: ['x', 'y'], message: 'hello', email: 'a@b.c' });
    expect(again.body).toEqual({ id, status: 'duplicate' });
  });
});

describe('the rate of a form', () => {
  const FROM = (address: string) => ({ 'x-forwarded-for': address });

  test('is limited per address, 30 a minute where nothing is said, and told with Retry-After', async () => {
    const { request } = await startTestBridge({ routing: PLAIN });
    const send = (address: string) =>
      request.post('/webhooks/contact').set(FROM(address)).type(FORM).send(`email=a@b.c&message=${randomUUID()}`);
    const statuses: number[] = [];
    for (let count = 0; count < 30; count += 1) statuses.push((await send('203.0.113.7')).status);
    expect(new Set(statuses)).toEqual(new Set([202]));
    const refused = await send('203.0.113.7');
    expect([refused.status, refused.type]).toEqual([429, 'application/problem+json']);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect((await send('203.0.113.8')).status).toBe(202);
  });

  test('is set by the channel, and a forged address of an untrusted sender does not count', async () => {
    const { request } = await startTestBridge({ routing: routing(', rate_limit: 2'), env: { TRUST_PROXY: 'none' } });
    const statuses: number[] = [];
    for (const address of ['203.0.113.1', '203.0.113.2', '203.0.113.3']) {
      statuses.push(
        (await request.post('/webhooks/contact').set(FROM(address)).type(FORM).send(`email=a@b.c&message=${address}`))
          .status,
      );
    }
    expect(statuses).toEqual([202, 202, 429]);
  });
});
