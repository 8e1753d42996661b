import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Delivery, Json, Message, Placement } from '../../src/message.ts';
import type { RoutingTable } from '../../src/routing/table.ts';
import { temporaryFolder } from '../support/fixtures.ts';
import { parseRouting } from '../support/routing.ts';

const SENDER = '+919820012345';
const ENV = { TOKEN: 'token' };

const message = (given: Partial<Message> = {}): Message => ({
  sender: SENDER,
  recipient: 'chat',
  text: 'Hello',
  fields: {},
  attachments: [],
  ...given,
});

/** Account `main`, channel `chat`, and what the test is about. */
function tableOf(rest: string, accountKeys = ''): RoutingTable {
  const source = `
accounts:
  main: { base_url: https://haptik.example, client_id: bridge, token: \${TOKEN}, ${accountKeys} }
channels:
  chat: { verify: none }
${rest}`;
  return parseRouting(source, 'routing.yaml', ENV);
}

const oneRoute = (keys: string, accountKeys?: string) =>
  tableOf(`routes:\n  - { channel: chat, business_id: 343, ${keys} }`, accountKeys);

/** The place of the route among `routes` that a message goes by, or why there is none. */
function decided(table: RoutingTable, given: Partial<Message>, channel = 'chat'): string {
  const placement = table.place(channel, message(given));
  return 'dead' in placement ? placement.dead : placement.route;
}

function deliveryOf(placement: Placement): Delivery {
  if ('dead' in placement) throw new Error(`${placement.dead}: ${placement.detail}`);
  return placement.delivery;
}

/** What a template makes of a message. */
function rendered(template: string, given: Partial<Message> = {}): string {
  const table = oneRoute(`auth_id: a, message_body: ${JSON.stringify(template)}`);
  return deliveryOf(table.place('chat', message(given))).text;
}

/** Whether the condition holds for the message. */
function holds(when: string, given: Partial<Message>): boolean {
  return decided(oneRoute(`auth_id: a, when: ${when}`), given) !== 'unroutable';
}

test('a delivery holds what Haptik is told and nothing else', () => {
  const placement = oneRoute('auth_id: "sms{{ sender | digits }}"').place(
    'chat',
    message({ name: 'Asha', email: 'a@b' }),
  );
  expect(placement).toEqual({
    route: 'routes[0]',
    delivery: {
      account: 'main',
      businessId: 343,
      authId: 'sms919820012345',
      text: 'Hello',
      user: { name: 'Asha', email: 'a@b', mobile_no: undefined },
      onUnknown: 'retry',
      onDead: 'continue',
    },
  });
});

test('a delivery carries what its route says about trouble', () => {
  const placement = oneRoute('auth_id: a, on_unknown: stop, on_dead: stop').place('chat', message());
  expect(placement).toMatchObject({ delivery: { onUnknown: 'stop', onDead: 'stop' } });
});

describe('the fingerprint of an account', () => {
  const fingerprint = (account: string) =>
    parseRouting(
      `
accounts: { main: { ${account} } }
channels: { chat: { verify: none } }
routes: [{ channel: chat, business_id: 1, auth_id: a }]`,
      'routing.yaml',
      {},
    ).accounts.get('main')?.fingerprint;
  const usual = 'base_url: https://a.example, client_id: c, token: secret-token';

  test('is the same for the same place and credentials, and gives none away', () => {
    expect(fingerprint(usual)).toBe(fingerprint(`${usual}, max_per_second: 5`));
    expect(fingerprint(usual)).toMatch(/^[0-9a-f]{16}$/);
  });

  test.each(['https://b.example', 'client_id: d', 'token: other'])('is another one with %s', (other) => {
    const key = other.startsWith('https') ? `base_url: ${other}` : other;
    const changed = usual.replace(new RegExp(`${key.split(':')[0]}: [^,]+`), key);
    expect(changed).not.toBe(usual);
    expect(fingerprint(changed)).not.toBe(fingerprint(usual));
  });
});

