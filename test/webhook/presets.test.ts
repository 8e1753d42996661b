import { createHmac } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { startTestBridge } from '../support/bridge.ts';
import { ManualClock } from '../support/fixtures.ts';

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

describe('who fills in a form', () => {
  const hook = (data: object) => ({
    triggerType: 'form_submission',
    payload: {
      id: 'w1',
      formId: 'f1',
      submittedAt: '2026-11-22T12:29:58Z',
      data: { Email: 'a@b.c', Message: 'm', ...data },
    },
  });

  test.each([
    ['webflow', hook({ 'payload.formId': 'vip', 'payload.id': 'x', triggerType: 'x', payload: 'x' }), 'a@b.c|f1|m|w1|'],
    [
      'netlify',
      {
        id: 'n1',
        form_name: 'f1',
        created_at: '2026-11-22T12:29:58Z',
        data: { email: 'a@b.c', message: 'm', form_name: 'vip', id: 'x', data: 'x' },
      },
      'a@b.c|f1|m|n1|',
    ],
    [
      'formspree',
      {
        form: 'f1',
        submission: { _date: '2026-11-22T12:29:58Z', email: 'a@b.c', message: 'm', form: 'vip', submission: 'x' },
      },
      'a@b.c|f1|m||',
    ],
    [
      'google-forms',
      {
        formId: 'f1',
        responseId: 'g1',
        answers: { Email: 'a@b.c', Message: 'm', formId: 'vip', responseId: 'x', 'answers.Email': 'x' },
      },
      'a@b.c|f1|m|g1|',
    ],
  ])('of %s chooses neither its route nor its id', async (provider, body, text) => {
    const { request, texts } = await start(`provider: ${provider}, verify: none`);
    await request.post('/webhooks/in').send(body).expect(200);
    expect(await texts()).toEqual([text]);
  });

  test('of jotform neither, in what it wraps', async () => {
    const { request, texts } = await start('provider: jotform, verify: none');
    const rawRequest = JSON.stringify({ q3_email: 'a@b.c', q4_message: 'm', formID: 'vip', submissionID: 'x' });
    await request.post('/webhooks/in').type('form').send({ formID: 'f1', submissionID: 'j1', rawRequest }).expect(200);
    expect(await texts()).toEqual(['a@b.c|f1|m|j1|']);
  });

  test('is read by the channel’s fields all the same', async () => {
    const { request, texts } = await start('provider: webflow, verify: none, fields: { text: Order, fields: payload }');
    await request
      .post('/webhooks/in')
      .send(hook({ Order: 'o-7', extra: 'x' }))
      .expect(200);
    expect(await texts()).toEqual(['a@b.c|f1|o-7|w1|']);
  });
});

test('a field that is called by twenty thousand digits costs nothing', async () => {
  const { request, bridge } = await start('provider: formspree, verify: none');
  const submission = { _date: '2026-11-22T12:29:58Z', email: 'a@b.c', message: 'm', [`${'1'.repeat(200_000)}a`]: 'x' };
  const sent = request.post('/webhooks/in').send({ form: 'f', submission });
  // Quadratic work over it would be minutes: whoever asks meanwhile would wait for them.
  const [answer, live] = await Promise.all([sent, fetch(`${bridge.url}/livez`)]);
  expect([answer.status, live.status]).toEqual([200, 200]);
});

test('a prefix of slashes costs nothing', async () => {
  const { request } = await start('provider: twilio, verify: { secret: s }');
  const headers = { 'x-forwarded-prefix': `${'/'.repeat(14_000)}a`, 'x-twilio-signature': 'x' };
  expect((await request.post('/webhooks/in').set(headers).type('form').send('a=b')).status).toBe(401);
});

describe('ids that are not of one message alone', () => {
  const hubspot = (text: string) => ({
    vid: 1,
    properties: { email: { value: 'a@b.c' }, message: { value: text } },
    'form-submissions': [
      { 'conversion-id': 'new', timestamp: 2_000, 'form-id': 'f2' },
      { 'conversion-id': 'old', timestamp: 1_000, 'form-id': 'f1' },
    ],
  });

  test('hubspot: a workflow that runs again without a new submission, and says something else', async () => {
    const { request, texts } = await start('provider: hubspot, verify: none');
    for (const text of ['one', 'two', 'two']) await request.post('/webhooks/in').send(hubspot(text)).expect(200);
    expect((await texts()).sort()).toEqual(['a@b.c|f2|one|new|', 'a@b.c|f2|two|new|']);
  });

  test('gravityforms: entries that are counted in each site', async () => {
    const { request, texts } = await start('provider: gravityforms, verify: none, fields: { sender: "2", text: "4" }');
    const entry = { id: '1', form_id: '4', date_created: '2026-11-22 12:29:58', '2': 'a@b.c', '4': 'm' };
    for (const date_created of [entry.date_created, '2026-11-23 12:29:58', entry.date_created]) {
      await request
        .post('/webhooks/in')
        .send({ ...entry, date_created })
        .expect(200);
    }
    expect(await texts()).toHaveLength(2);
  });

  test('gravityforms: a field of the owner that is called id', async () => {
    const { request, texts } = await start(
      'provider: gravityforms, verify: none, fields: { sender: email, text: text }',
    );
    for (const text of ['one', 'two']) {
      await request.post('/webhooks/in').send({ id: 'SKU-7', email: 'a@b.c', text }).expect(200);
    }
    expect(await texts()).toHaveLength(2);
  });

  test('wpforms: entries that are counted in each site', async () => {
    const { request, texts } = await start('provider: wpforms, verify: none');
    for (const message of ['one', 'two', 'one']) {
      await request.post('/webhooks/in').send({ email: 'a@b.c', message, entry_id: '12' }).expect(200);
    }
    expect((await texts()).sort()).toEqual(['a@b.c|in|one|12|', 'a@b.c|in|two|12|']);
  });

  test('wpforms: entries where none are kept', async () => {
    const { request, texts } = await start('provider: wpforms, verify: none');
    for (const message of ['one', 'two']) {
      await request.post('/webhooks/in').send({ email: 'a@b.c', message, entry_id: '0' }).expect(200);
    }
    expect(await texts()).toHaveLength(2);
  });
});

