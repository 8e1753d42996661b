import { describe, expect, test } from '@jest/globals';
import { startTestBridge } from '../support/bridge.ts';

/** What all presets have in common; what each of them reads is in samples.test.ts. */

const routing = (channel: string) => `
channels:
  in: { ${channel} }
routes:
  - channel: in
    business_id: 1
    auth_id: "a{{ sender | alnum }}"
    message_body: "{{ sender }}|{{ recipient }}|{{ text }}|{{ id }}|{{ fields.extra }}"
`;

async function start(channel: string) {
  const running = await startTestBridge({ routing: routing(channel) });
  const texts = async () => {
    const { body } = await running.admin.get('/api/messages');
    const items: readonly { id: string; state: string; reason: string | null }[] = body.items;
    return Promise.all(
      items.map(async ({ id, state, reason }) => {
        const { body: one } = await running.admin.get(`/api/messages/${id}`);
        return state === 'dead' ? reason : one.text;
      }),
    );
  };
  const metric = async (name: string) => {
    const { text } = await running.admin.get('/metrics');
    return Number(new RegExp(`^haptik_bridge_${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  };
  return { ...running, texts, metric };
}

const TELEGRAM = {
  update_id: 1,
  message: { message_id: 7, from: { id: 42, is_bot: false }, chat: { id: 42 }, date: 1_795_350_598, text: 'hello' },
};

describe('the fields of a channel', () => {
  test('say where values are, and the rest is where the provider puts it', async () => {
    const { request, texts } = await start(
      'provider: telegram, verify: none, fields: { text: message.note, recipient: message.chat.title, fields: message }',
    );
    const message = { ...TELEGRAM.message, note: 'other', extra: 'more', chat: { id: 42, title: 'shop' } };
    await request
      .post('/webhooks/in')
      .send({ ...TELEGRAM, message })
      .expect(200, '');
    expect(await texts()).toEqual(['42|shop|other|42:7|more']);
  });

  test('that lead to nothing give nothing, and not what stands elsewhere', async () => {
    const { request, texts } = await start('provider: telegram, verify: none, fields: { text: no.such }');
    await request.post('/webhooks/in').send(TELEGRAM).expect(200, '');
    expect(await texts()).toEqual(['42|in||42:7|']);
  });
});

describe('what is missing or broken', () => {
  test("a message without a sender is kept, as nobody's", async () => {
    const { request, texts } = await start('provider: telegram, verify: none, fields: { sender: no.such }');
    await request.post('/webhooks/in').send(TELEGRAM).expect(200, '');
    expect(await texts()).toEqual(['no_auth_id']);
  });

  test('NUL and half surrogates do not stop a message', async () => {
    const { request, texts } = await start('provider: telegram, verify: none');
    const body = JSON.stringify({ ...TELEGRAM, message: { ...TELEGRAM.message, text: 'a\0b\ud800c' } });
    await request.post('/webhooks/in').type('json').send(body).expect(200, '');
    expect(await texts()).toEqual(['42|in|ab\ufffdc|42:7|']);
  });

  test.each(['null', '[]', '{}', '"x"', '7', '[1, null]', ''])(
    'the body %j is no message, and no error',
    async (body) => {
      const { request, texts, metric } = await start('provider: gupshup, verify: none');
      await request.post('/webhooks/in').type('json').send(body).expect(200, '');
      expect(await texts()).toEqual([]);
      expect(await metric('ignored_total{channel="in",kind="event"}')).toBe(1);
    },
  );

  test('what is no JSON is told so', async () => {
    const { request } = await start('provider: telegram, verify: none');
    const { status, body } = await request.post('/webhooks/in').type('json').send('{"update_id":');
    expect([status, body.detail]).toEqual([400, 'The body is not valid JSON: it ends too early.']);
  });

  test('what the provider never sends is refused by type and by method', async () => {
    const { request } = await start('provider: telegram, verify: none');
    const xml = await request.post('/webhooks/in').type('application/xml').send('<a/>');
    expect([xml.status, xml.headers.accept]).toEqual([415, 'application/json']);
    const get = await request.get('/webhooks/in');
    expect([get.status, get.headers.allow]).toEqual([405, 'POST']);
    expect((await request.head('/webhooks/in')).status).toBe(405);
  });
});

test.each(['twilio', 'plivo', 'vonage', 'wpforms'])(
  '%s: half a million fields are refused before they are sorted',
  async (provider) => {
    const { request } = await start(`provider: ${provider}, verify: { secret: s }`);
    const headers = {
      'x-twilio-signature': 'x',
      'x-plivo-signature-v3': 'x',
      'x-plivo-signature-v3-nonce': 'x',
      'x-wpforms-webhook-signature': 't=1795350600,v=x',
    };
    const { status, body } = await request
      .post('/webhooks/in')
      .set(headers)
      .type('application/x-www-form-urlencoded')
      .send(`sig=x&${'a&'.repeat(500_000)}`);
    expect([status, body.detail]).toEqual([400, 'The body has more than 1000 fields.']);
  },
);

describe('a message by GET', () => {
  const SMS = '/webhooks/in?key=hush&SmsSid=s1&From=%2B919820012345&To=08088919888&Body=hello&extra=x';

  test('is stored once, after a HEAD that has no effect and the same headers', async () => {
    const { request, texts } = await start('provider: exotel, default_country: IN, verify: { secret: hush }');
    const head = await request.head(SMS);
    expect(await texts()).toEqual([]);
    const get = await request.get(SMS);
    const shown = ({ status, headers }: typeof head) => [status, headers['content-type'], headers['content-length']];
    expect(shown(head)).toEqual([200, 'text/plain', '0']);
    expect(shown(get)).toEqual(shown(head));
    expect((await request.get(SMS)).status).toBe(200);
    expect(await texts()).toEqual(['+919820012345|08088919888|hello|s1|x']);
  });

  test.each(['{ secret: hush }', '{ query: { name: key, secret: hush } }'])(
    'keeps no secret of its URL, by %s',
    async (verify) => {
      const { request, texts, admin, lines } = await start(
        `provider: exotel, verify: ${verify}, fields: { text: key }`,
      );
      await request.get(SMS).expect(200);
      expect(await texts()).toEqual(['+919820012345|08088919888||s1|x']);
      const { body } = await admin.get('/api/messages');
      expect(JSON.stringify([body, lines])).not.toContain('hush');
      expect((await request.head(SMS.replace('hush', 'other'))).status).toBe(401);
    },
  );
});

describe('the challenge of Meta', () => {
  const ask = (query: string) => `/webhooks/in?${query}`;
  const GOOD = 'hub.mode=subscribe&hub.verify_token=right&hub.challenge=1158201444';

  test('comes back to who knows one of the tokens', async () => {
    const { request, metric } = await start(
      'provider: whatsapp-cloud, verify: { secret: s, verify_token: [new, right] }',
    );
    const { status, text, headers } = await request.get(ask(GOOD));
    expect([status, text, headers['content-type']]).toEqual([200, '1158201444', 'text/plain']);
    expect(await metric('ignored_total{channel="in",kind="handshake"}')).toBe(1);
    for (const wrong of [
      '',
      GOOD.replace('right', 'wrong'),
      GOOD.replace('right', ''),
      GOOD.replace('subscribe', 'x'),
    ]) {
      expect((await request.get(ask(wrong))).status).toBe(403);
    }
  });

  test('is refused where no token is written down, with what to write', async () => {
    const { request } = await start('provider: messenger, verify: { secret: s }');
    const { status, body } = await request.get(ask(GOOD));
    expect([status, body.detail]).toEqual([403, expect.stringContaining('verify_token')]);
  });
});

describe('a body', () => {
  const large = (bytes: number) => JSON.stringify({ ...TELEGRAM, padding: 'x'.repeat(bytes) });

  test.each([
    ['telegram', 900_000, 1_100_000],
    ['whatsapp-cloud', 4_000_000, 4_300_000],
    ['infobip', 4_000_000, 4_300_000],
  ])('of %s may be as large as %i bytes, and not %i', async (provider, fits, tooLarge) => {
    const { request } = await start(`provider: ${provider}, verify: none`);
    const post = (bytes: number) => request.post('/webhooks/in').type('json').send(large(bytes));
    expect([(await post(fits)).status, (await post(tooLarge)).status]).toEqual([200, 413]);
  });
});

test('a second yes of a chat that gives neither id nor time is a second message', async () => {
  const { request, texts } = await start('provider: kaleyra, verify: none');
  for (let count = 0; count < 2; count += 1) {
    await request.post('/webhooks/in').send({ source: '919820012345', recipient: 'in', message: 'yes' }).expect(200);
  }
  expect(await texts()).toHaveLength(2);
});