test('the first route of the channel that fits decides', () => {
  const table = parseRouting(
    `
accounts:
  a: { base_url: https://a.example, client_id: a, token: a }
  b: { base_url: https://b.example, client_id: b, token: b }
channels:
  chat: { verify: none }
  crm: { verify: none }
routes:
  - { channel: crm, account: a, business_id: 1, auth_id: a }
  - { channel: chat, account: a, business_id: 2, auth_id: a, when: { text: help } }
  - { channel: chat, account: b, business_id: 3, auth_id: a, when: { text: [help, sales] } }
  - { channel: chat, account: b, business_id: 4, auth_id: a }
  - { channel: chat, account: b, business_id: 5, auth_id: a, when: { text: late } }
`,
    'routing.yaml',
    {},
  );
  const businessOf = (text: string, channel = 'chat') => {
    const { account, businessId } = deliveryOf(table.place(channel, message({ text })));
    return [account, businessId];
  };
  expect(businessOf('help')).toEqual(['a', 2]);
  expect(businessOf('sales')).toEqual(['b', 3]);
  expect(businessOf('late')).toEqual(['b', 4]);
  expect(businessOf('help', 'crm')).toEqual(['a', 1]);
});

test('a message that no route fits, or of a channel without routes, is unroutable', () => {
  const table = tableOf(`  crm: { verify: none }
routes:
  - { channel: chat, business_id: 1, auth_id: a, when: { text: help } }`);
  expect(table.place('chat', message())).toEqual({
    route: null,
    dead: 'unroutable',
    detail: 'no route of channel chat fits this message',
  });
  expect(decided(table, { text: 'help' }, 'crm')).toBe('unroutable');
  expect(decided(table, { text: 'help' }, 'constructor')).toBe('unroutable');
});

test('all conditions of a route must hold', () => {
  const when = '{ recipient: shop, text: { prefix: He }, fields.plan: gold }';
  expect(holds(when, { recipient: 'shop', fields: { plan: 'gold' } })).toBe(true);
  expect(holds(when, { recipient: 'shop', fields: { plan: 'tin' } })).toBe(false);
  expect(holds(when, { recipient: 'post', fields: { plan: 'gold' } })).toBe(false);
  expect(holds(when, { recipient: 'shop', text: 'Oh', fields: { plan: 'gold' } })).toBe(false);
});

test.each<[condition: string, text: string, fits: boolean]>([
  ['Hello', 'Hello', true],
  ['Hello', 'hello', false],
  ['Hello', 'Hello!', false],
  ['[Hi, Hello]', 'Hello', true],
  ['[Hi, Hello]', 'Hell', false],
  ['{ prefix: Hel }', 'Hello', true],
  ['{ prefix: Hel }', 'Oh, Hello', false],
  ['{ prefix: "[" }', '[1]', true],
  ['{ matches: "l{2}" }', 'Hello', true],
  ['{ matches: "^l" }', 'Hello', false],
  ['{ matches: "(?i)^HELLO$" }', 'hello', true],
  ['{ matches: "^$" }', '', true],
  ['yes', 'yes', true],
  ['true', 'true', true],
  ['5', '5', true],
  ['007', '007', true],
  ['007', '7', false],
])('the condition %s on the text "%s" holds: %s', (condition, text, fits) => {
  expect(holds(`{ text: ${condition} }`, { text })).toBe(fits);
});

test.each<[condition: string, value: Json, fits: boolean]>([
  ['gold', 'gold', true],
  ['5', 5, true],
  ['5', '5', true],
  ['true', true, true],
  ['false', false, true],
  ['gold', null, false],
  ['gold', { gold: 'gold' }, false],
  ['{ matches: "" }', { gold: 'gold' }, false],
  ['gold', ['tin', 'gold'], true],
  ['[tin, gold]', ['gold'], true],
  ['{ prefix: go }', ['tin', 'gold'], true],
  ['{ matches: "^g.*d$" }', ['tin', 'gold'], true],
  ['gold', ['tin'], false],
  ['gold', [], false],
  ['gold', [['gold']], true],
])('the condition %s on a field of %j holds: %s', (condition, plan, fits) => {
  expect(holds(`{ fields.plan: ${condition} }`, { fields: { plan } })).toBe(fits);
});

test('a condition reads fields within fields, and a missing field fits nothing', () => {
  expect(holds('{ "fields.items[1].sku": A1 }', { fields: { items: [{ sku: 'B' }, { sku: 'A1' }] } })).toBe(true);
  expect(holds('{ fields.your.plan: gold }', { fields: { 'your.plan': 'gold' } })).toBe(true);
  expect(holds('{ fields.plan: { matches: "" } }', { fields: {} })).toBe(false);
  expect(holds('{ fields.constructor: { matches: "" } }', { fields: {} })).toBe(false);
  expect(holds('{ fields.__proto__.a: { matches: "" } }', { fields: {} })).toBe(false);
});

test('a pattern takes linear time, whatever a stranger writes', () => {
  const started = performance.now();
  expect(holds('{ text: { matches: "^(a+)+$" } }', { text: `${'a'.repeat(100_000)}!` })).toBe(false);
  expect(performance.now() - started).toBeLessThan(5_000);
});