describe('a Standard Webhook', () => {
  const SECRET = Buffer.from('a key of some bytes').toString('base64');
  const body = JSON.stringify({ sender: 'u', text: 't' });

  async function sign(family: string, id: string) {
    const clock = new ManualClock();
    const { bridge } = await startTestBridge({
      routing: routing(`verify: { standard_webhooks: { secret: ${SECRET} } }`),
      overrides: { clock },
    });
    const time = String(clock.now() / 1_000);
    const mac = createHmac('sha256', Buffer.from(SECRET, 'base64')).update(`${id}.${time}.${body}`).digest('base64');
    const signed = { [`${family}-id`]: id, [`${family}-timestamp`]: time, [`${family}-signature`]: `v1,${mac}` };
    return async (more: Record<string, string> = {}) => {
      const headers = { 'content-type': 'application/json', ...signed, ...more };
      const answer = await fetch(`${bridge.url}/webhooks/in`, { method: 'POST', headers, body });
      return answer.status;
    };
  }

  test.each(['webhook', 'svix'])('is known by the id that is signed: %s', async (family) => {
    const send = await sign(family, 'msg_1');
    expect([await send(), await send()]).toEqual([202, 200]);
    const other = family === 'svix' ? 'webhook' : 'svix';
    for (const id of ['r1', 'r2']) expect(await send({ [`${other}-id`]: id })).toBe(200);
  });

  test('with an empty id is known by none', async () => {
    const send = await sign('webhook', '');
    expect([await send(), await send()]).toEqual([202, 202]);
  });
});

test('a signature of no body says nothing of a GET', async () => {
  const { request } = await start('provider: kaleyra, verify: { hmac: { secret: s, header: x-sig } }');
  const signature = createHmac('sha256', 's').update('').digest('hex');
  const { status, body } = await request.get('/webhooks/in?source=919820012345&message=evil').set('x-sig', signature);
  expect([status, body.detail]).toEqual([401, 'A GET has no body that could be signed.']);
});

describe('what its sender cannot be told of', () => {
  test('another charset than UTF-8 costs its letters, not the message', async () => {
    const { request, texts } = await start('provider: twilio, verify: none');
    const form = Buffer.from('MessageSid=SM1&From=%2B919820012345&To=1&Body=caf\xe9', 'latin1');
    const post = request.post('/webhooks/in').type('application/x-www-form-urlencoded; charset=iso-8859-1');
    await post
      .serialize((bytes: unknown) => bytes as string)
      .send(form.toString('latin1'))
      .expect(200);
    expect(await texts()).toHaveLength(1);
  });

  test('a template of Contact Form 7 that is no JSON is kept as it is', async () => {
    const { request, texts, admin } = await start('provider: cf7, verify: none');
    await request.post('/webhooks/in').type('text/plain').send('{"message": "a\nb",}').expect(200);
    expect(await texts()).toEqual(['no_auth_id']);
    const { body } = await admin.get('/api/messages');
    expect((await admin.get(`/api/messages/${body.items[0].id}`)).body.text).toBe('{"message": "a\nb",}');
  });

  test('more messages than anybody sends at once are refused', async () => {
    const { request } = await start('provider: infobip, verify: none');
    const results = Array.from({ length: 5_001 }, () => ({}));
    expect((await request.post('/webhooks/in').send({ results })).status).toBe(413);
    expect((await request.post('/webhooks/in').send({ results: results.slice(1) })).status).toBe(200);
  });
});

describe('a refusal of what signs its URL says which one was assumed', () => {
  const PROVIDERS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    twilio: { 'x-twilio-signature': 'x' },
    plivo: { 'x-plivo-signature-v2': 'x', 'x-plivo-signature-v2-nonce': 'n' },
    hubspot: { 'x-hubspot-signature-v3': 'x', 'x-hubspot-request-timestamp': '1' },
    bird: { 'messagebird-signature': 'x', 'messagebird-request-timestamp': '1' },
  };

  test.each(Object.entries(PROVIDERS))('%s', async (provider, headers) => {
    const { request } = await start(`provider: ${provider}, verify: { secret: s }`);
    const type = provider === 'hubspot' || provider === 'bird' ? 'json' : 'form';
    const { status, body } = await request
      .post('/webhooks/in?key=hush')
      .set({ ...headers, host: 'inside.example' })
      .type(type)
      .send({ a: 'b' });
    expect([status, body.detail]).toEqual([401, expect.stringContaining('http://inside.example/webhooks/in?…')]);
    expect(body.detail).toContain('PUBLIC_URL');
  });

  test('plivo: one without any signature is told which is missing', async () => {
    const { request } = await start('provider: plivo, verify: { secret: s }');
    const { body } = await request.post('/webhooks/in').type('form').send('a=b');
    expect(body.detail).toBe('The signature header X-Plivo-Signature-V2 is missing.');
  });
});

test('a body of a million empty objects is refused before it is taken apart', async () => {
  const { request } = await start('provider: messenger, verify: none');
  const entry = `{"entry":[{"messaging":[${'{},'.repeat(1_000_000)}{}]}]}`;
  const { status, body } = await request.post('/webhooks/in').type('json').send(entry);
  expect([status, body.detail]).toEqual([400, 'The body holds more than 100000 objects and lists.']);
});

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
