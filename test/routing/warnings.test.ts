import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Message } from '../../src/message.ts';
import { checkRouting } from '../../src/routing/load.ts';
import { providers } from '../../src/webhook/providers/registry.ts';
import { temporaryFolder } from '../support/fixtures.ts';
import { parseRouting } from '../support/routing.ts';

const ACCOUNTS = 'accounts: { main: { base_url: "https://h.example", client_id: c, token: t } }\n';

/** The warnings of a file, as `line:column: code: message`. */
async function warningsOf(source: string): Promise<readonly string[]> {
  const path = join(await temporaryFolder(), 'routing.yaml');
  await writeFile(path, source);
  const { warnings } = await checkRouting(path, {}, providers);
  return warnings.map(({ line, column, code, message }) => `${line}:${column} ${code}: ${message}`);
}

const routes = (...conditions: readonly string[]) =>
  `${ACCOUNTS}channels: { chat: { verify: none, default_country: IN } }\nroutes:\n${conditions
    .map((when) => `  - { channel: chat, when: ${when}, business_id: 1, auth_id: "u{{ sender | sha256 }}" }`)
    .join('\n')}\n`;

const shadowed = (index: number, by: number) =>
  `${4 + index}:5 shadowed: routes[${index}]: never decides: whatever it fits, routes[${by}] fits before it`;

test.each<[conditions: string[], by: readonly [number, number][]]>([
  [
    ['{}', '{ text: a }', '{}'],
    [
      [1, 0],
      [2, 0],
    ],
  ],
  [
    ['{ text: [a, b] }', '{ text: a }', '{ text: [b, a] }', '{ text: [a, c] }'],
    [
      [1, 0],
      [2, 0],
    ],
  ],
  [
    ['{ text: { prefix: ab } }', '{ text: { prefix: abc } }', '{ text: [abd, ab] }', '{ text: { prefix: a } }'],
    [
      [1, 0],
      [2, 0],
    ],
  ],
  [
    ['{ text: { matches: "a+" } }', '{ text: { matches: "a+" } }', '{ text: xaax }', '{ text: { matches: "a" } }'],
    [
      [1, 0],
      [2, 0],
    ],
  ],
  [['{ sender: "98200 12345" }', '{ sender: "+919820012345" }'], [[1, 0]]],
  [['{ recipient: ["+919820012345", r] }', '{ recipient: ["r", "98200 12345"] }', '{ recipient: s }'], [[1, 0]]],
  [['{ fields.a: "98200 12345" }', '{ fields.a: "+919820012345" }'], []],
  [['{ text: a, sender: u }', '{ text: a }'], []],
  [['{ text: a }', '{ text: a, sender: u }'], [[1, 0]]],
  [['{ fields.a: x }', '{ fields.b: x }', '{ fields.a: x }'], [[2, 0]]],
  [['{ text: { prefix: ab } }', '{ text: { matches: "^abc" } }'], []],
])('of routes that want %j, those never decide that are told', async (conditions, by) => {
  expect(await warningsOf(routes(...conditions))).toEqual(by.map(([index, shadow]) => shadowed(index, shadow)));
});

test('a route that is told to be shadowed never decides, whatever comes', async () => {
  const value = fc.constantFrom('a', 'ab', 'abc', 'b');
  const condition = fc.oneof(
    value.map((text) => JSON.stringify(text)),
    fc.uniqueArray(value, { minLength: 1 }).map((values) => JSON.stringify(values)),
    value.map((text) => `{ prefix: ${text} }`),
    value.map((text) => `{ matches: ${text} }`),
  );
  const when = fc
    .record({ text: condition, 'fields.a': condition }, { requiredKeys: [] })
    .map((record) => `{ ${Object.entries(record).map(([key, one]) => `${key}: ${one}`)} }`);
  await fc.assert(
    fc.asyncProperty(fc.array(when, { minLength: 2, maxLength: 5 }), async (conditions) => {
      const source = routes(...conditions);
      const told = (await warningsOf(source)).map((line) => /^\S+ shadowed: (routes\[\d+\])/.exec(line)?.[1]);
      const { place } = parseRouting(source, 'routing.yaml', {});
      for (const text of ['a', 'ab', 'abc', 'b', 'bab']) {
        for (const a of ['a', 'ab', 'abc', 'b']) {
          const message: Message = { sender: 'u', recipient: 'r', text, fields: { a }, attachments: [] };
          expect(told).not.toContain(place('chat', message).route);
        }
      }
    }),
    { numRuns: 100 },
  );
});

const CHANNELS = `
channels:
  chat: { verify: none }
  idle: { verify: none }
  wa: { provider: whatsapp-cloud, verify: none }
  bot: { provider: telegram, verify: none }
  in: { verify: none, default_country: IN }
`;