test('sender and recipient are compared in the form that messages have them in', () => {
  expect(holds('{ sender: "+91 98200 12345" }', {})).toBe(true);
  expect(holds('{ recipient: ["(+91)", "+1 (800) 555-0100"] }', { recipient: '+18005550100' })).toBe(true);
  expect(holds('{ sender: { prefix: +91 } }', {})).toBe(true);
});

test('numbers without quotes keep their digits', () => {
  expect(holds('{ sender: +919820012345 }', {})).toBe(true);
  expect(holds('{ sender: [+18005550100, +919820012345] }', {})).toBe(true);
  expect(holds('{ fields.id: 12345678901234567890 }', { fields: { id: '12345678901234567890' } })).toBe(true);
  expect(holds('{ fields.id: 0x1F }', { fields: { id: '0x1F' } })).toBe(true);
  expect(holds('{ fields.id: 1e3 }', { fields: { id: '1e3' } })).toBe(true);
  expect(holds('{ fields.id: 1.10 }', { fields: { id: '1.10' } })).toBe(true);
});

test('secrets and account names that look like numbers keep their digits', () => {
  const { accounts, channels } = parseRouting(
    `
accounts:
  007: { base_url: https://a.example, client_id: 0012, token: 1e3 }
channels:
  0123: { verify: { header: { name: x-key, secret: [+91, 00] } } }
routes:
  - { channel: 0123, account: 007, business_id: 1, auth_id: a }
`,
    'routing.yaml',
    {},
  );
  expect(accounts.get('007')).toMatchObject({ clientId: '0012', token: '1e3' });
  expect(channels.get('0123')?.verify).toMatchObject({ header: { secret: ['+91', '00'] } });
});

function secretOf(env: Readonly<Record<string, string>>, written: string): string | undefined {
  const { channels } = parseRouting(
    `
accounts: { main: { base_url: "https://a.example", client_id: a, token: t } }
channels: { chat: { verify: { header: { name: x-key, secret: ${written} } } } }
routes: [{ channel: chat, business_id: 1, auth_id: a }]
`,
    'routing.yaml',
    env,
  );
  const verify = channels.get('chat')?.verify;
  return typeof verify === 'object' ? verify.header?.secret[0] : undefined;
}

test.each([
  ['without quotes', `\${SECRET}`, 'abc'],
  ['in double quotes', `"\${SECRET}"`, 'abc'],
  ['in single quotes', `'\${SECRET}'`, 'abc'],
  ['within other text', `Bearer-\${SECRET}-\${OTHER}`, 'Bearer-abc-xyz'],
  ['twice', `\${SECRET}\${SECRET}`, 'abcabc'],
])('a reference %s is replaced', (_, written, token) => {
  expect(secretOf({ SECRET: 'abc', OTHER: 'xyz' }, written)).toBe(token);
});

test('whatever a secret holds, it changes nothing else in the file', () => {
  const secret = fc.oneof(
    fc.string({ minLength: 1, unit: 'binary' }).filter((text) => /\S/.test(text)),
    fc.constantFrom(
      'a # b',
      'a: b',
      '{ a: b }',
      '}',
      `\${OTHER}`,
      '"',
      "'",
      '*a',
      '!a',
      '&a',
      'a, token: b',
      'a\nb: c',
      '$&$1',
    ),
  );
  fc.assert(fc.property(secret, (SECRET) => expect(secretOf({ SECRET, OTHER: 'x' }, `\${SECRET}`)).toBe(SECRET)));
});

test('a secret may come from a file, whose last line end is not part of it', async () => {
  const file = join(await temporaryFolder(), 'a, b: {c} #d').replace('{c}', 'c');
  await writeFile(file, 'line one\nline two\n');
  expect(secretOf({}, `\${file:${file}}`)).toBe('line one\nline two');
});

test('senders that are known come before the template', () => {
  const table = tableOf(`routes:
  - { channel: chat, business_id: 1, auth_id: "{{ sender | alnum }}" }
senders:
  "+919820012345": CUST00042
  asha@b.example: CUST00043`);
  const idOf = (sender: string) => deliveryOf(table.place('chat', message({ sender }))).authId;
  expect(idOf(SENDER)).toBe('CUST00042');
  expect(idOf('asha@b.example')).toBe('CUST00043');
  expect(idOf('+18005550100')).toBe('18005550100');
  expect(idOf('constructor')).toBe('constructor');
});

