import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { explain } from '../src/explain.ts';
import type { Message } from '../src/message.ts';
import { providers } from '../src/webhook/providers/registry.ts';
import { startTestBridge } from './support/bridge.ts';
import { until } from './support/fixtures.ts';
import { parseRouting } from './support/routing.ts';

const word = fc.constantFrom('a', 'ab', 'abc', 'b', '');
const condition = fc.oneof(
  word.map((text) => JSON.stringify(text)),
  fc.uniqueArray(word, { minLength: 1 }).map((values) => JSON.stringify(values)),
  fc.constantFrom('a', 'b').map((text) => `{ prefix: ${text} }`),
  fc.constantFrom('a', 'b$').map((text) => `{ matches: "${text}" }`),
);
const when = fc
  .record({ text: condition, sender: condition, 'fields.a': condition }, { requiredKeys: [] })
  .map((record) => `{ ${Object.entries(record).map(([key, one]) => `${key}: ${one}`)} }`);

test('what is told of the routes is what decides, for any table and message', () => {
  const anyMessage = fc.record({ sender: word, text: word, a: word });
  fc.assert(
    fc.property(fc.array(when, { minLength: 1, maxLength: 5 }), anyMessage, (conditions, { sender, text, a }) => {
      const routes = conditions.map(
        (one, index) => `{ channel: chat, when: ${one}, business_id: ${index}, auth_id: x }`,
      );
      const table = parseRouting(
        `accounts: { main: { base_url: "https://h.example", client_id: c, token: t } }
channels: { chat: { verify: none } }
routes: [${routes}]`,
        'routing.yaml',
        {},
      );
      const message: Message = { sender, recipient: 'r', text, fields: { a }, attachments: [] };
      const first = table.trace('chat', message).find(({ conditions: all }) => all.every(({ holds }) => holds));
      const placement = table.place('chat', message);
      expect(placement.route).toBe(sender === '' ? null : (first?.route ?? null));
    }),
    { numRuns: 300 },
  );
});

const ROUTING = `
channels:
  chat: { verify: none }
  sms: { provider: twilio, verify: { secret: s } }
routes:
  - { channel: chat, when: { text: { prefix: bill } }, business_id: 1, auth_id: "x{{ sender }}", message_body: "{{ name }}: {{ text }}" }
  - { channel: chat, business_id: 2, auth_id: "{{ sender }}" }
  - { channel: sms, business_id: 3, auth_id: "{{ sender | digits }}" }
senders: { known: CUST1 }
`;

describe('what is explained is what Haptik then gets', () => {
  test.each([
    { sender: 'u1', text: 'billing', name: 'Asha' },
    { sender: 'u1', text: 'other' },
    { sender: 'known', text: 'bill' },
  ])('%j', async (payload) => {
    const { admin, request, simulator } = await startTestBridge({ routing: ROUTING });
    const { body } = await admin.post('/api/routing/explain').send({ channel: 'chat', payload }).expect(200);
    expect(simulator.messages).toEqual([]);
    await request.post('/webhooks/chat').send(payload).expect(202);
    await until('it is delivered', () => simulator.messages.length === 1);
    const [{ message_id: _id, ...got } = { message_id: 0 }] = simulator.messages;
    const { user, ...rest } = body.messages[0].request.body;
    expect(got).toMatchObject({
      auth_id: user.auth_id,
      business_id: rest.business_id,
      message_body: rest.message_body,
    });
    expect(JSON.stringify(body)).not.toContain('test-token');
  });
});

test('a message that nobody can place is told why, and what is no message too', async () => {
  const table = parseRouting(
    `accounts: { main: { base_url: "https://h.example", client_id: c, token: t } }${ROUTING}`,
    'routing.yaml',
    {},
  );
  const ask = (body: string, channel = 'sms') =>
    explain(table, providers, {
      channel,
      method: 'POST',
      query: '',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: Buffer.from(body),
    });
  expect(await ask('MessageSid=SM1&From=HAPTIK&To=1&Body=hi')).toMatchObject({
    messages: [{ placement: { route: 'routes[2]', dead: 'no_auth_id' }, request: undefined }],
    ignored: 0,
  });
  expect(await ask('MessageSid=SM1&MessageStatus=sent')).toMatchObject({ messages: [], ignored: 1 });
  await expect(ask('', 'nope')).rejects.toThrow('there is no channel "nope"; there are chat, sms');
  await expect(ask('sender=u', 'chat')).rejects.toMatchObject({ status: 422, message: 'text is missing' });
});