test('each warning names its place, and what may come of it', async () => {
  const file = `accounts:
  main: { base_url: "https://h.example", client_id: c, token: t }
  other: { base_url: "https://h.example", client_id: d, token: t }
  spare: { base_url: "https://h.example", client_id: e, token: t }${CHANNELS}routes:
  - { channel: chat, account: main, business_id: 1, auth_id: "x{{ sender | alnum }}" }
  - { channel: wa, account: main, business_id: 2, auth_id: "x{{ sender | digits }}" }
  - { channel: in, account: main, business_id: 2, auth_id: "x{{ sender | digits }}" }
  - { channel: bot, account: other, business_id: 2, auth_id: "x{{ sender | digits }}" }
senders:
  "+919820012345": C1
  "u7": C1
  "7045123456": C2
`;
  const advice =
    'can make one id of two people; for anything but phone numbers write {{ sender | sha256 | slice: 0, 24 }}';
  expect(await warningsOf(file)).toEqual([
    '4:3 unused: accounts.spare: no route leads to it',
    '7:3 no_route: channels.idle: has no route: all that comes to it is a dead letter, unroutable',
    '8:43 unverified: channels.wa.verify: is none, though whatsapp-cloud can be checked: anybody can send in its name',
    '9:38 unverified: channels.bot.verify: is none, though telegram can be checked: anybody can send in its name',
    `12:62 merging_auth_id: routes[0].auth_id: alnum ${advice}`,
    '15:50 shared_business_id: routes[3].business_id: 2 is used by account main too; Haptik gives each business to one',
    `15:62 merging_auth_id: routes[3].auth_id: digits ${advice}`,
    '18:3 same_auth_id: senders.u7: has the auth_id of "+919820012345": to Haptik they are one person',
    '19:3 two_senders: senders.7045123456: is +917045123456 to channel in, and an id to channel bot: two people; write the + if it is a number',
  ]);
});

test('tells of ids that are nobody’s, everybody’s or none, and of who is let in unseen', async () => {
  const file = `accounts:
  main: { base_url: "https://h.example", client_id: c, token: t }
channels:
  chat: { verify: none }
  site: { provider: form, verify: none }
  sms: { provider: twilio, verify: none }
routes:
  - { channel: chat, when: { text: a }, business_id: 1 }
  - { channel: chat, when: { text: b }, business_id: 1, auth_id: "everybody" }
  - { channel: chat, business_id: 1, auth_id: "{{ text | sha256 }}" }
  - { channel: site, when: { text: a }, business_id: 1, auth_id: "{{ sender | downcase }}" }
  - { channel: site, business_id: 1, auth_id: "{{ sender | downcase | sha256 }}" }
  - { channel: sms, business_id: 1, auth_id: "{{ sender | digits }}" }
`;
  const nobody = 'says nothing of who wrote: to Haptik all of them are one person, or each message is a new one';
  expect(await warningsOf(file)).toEqual([
    '6:36 unverified: channels.sms.verify: is none, though twilio can be checked: anybody can send in its name',
    '8:5 no_auth_id: routes[0]: has no auth_id, and there are no senders: all its messages are dead letters',
    `9:66 same_auth_id: routes[1].auth_id: ${nobody}`,
    `10:47 same_auth_id: routes[2].auth_id: ${nobody}`,
    '11:66 bad_auth_id: routes[3].auth_id: an e-mail address is no auth_id, which is letters and digits; write {{ sender | downcase | sha256 | slice: 0, 24 }}',
  ]);
  expect(await warningsOf(`${file}senders: { u1: C1 }\n`)).not.toContainEqual(expect.stringContaining('no_auth_id'));
});

test('a file that means what it says has none', async () => {
  expect(await warningsOf(routes('{ text: a }', '{ text: b }', '{}'))).toEqual([]);
});

test('a variable as shells write it is taken as it stands, and told of without repeating it', async () => {
  const source = `
accounts: { main: { base_url: "https://h.example", client_id: c, token: $HAPTIK_TOKEN } }
channels:
  chat: { verify: { github: { secret: [$OLD, "costs $5", $new] } } }
routes: [{ channel: chat, business_id: 1, auth_id: "u{{ sender | sha256 }}" }]
`;
  const told = `is taken as it stands; if it is to be the value of a variable, write \${NAME}`;
  expect(await warningsOf(source)).toEqual([
    `2:73 bare_reference: accounts.main.token: ${told}`,
    `4:40 bare_reference: channels.chat.verify.github.secret[0]: ${told}`,
  ]);
});