test.each(['"+91 98200 12345"', '+919820012345', '" +91-98200-12345 "', '"+91 (982) 0012345"'])(
  'the sender %s is found, however its number is written',
  (key) => {
    const table = tableOf(`routes:\n  - { channel: chat, business_id: 1 }\nsenders:\n  ${key}: CUST00042`);
    expect(deliveryOf(table.place('chat', message())).authId).toBe('CUST00042');
  },
);

test('a known sender must fit the account of its route, not of another one', () => {
  const table = tableOf(
    `  crm: { verify: none }
routes:
  - { channel: chat, account: main, business_id: 1 }
  - { channel: crm, account: other, business_id: 1 }
senders:
  "+919820012345": CUST-42`,
    'auth_id_pattern: "[A-Z0-9-]+" }\n  other: { base_url: https://b.example, client_id: b, token: t',
  );
  expect(decided(table, {})).toBe('routes[0]');
  expect(table.place('crm', message())).toEqual({
    route: 'routes[1]',
    dead: 'bad_auth_id',
    detail: '"CUST-42" does not fit [A-Za-z0-9]+',
  });
});

test('a sender that is not known to a route without a template has no auth_id', () => {
  const table = tableOf('routes:\n  - { channel: chat, business_id: 1 }\nsenders:\n  user7: CUST42');
  expect(table.place('chat', message())).toEqual({
    route: 'routes[0]',
    dead: 'no_auth_id',
    detail: 'the sender is not in senders, and the route has no auth_id',
  });
});

test('a template that gives nothing gives no auth_id', () => {
  expect(oneRoute('auth_id: "{{ sender | digits }}"').place('chat', message({ sender: 'asha' }))).toEqual({
    route: 'routes[0]',
    dead: 'no_auth_id',
    detail: 'the auth_id template gave nothing',
  });
});

test('an auth_id template that fails gives no auth_id, and says so without the values', () => {
  const placement = oneRoute('auth_id: "{{ sender | base64_decode }}"').place('chat', message({ sender: '%secret%' }));
  expect(placement).toEqual({
    route: 'routes[0]',
    dead: 'no_auth_id',
    detail: expect.stringMatching(/^the auth_id template failed: .*base64/),
  });
  expect(JSON.stringify(placement)).not.toContain('%secret%');
});

test('an auth_id that Haptik would not take is a dead letter that shows it', () => {
  expect(oneRoute('auth_id: "{{ sender }}"').place('chat', message({ sender: 'a@b.example' }))).toEqual({
    route: 'routes[0]',
    dead: 'bad_auth_id',
    detail: '"a@b.example" does not fit [A-Za-z0-9]+',
  });
});

test.each<[pattern: string, sender: string, fits: boolean]>([
  ['[a-z.@]+', 'a@b.example', true],
  ['[a-z.@]+', 'A@b.example', false],
  ['[a-z]', 'ab', false],
  ['(?i)user[0-9]{1,3}', 'USER7', true],
  ['(?i)user[0-9]{1,3}', 'user7777', false],
  ['[A-Za-z0-9]+', 'user7\nuser8', false],
  ['[A-Za-z0-9]+', '٣٤', false],
])('with auth_id_pattern %s the auth_id %j is allowed: %s', (pattern, sender, fits) => {
  const table = oneRoute('auth_id: "{{ sender }}"', `auth_id_pattern: '${pattern}'`);
  expect(decided(table, { sender })).toBe(fits ? 'routes[0]' : 'bad_auth_id');
});

test('blanks around an auth_id are taken away, such as the line end of a block of text', () => {
  const table = tableOf(`routes:
  - channel: chat
    business_id: 1
    auth_id: |
      {% assign number = sender | digits %}
      sms{{ number }}
`);
  expect(deliveryOf(table.place('chat', message())).authId).toBe('sms919820012345');
});

test('a message_body template that fails leaves nothing to deliver, and says so', () => {
  const table = oneRoute('auth_id: a, message_body: "{{ text | base64_decode }}"');
  expect(table.place('chat', message({ text: '%%%' }))).toEqual({
    route: 'routes[0]',
    dead: 'empty',
    detail: expect.stringMatching(/^the message_body template failed: .*base64/),
  });
});

test('a message without text is empty', () => {
  const detail = 'there is no text to deliver';
  expect(oneRoute('auth_id: a').place('chat', message({ text: ' \n' }))).toEqual({
    route: 'routes[0]',
    dead: 'empty',
    detail,
  });
  expect(oneRoute('auth_id: a, message_body: "{{ fields.body }}"').place('chat', message())).toMatchObject({
    dead: 'empty',
    detail,
  });
});

test('a message of only files names them', () => {
  const file = (name: string) => ({ name, content_type: 'image/png', size: 3 });
  const placement = oneRoute('auth_id: a').place(
    'chat',
    message({ text: '', attachments: [file('a.png'), file('b.png')] }),
  );
  expect(deliveryOf(placement).text).toBe('[file: a.png]\n[file: b.png]');
});

test('links to files follow the text, and what has no link is told of only where there is no text', () => {
  const link = { url: 'https://files.example/1.jpg', content_type: 'image/jpeg' };
  const text = (given: Partial<Message>) => deliveryOf(oneRoute('auth_id: a').place('chat', message(given))).text;
  expect(text({ attachments: [link, { url: 'https://files.example/2.pdf' }] })).toBe(
    'Hello\nhttps://files.example/1.jpg\nhttps://files.example/2.pdf',
  );
  expect(text({ text: ' ', attachments: [link] })).toBe('https://files.example/1.jpg');
  expect(text({ attachments: [{ id: 'f1', content_type: 'voice' }] })).toBe('Hello');
  expect(text({ text: '', attachments: [{ id: 'f1', content_type: 'voice' }, { id: 'f2' }] })).toBe(
    '[file: voice]\n[file: f2]',
  );
});

test("a message without a sender is nobody's, whatever the template would give", () => {
  const placement = oneRoute('auth_id: "sms{{ sender }}"').place('chat', message({ sender: '' }));
  expect(placement).toEqual({
    route: null,
    dead: 'no_auth_id',
    detail: 'the message names no sender; see the fields of its channel',
  });
});

test.each<[template: string, given: Partial<Message>, text: string]>([
  ['{{ sender }} {{ recipient }} {{ channel }}', {}, '+919820012345 chat chat'],
  ['{{ id }} {{ sent_at }}', { providerId: 'm1', sentAt: '2026-11-22T12:30:00Z' }, 'm1 2026-11-22T12:30:00Z'],
  ['{{ name }} {{ email }} {{ phone }}', { name: 'A', email: 'b', phone: 'c' }, 'A b c'],
  ['{{ fields.a.b[1] }}', { fields: { a: { b: [1, 2] } } }, '2'],
  ['{{ fields["1.3"] }}', { fields: { '1.3': 'Asha' } }, 'Asha'],
  ['{{ attachments[0].name }}', { attachments: [{ name: 'a.png', content_type: 'image/png', size: 1 }] }, 'a.png'],
  ['{{ fields.missing }}!', {}, '!'],
  ['{{ text | digits }}', { text: '+1 (800) ٣x' }, '1800'],
  ['{{ fields.n | digits }}', { fields: { n: 42 } }, '42'],
  ['{{ fields.missing | digits }}!', {}, '!'],
  ['{{ text | alnum }}', { text: 'A-b_c é1!' }, 'Abc1'],
  ['{{ text | downcase | sha256 | slice: 0, 8 }}', { text: 'ABC' }, 'ba7816bf'],
  ['{{ text | sha256 }}', { text: 'é' }, '4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c'],
  ['{{ text | e164 }}', { text: '+91 98200-12345' }, '+919820012345'],
  ['{{ text | e164: "IN" }}', { text: '098200 12345' }, '+919820012345'],
  ['{{ text | e164 }}', { text: '098200 12345' }, '098200 12345'],
  ['{{ text | e164: "nowhere" }}', { text: '098200 12345' }, '098200 12345'],
  ['{{ fields.missing | e164: "IN" }}!', {}, '!'],
  ['{% for item in fields.list %}{{ forloop.index }}{{ item }}{% endfor %}', { fields: { list: ['a', 'b'] } }, '1a2b'],
  ['{% if fields.vip %}VIP {% endif %}{{ text }}', { fields: { vip: true } }, 'VIP Hello'],
  ['{{ text }}', { text: '{{ sender }}{% raw %}<b>' }, '{{ sender }}{% raw %}<b>'],
  [`Price: \${{ fields.price }}`, { fields: { price: 5 } }, 'Price: $5'],
])('the template %s gives what it should', (template, given, text) => {
  expect(rendered(template, given)).toBe(text);
});

test('templates do not reach prototypes', () => {
  const all = ['constructor', '__proto__', 'toString', 'hasOwnProperty'].flatMap((key) => [
    `{{ fields.${key} }}`,
    `{{ text.${key} }}`,
    `{{ fields.list.${key} }}`,
    `{{ fields["${key}"]["constructor"] }}`,
    `{{ fields.list | map: "${key}" }}`,
    `{{ attachments[0].${key} }}`,
  ]);
  const given = { fields: { list: [{ a: 1 }] }, attachments: [{ name: 'a', content_type: 'b', size: 1 }] };
  expect(all.map((template) => rendered(`${template}!`, given))).toEqual(all.map(() => '!'));
});

test('a template changes neither the message nor what the next message gives', () => {
  const template = '{% increment text %}{% assign sender = "x" %}{{ fields.list | sort | reverse | join }}';
  const fields: Json = Object.freeze({ list: Object.freeze([2, 3, 1]) });
  const given = Object.freeze(message({ fields }));
  const table = oneRoute(`auth_id: a, message_body: ${JSON.stringify(template)}`);
  expect(table.place('chat', given)).toEqual(table.place('chat', given));
  expect(given.fields).toEqual({ list: [2, 3, 1] });
});

test.each([
  '{% for i in (1..1000000000) %}{% endfor %}',
  '{% for i in (1..3000) %}{% for j in (1..3000) %}{{ text }}{% endfor %}{% endfor %}',
  '{% for i in (1..40) %}{% capture body %}{{ body }}{{ body }}{{ text }}{% endcapture %}{% endfor %}{{ body }}',
  '{% assign body = text %}{% for i in (1..60) %}{% assign body = body | append: body %}{% endfor %}{{ body }}',
  '{% for i in (1..1000) %}{{ text }}{{ text }}{{ text }}{{ text }}{{ text }}{{ text }}{% endfor %}',
  '{{ "now" | date: "%99999999s" }}',
])('the template %s is given up, not waited for', (template) => {
  const table = oneRoute(`auth_id: a, message_body: ${JSON.stringify(template)}`);
  const started = performance.now();
  expect(table.place('chat', message({ text: 'Hello '.repeat(200) }))).toMatchObject({
    dead: 'empty',
    detail: expect.stringMatching(/^the message_body template failed: /),
  });
  expect(performance.now() - started).toBeLessThan(5_000);
});

test('without user the profile is what the message says of its sender', () => {
  const given = message({ name: 'Asha', email: 'a@b.example', phone: SENDER });
  expect(deliveryOf(oneRoute('auth_id: a').place('chat', given)).user).toEqual({
    name: 'Asha',
    email: 'a@b.example',
    mobile_no: SENDER,
  });
});

test('the templates of user make the profile, and what they leave empty is left out', () => {
  const table = oneRoute(`auth_id: a, user: {
    name: "{{ fields.first }} {{ fields.last }}", email: "{{ fields.mail }}", mobile_no: "{{ sender }}",
    language_code: en, custom_data: { plan: "{{ fields.plan }}" } }`);
  const given = message({ name: 'unused', fields: { first: 'Asha', plan: 'gold' } });
  expect(deliveryOf(table.place('chat', given)).user).toEqual({
    name: 'Asha',
    mobile_no: SENDER,
    language_code: 'en',
    custom_data: { plan: 'gold' },
  });
});

test('a profile template that fails costs its field, not the message', () => {
  const broken = '"{{ text | base64_decode }}"';
  const table = oneRoute(
    `auth_id: a, user: { name: ${broken}, email: a@b.example, custom_data: { a: ${broken}, b: c } }`,
  );
  expect(deliveryOf(table.place('chat', message({ text: '%%%' })))).toMatchObject({
    text: '%%%',
    user: { name: undefined, email: 'a@b.example', custom_data: { b: 'c' } },
  });
});

test.each<[maxLength: number, text: string, kept: string]>([
  [5, 'Hello', 'Hello'],
  [4, 'Hello', 'Hel…'],
  [1, 'Hello', '…'],
  [4, 'ab👩‍👩‍👧cd', 'ab…'],
  [11, 'ab👩‍👩‍👧cd', 'ab👩‍👩‍👧…'],
  [4, 'cafe\u0301s', 'caf…'],
  [3, '👍👍', '👍…'],
  [2, '👍👍', '…'],
])('with max_length %i the text "%s" is cut between characters to "%s"', (maxLength, text, kept) => {
  expect(deliveryOf(oneRoute('auth_id: a', `max_length: ${maxLength}`).place('chat', message({ text }))).text).toBe(
    kept,
  );
});

test('a cut text is never longer than max_length, and begins as the whole one does', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), fc.integer({ min: 1, max: 20 }), (text, maxLength) => {
      const placement = oneRoute('auth_id: a', `max_length: ${maxLength}`).place('chat', message({ text: `x${text}` }));
      const kept = deliveryOf(placement).text;
      expect(kept.length).toBeLessThanOrEqual(maxLength);
      expect(`x${text}`.startsWith(kept.replace(/…$/, ''))).toBe(true);
      expect(kept.isWellFormed()).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test('an account is called at its base URL, or at its whole URLs', () => {
  const { accounts } = parseRouting(
    `
accounts:
  base: { base_url: https://a.example/haptik/, client_id: a, token: t }
  whole: { message_url: https://b.example/m, user_url: https://b.example/u, client_id: b, token: t, max_concurrency: 3 }
  silent: { base_url: http://127.0.0.1:9000, client_id: c, token: t, register_users: false }
  inside: { base_url: http://haptik.internal, allow_http: true, client_id: d, token: t }
channels: { chat: { verify: none } }
routes: [{ channel: chat, account: base, business_id: 1, auth_id: a }]
`,
    'routing.yaml',
    {},
  );
  const urls = [...accounts.values()].map(({ messageUrl, userUrl }) => [messageUrl.href, userUrl?.href]);
  expect(urls).toEqual([
    ['https://a.example/haptik/v1.0/log_message_from_user/', 'https://a.example/haptik/v1.0/user/'],
    ['https://b.example/m', 'https://b.example/u'],
    ['http://127.0.0.1:9000/v1.0/log_message_from_user/', undefined],
    ['http://haptik.internal/v1.0/log_message_from_user/', 'http://haptik.internal/v1.0/user/'],
  ]);
  expect(accounts.get('whole')?.maxConcurrency).toBe(3);
});

test('numbers may come from the environment', () => {
  const table = parseRouting(
    `
accounts: { main: { base_url: "https://a.example", client_id: a, token: t, max_concurrency: \${LIMIT}, max_length: "7" } }
channels: { chat: { provider: form, verify: none, rate_limit: \${LIMIT} } }
routes: [{ channel: chat, business_id: \${BUSINESS}, auth_id: a }]
`,
    'routing.yaml',
    { LIMIT: '3', BUSINESS: '343' },
  );
  expect(table.accounts.get('main')?.maxConcurrency).toBe(3);
  expect(table.channels.get('chat')?.rate_limit).toBe(3);
  expect(deliveryOf(table.place('chat', message({ text: 'Hello there' })))).toMatchObject({
    businessId: 343,
    text: 'Hello …',
  });
});

test('placing never throws, whatever a stranger sends', () => {
  const table = tableOf(`routes:
  - { channel: chat, business_id: 1, auth_id: "{{ fields.a | slice: 1 | alnum }}", when: { fields.a.b: { matches: x } } }
  - { channel: chat, business_id: 2, auth_id: "{{ sender | base64_decode }}", message_body: "{% for i in fields %}{{ i }}{% endfor %}", when: { text: { prefix: a } } }
  - { channel: chat, business_id: 3, auth_id: "{{ sender | e164 | digits }}{{ fields.a | sha256 }}", user: { name: "{{ fields | json }}" } }`);
  const stranger = fc.record({
    sender: fc.string(),
    text: fc.string({ unit: 'binary' }),
    fields: fc.dictionary(fc.string(), fc.jsonValue()),
  });
  fc.assert(
    fc.property(stranger, ({ sender, text, fields }) => {
      const given = JSON.parse(JSON.stringify(fields)) as Json;
      expect(table.place('chat', message({ sender, text, fields: given }))).toHaveProperty('route');
    }),
  );
});

test('senders and when.sender are read by the country of the channel, as its messages are', () => {
  const { place } = parseRouting(
    `
accounts: { main: { base_url: "https://a.example", client_id: a, token: t } }
channels: { in: { verify: none, default_country: IN }, any: { verify: none } }
routes:
  - { channel: in, when: { sender: "98200 12345" }, business_id: 1, auth_id: "x{{ sender | digits }}" }
  - { channel: in, business_id: 2, auth_id: "x{{ sender | digits }}" }
  - { channel: any, business_id: 3, auth_id: "x{{ sender | digits }}" }
senders: { "9820012345": CUST1, "9820099999": CUST2, "+919820077777": CUST3 }
`,
    'routing.yaml',
    {},
  );
  const message = (sender: string) => ({ sender, recipient: 'r', text: 't', fields: {}, attachments: [] });
  const of = (channel: string, sender: string) => {
    const placement = place(channel, message(sender));
    return 'delivery' in placement ? [placement.delivery.businessId, placement.delivery.authId] : placement.dead;
  };
  expect(of('in', '+919820012345')).toEqual([1, 'CUST1']);
  expect(of('in', '+919820099999')).toEqual([2, 'CUST2']);
  expect(of('in', '+919820077777')).toEqual([2, 'CUST3']);
  expect(of('any', '9820012345')).toEqual([3, 'CUST1']);
  expect(of('any', '+919820099999')).toEqual([3, 'x919820099999']);
});

describe('where the provider says what its senders are', () => {
  const table = parseRouting(
    `
accounts:
  main: { base_url: https://haptik.example, client_id: c, token: t }
channels:
  wa: { provider: whatsapp-cloud, verify: none }
  bot: { provider: telegram, verify: none }
  sms: { provider: vonage, verify: none }
  exo: { provider: exotel, verify: none }
routes:
  - { channel: exo, when: { recipient: "+918088919888" }, business_id: 1, auth_id: known }
  - { channel: exo, business_id: 2, auth_id: other }
  - { channel: wa, when: { sender: "919820012345" }, business_id: 1, auth_id: known }
  - { channel: wa, business_id: 2, auth_id: other }
  - { channel: bot, when: { sender: "919820012345" }, business_id: 1, auth_id: known }
  - { channel: bot, business_id: 2, auth_id: other }
  - { channel: sms, when: { recipient: "+447700900000" }, business_id: 1, auth_id: known }
  - { channel: sms, when: { recipient: { prefix: "4477" } }, business_id: 3, auth_id: known }
  - { channel: sms, when: { sender: "919820066666" }, business_id: 4, auth_id: known }
  - { channel: sms, business_id: 2, auth_id: other }
senders:
  "919820099999": CUST1
  "+919820088888": CUST2
`,
    'routing.yaml',
    {},
  );
  const place = (channel: string, given: Partial<Message>) => deliveryOf(table.place(channel, message(given)));

  test('a condition on the sender is read as a sender of the channel would be', () => {
    expect(place('wa', { sender: '+919820012345' }).businessId).toBe(1);
    expect(place('bot', { sender: '919820012345' }).businessId).toBe(1);
    expect(place('bot', { sender: '+919820012345' }).businessId).toBe(2);
  });

  test('or as it stands, where a channel of numbers carries a chat whose senders are ids', () => {
    expect(place('sms', { sender: '919820066666' }).businessId).toBe(4);
    expect(place('sms', { sender: '+919820066666' }).businessId).toBe(4);
  });

  test('so are the keys of senders', () => {
    expect(place('wa', { sender: '+919820099999' }).authId).toBe('CUST1');
    expect(place('bot', { sender: '919820099999' }).authId).toBe('CUST1');
    expect(place('bot', { sender: '+919820099999' }).authId).toBe('other');
    expect(place('wa', { sender: '+919820088888' }).authId).toBe('CUST2');
  });

  test('also where the provider’s own numbers are local', () => {
    expect(place('exo', { recipient: '918088919888' }).businessId).toBe(1);
    expect(place('exo', { recipient: '08088919888' }).businessId).toBe(2);
  });

  test('a recipient is found by each route that names it, and by each message anew', () => {
    const table = tableOf(`routes:
  - { channel: chat, business_id: 1, auth_id: a, when: { recipient: "+447700900000", text: no } }
  - { channel: chat, business_id: 2, auth_id: a, when: { recipient: "447700900000" } }
  - { channel: chat, business_id: 3, auth_id: a, when: { recipient: "+919820012345" } }`);
    expect(decided(table, { recipient: '447700900000' })).toBe('routes[1]');
    expect(decided(table, { recipient: '919820012345' })).toBe('routes[2]');
    expect(decided(table, { recipient: '447700900000', text: 'no' })).toBe('routes[0]');
    const held = (recipient: string) =>
      table.trace('chat', message({ recipient })).map(({ conditions }) => conditions[0]?.holds);
    expect(held('447700900000')).toEqual([true, true, false]);
    expect(held('+919820012345')).toEqual([false, false, true]);
  });

  test('a recipient is found with and without its +, and a prefix is one of what was sent', () => {
    expect(place('sms', { recipient: '447700900000' }).businessId).toBe(1);
    expect(place('sms', { recipient: '+447700900000' }).businessId).toBe(1);
    expect(place('sms', { recipient: '447700900001' }).businessId).toBe(3);
    expect(place('sms', { recipient: '12345' }).businessId).toBe(2);
  });
});
