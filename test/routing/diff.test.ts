import { isDeepStrictEqual } from 'node:util';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { z } from 'zod';
import { diffRouting } from '../../src/routing/diff/diff.ts';
import { senderChanges } from '../../src/routing/diff/senders.ts';
import { readDocument } from '../../src/routing/document/document.ts';
import { routingFile } from '../../src/routing/schema/schema.ts';
import { normaliseSender } from '../../src/sender.ts';
import { providers } from '../../src/webhook/providers/registry.ts';
import { parseRouting } from '../support/routing.ts';

const FILE = `
accounts:
  main: { base_url: "https://a.example", client_id: bridge, token: "\${TOKEN}" }
channels:
  crm:
    verify: { hmac: { secret: "\${CRM_SECRET}", header: x-signature } }
    fields: { sender: from.phone, text: body.text }
  site: { provider: form, verify: none, allowed_origins: ["https://www.example.com"] }
routes:
  - { channel: crm, when: { text: { prefix: billing } }, business_id: 351, auth_id: "crm{{ sender | digits }}" }
  - { channel: crm, when: { text: { matches: "(?i)^order" } }, business_id: 352, auth_id: "crm{{ sender | digits }}" }
  - { channel: crm, business_id: 343, auth_id: "crm{{ sender | digits }}" }
  - { channel: site, business_id: 412, auth_id: "web{{ sender | sha256 }}" }
senders:
  "+919820012345": CUST1
  "+919820012346": CUST2
`;

const ENV = { TOKEN: 'token', NEW_TOKEN: 'new token', CRM_SECRET: 'c', NEW: 'n', KEY: 'k' };

const diffOf = (before: string, after: string) => diffRouting({ source: before }, { source: after });
const messages = (before: string, after: string) => diffOf(before, after).map(({ message }) => message);

/** The file with each of these texts, which must stand in it, put in place of the one before it. */
function edited(...edits: readonly (readonly [from: string, to: string])[]): string {
  return edits.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`the file has no ${from}`);
    return text.replace(from, () => to);
  }, FILE);
}

const BILLING = FILE.split('\n').find((line) => line.includes('billing')) ?? '';
const ELSE = FILE.split('\n').find((line) => line.includes('343')) ?? '';
const PAY = BILLING.replace('prefix: billing', 'matches: "^pay\\\\b"').replace('351', '360');
const SPARE = '\n  spare: { base_url: "https://b.example", client_id: c, token: t }\nchannels:';
const HMAC = `{ hmac: { secret: "\${CRM_SECRET}", header: x-signature } }`;
const SECRET = 'Vb5cr3tVb5';

test.each<[edit: string, after: string, said: readonly string[]]>([
  ['nothing', FILE, []],

  // Accounts
  ['a URL', edited(['https://a.ex', 'https://b.ex']), ['account main: base_url https://a.example → https://b.example']],
  [
    'a default',
    edited(['client_id', 'register_users: false, client_id']),
    ['account main: register_users true → false'],
  ],
  ['a limit', edited(['client_id', 'max_length: 4000, client_id']), ['account main: max_length (not set) → 4000']],
  ['another reference', edited(['{TOKEN}', '{NEW_TOKEN}']), [`account main: token \${TOKEN} → \${NEW_TOKEN}`]],
  ['a token written out', edited([`\${TOKEN}`, SECRET]), [`account main: token \${TOKEN} → (not shown)`]],
  [
    'one more account, so that routes have to say which',
    edited(['\nchannels:', SPARE]).replaceAll('{ channel:', '{ account: main, channel:'),
    ['account spare: added, https://b.example'],
  ],
  [
    'an account by another name',
    edited(['main:', 'prod:']),
    [
      'account main: removed; what waits for it waits until it is back, or is moved by redrive --state waiting --account main --reroute',
      'account prod: added, https://a.example',
      'routes[0] (crm): account main → prod',
      'routes[1] (crm): account main → prod',
      'routes[2] (crm): account main → prod',
      'routes[3] (site): account main → prod',
    ],
  ],

  // Channels
  ['a field', edited(['from.phone', 'contact.phone']), ['channel crm: fields.sender from.phone → contact.phone']],
  ['a field more', edited(['text: body', 'id: event, text: body']), ['channel crm: fields.id (not set) → event']],
  [
    'fields where there were none',
    edited(['form, verify', 'form, fields: { sender: "your mail" }, verify']),
    ['channel site: fields (not set) → { sender: "your mail" }'],
  ],
  [
    'a list',
    edited(['"https://www.example.com"', 'https://www.example.com, https://example.com']),
    ['channel site: allowed_origins https://www.example.com → https://www.example.com, https://example.com'],
  ],
  [
    'another provider',
    edited(['    verify: { hmac', '    provider: telegram\n    verify: { hmac']),
    ['channel crm: provider generic → telegram'],
  ],
  ['no check', edited([HMAC, 'none']), ['channel crm: verify hmac → none; nobody is checked any more']],
  ['a check', edited(['verify: none', 'verify: { github: { secret: s } }']), ['channel site: verify none → github']],
  [
    'a check that only reports',
    edited(['{ hmac', '{ mode: report, hmac']),
    ['channel crm: verify hmac → hmac (mode report); what fails the check is let in all the same'],
  ],
  [
    'another check',
    edited([HMAC, `{ header: { name: x-key, secret: "\${KEY}" } }`]),
    ['channel crm: verify hmac → header'],
  ],
  [
    'how it is checked',
    edited(['header: x-signature', 'header: x-mac, algorithm: sha512']),
    ['channel crm: verify.hmac.algorithm sha256 → sha512', 'channel crm: verify.hmac.header x-signature → x-mac'],
  ],
  [
    'a secret that is being rotated',
    edited([`"\${CRM_SECRET}"`, `["\${NEW}", "\${CRM_SECRET}", ${SECRET}]`]),
    [`channel crm: verify.hmac.secret \${CRM_SECRET} → \${NEW}, \${CRM_SECRET}, (not shown)`],
  ],
  [
    'channels in and out',
    edited(
      [
        '  crm:',
        '  app: { verify: { github: { secret: s }, mode: report } }\n  open: { provider: form, verify: none }\n  crm:',
      ],
      [FILE.slice(FILE.indexOf('  site'), FILE.indexOf('routes:')), ''],
      [FILE.slice(FILE.indexOf('  - { channel: site'), FILE.indexOf('senders:')), ''],
    ),
    [
      'channel site: removed; what comes to it is answered 503',
      'channel app: added, generic, verified by github (mode report)',
      'channel open: added, form, not verified',
      'was routes[3] (site): removed, always → business_id 412',
    ],
  ],

  // Routes
  ['a business', edited(['business_id: 412', 'business_id: 413']), ['routes[3] (site): business_id 412 → 413']],
  [
    'a condition',
    edited(['prefix: billing', 'matches: "(?i)^bill"']),
    ['routes[0] (crm): when.text prefix "billing" → matches "(?i)^bill"'],
  ],
  [
    'conditions',
    edited(['{ text: { prefix: billing } }', '{ text: bill, fields.plan: [pro, 3] }']),
    [
      'routes[0] (crm): when.text prefix "billing" → "bill"',
      'routes[0] (crm): when.fields.plan (not set) → "pro", "3"',
    ],
  ],
  [
    'what becomes of a message in trouble, and of an unknown user',
    edited(['business_id: 412', 'user: { name: "{{ name }}" }, on_dead: stop, business_id: 412']),
    ['routes[3] (site): on_dead continue → stop', 'routes[3] (site): user (not set) → { name: "{{ name }}" }'],
  ],
  [
    'a template',
    edited(['business_id: 412', 'message_body: "{{ fields.name }}:\\n{{ text }}", business_id: 412']),
    ['routes[3] (site): message_body (not set) → "{{ fields.name }}:\\n{{ text }}"'],
  ],
  [
    'routes in and out',
    edited([BILLING, PAY]),
    [
      'routes[0] (crm): added, when text matches "^pay\\\\b" → business_id 360',
      'was routes[0] (crm): removed, when text prefix "billing" → business_id 351',
    ],
  ],
  [
    'a route in front',
    edited([BILLING, `${PAY}\n${BILLING}`]),
    ['routes[0] (crm): added, when text matches "^pay\\\\b" → business_id 360'],
  ],
  [
    'the last one first',
    edited([`\n${ELSE}`, ''], [BILLING, `${ELSE}\n${BILLING}`]),
    ['routes[0] (crm): moved up, before routes[1]; was routes[2]'],
  ],
  [
    'the first one last, and to another business',
    edited([`${BILLING}\n`, ''], [ELSE, `${ELSE}\n${BILLING.replace('351', '360')}`]),
    ['routes[2] (crm): business_id 351 → 360', 'routes[2] (crm): moved down, after routes[1]; was routes[0]'],
  ],
  ['a route among those of another channel', edited([`\n${ELSE}`, ''], ['\nsenders:', `\n${ELSE}\nsenders:`]), []],

  // Senders, and what else stands in the file
  [
    'senders',
    edited(['CUST1', 'CUST9'], ['  "+919820012346": CUST2', '  u7: CUST2']),
    ['sender +919820012346: removed, was CUST2', 'sender +919820012345: CUST1 → CUST9', 'sender u7: added, CUST2'],
  ],
  ['a sender that YAML takes for a number', edited(['"+919820012345"', '+919820012345']), []],
  ['a sender in another spelling', edited(['+919820012345', '+91 98200-12345']), []],
  ['a file of senders', `${FILE}senders_file: b.csv\n`, ['senders_file: (not set) → b.csv']],
])('of %s it says what changes', (_edit, after, said) => {
  expect(messages(FILE, after)).toEqual(said);
  expect(() => parseRouting(after, 'routing.yaml', ENV)).not.toThrow();
});

test('a route is known again by what it wants, whichever way that is written, and else by what is most like it', () => {
  const file = (...routes: readonly object[]) =>
    JSON.stringify({ routes: routes.map((route) => ({ channel: 'chat', ...route })) });
  const vip = { when: { text: 'a', 'fields.plan': 'vip' }, business_id: 1, auth_id: 'v' };
  const free = { when: { text: 'a', 'fields.plan': 'free' }, business_id: 1, auth_id: 'f' };
  expect(
    messages(file(vip, free), file({ ...vip, when: { 'fields.plan': 'vip', text: 'a' }, business_id: 2 }, free)),
  ).toEqual(['routes[0] (chat): business_id 1 → 2']);
  expect(messages(file(vip, free), file({ ...free, when: { text: 'b', 'fields.plan': 'free' } }))).toEqual([
    'routes[0] (chat): when.text "a" → "b"',
    'was routes[0] (chat): removed, when fields.plan "vip" and text "a" → business_id 1',
  ]);
});

test('what stands beside the check is told also where that is another', () => {
  const file = (verify: string) => `channels: { meta: { provider: messenger, verify: { ${verify} } } }`;
  const hmac = `hmac: { secret: "\${APP}", header: h }, verify_token: "\${B}"`;
  expect(messages(file(`secret: "\${APP}", verify_token: "\${A}"`), file(hmac))).toEqual([
    'channel meta: verify secret → hmac',
    `channel meta: verify.verify_token \${A} → \${B}`,
  ]);
});

const SCHEMA = routingFile(providers);

/** What a file means, by the schema: what diff is not made from. */
function meaning(source: string): unknown {
  const { accounts, channels, routes, senders } = SCHEMA.parse(readDocument(source, '', ENV).data);
  const only = Object.keys(accounts).length === 1 ? Object.keys(accounts)[0] : undefined;
  const meant = {
    accounts,
    channels,
    routes: Map.groupBy(
      routes.map(({ account = only, when, ...route }) => ({ account, when: new Set(when), ...route })),
      ({ channel }) => channel,
    ),
    senders: new Map(Object.entries(senders).map(([sender, id]) => [normaliseSender(sender), id])),
  };
  // Functions are made anew by each reading, and say nothing.
  const plainly = (_key: string, value: unknown): unknown => {
    if (value instanceof Map) return Object.fromEntries(value);
    return value instanceof Set ? [...value].map((one) => JSON.stringify(one)).sort() : value;
  };
  return JSON.parse(JSON.stringify(meant, plainly));
}

type Value = string | number | boolean | readonly Value[] | { readonly [key: string]: Value };
type Spelling = Value | undefined;
/** A part of two files, mostly with the same meaning in both. */
type Pair = readonly [before: Spelling, after: Spelling];

/** Each meaning with the ways in which it can be written; undefined is to leave it out. */
function among(...meanings: readonly (readonly Spelling[])[]): fc.Arbitrary<Pair> {
  const one = fc.constantFrom(...meanings);
  return fc
    .tuple(one, one, fc.nat(30))
    .chain(([before, other, chance]) =>
      fc.tuple(fc.constantFrom(...before), fc.constantFrom(...(chance === 0 ? other : before))),
    );
}

function mapOf(keys: Readonly<Record<string, fc.Arbitrary<Pair>>>): fc.Arbitrary<readonly [Value, Value]> {
  const order = fc.shuffledSubarray(Object.keys(keys), { minLength: Object.keys(keys).length });
  return fc.tuple(fc.record(keys), order, order).map(([record, ...orders]) => {
    const [before, after] = orders.map((names, side) =>
      Object.fromEntries(
        names.flatMap((name): [string, Value][] => {
          const value = record[name]?.[side];
          return value === undefined ? [] : [[name, value]];
        }),
      ),
    );
    return [before ?? {}, after ?? {}];
  });
}

const route = (id: number) =>
  mapOf({
    channel: among(['chat']),
    account: among([undefined, 'main']),
    business_id: among([id, String(id)], [id + 10]),
    auth_id: among(['a'], [undefined], ['b']),
    when: among([undefined, {}], [{ text: ['a'] }, { text: 'a' }], [{ text: { prefix: 'a' } }], [{ 'fields.x': 7 }]),
    on_unknown: among([undefined, 'retry'], ['stop']),
    user: among([undefined], [{}], [{ name: 'x' }], [{ custom_data: { constructor: 'x' } }]),
  });

const files = mapOf({
  accounts: mapOf({
    main: mapOf({
      base_url: among(['https://a.example'], ['https://b.example']),
      client_id: among(['c'], ['d']),
      token: among([7, '7'], [`\${TOKEN}`]),
      auth_id_pattern: among([undefined, '[A-Za-z0-9]+'], ['.+']),
    }),
  }),
  channels: mapOf({
    chat: mapOf({
      provider: among([undefined, 'generic'], ['telegram']),
      verify: among([{ github: { secret: 's' } }, { mode: 'enforce', github: { secret: ['s'] } }], ['none']),
      default_country: among([undefined], ['IN']),
    }),
  }),
  routes: fc
    .tuple(route(1), route(2), fc.nat(20))
    .map(([[a, b], [c, d], chance]): Pair => [[a, c], chance === 0 ? [d, b] : [b, d]]),
  senders: among([undefined, {}], [{ '+919820012345': 'A' }, { '+91 98200 12345': 'A' }], [{ '+919820012345': 'B' }]),
});

/** In block style with comments, in flow style, or as JSON. */
const WRITTEN: readonly ((data: Value) => string)[] = [
  (data) => stringify(data, { defaultStringType: 'QUOTE_SINGLE' }).replaceAll('\n', ' # why\n# what\n'),
  (data) => stringify(data, { collectionStyle: 'flow' }),
  (data) => JSON.stringify(data),
];

test('nothing is said of two files that mean the same, and something of all other', () => {
  const style = fc.constantFrom(...WRITTEN);
  const seen = { same: 0, other: 0 };
  fc.assert(
    fc.property(files, style, style, (data, write, rewrite) => {
      const [before, after] = [write(data[0]), rewrite(data[1])];
      const isSame = isDeepStrictEqual(meaning(before), meaning(after));
      seen[isSame ? 'same' : 'other'] += 1;
      expect(messages(before, rewrite(data[0]))).toEqual([]);
      expect(messages(before, after).length === 0).toBe(isSame);
    }),
    { numRuns: 500 },
  );
  expect(Math.min(seen.same, seen.other)).toBeGreaterThan(50);
});

interface Row {
  readonly channel: string;
  readonly when: { readonly text: string };
  readonly business_id: number;
}

/** A file of these routes, each unlike any other. */
const ofRoutes = (routes: readonly Row[]) =>
  JSON.stringify({
    accounts: { main: { base_url: 'https://a.example', client_id: 'c', token: 't' } },
    channels: { a: { verify: 'none' }, b: { verify: 'none' } },
    routes: routes.map((row) => ({ ...row, auth_id: 'x' })),
  });

const rows = fc
  .array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 8 })
  .map((channels) => channels.map((channel, id): Row => ({ channel, when: { text: `t${id}` }, business_id: id })));

test('of an edit of each of some routes each is told, and nothing else', () => {
  const acts = fc.array(fc.constantFrom('keep', 'business', 'condition', 'remove', 'insert'), { minLength: 8 });
  fc.assert(
    fc.property(rows, acts, (before, chosen) => {
      const after: Row[] = [];
      const told: string[] = [];
      const removed: string[] = [];
      for (const [index, row] of before.entries()) {
        const { channel, when, business_id } = row;
        const name = `routes[${after.length}] (${channel}):`;
        const at = 100 + index;
        switch (chosen[index]) {
          case 'business':
            told.push(`${name} business_id ${business_id} → ${at}`);
            after.push({ ...row, business_id: at });
            break;
          case 'condition':
            told.push(`${name} when.text "${when.text}" → "n${at}"`);
            after.push({ ...row, when: { text: `n${at}` } });
            break;
          case 'remove':
            removed.push(
              `was routes[${index}] (${channel}): removed, when text "${when.text}" → business_id ${business_id}`,
            );
            break;
          case 'insert':
            told.push(`${name} added, when text "n${at}" → business_id ${at}`);
            after.push({ channel, when: { text: `n${at}` }, business_id: at }, row);
            break;
          default:
            after.push(row);
        }
      }
      expect(messages(ofRoutes(before), ofRoutes(after))).toEqual([...told, ...removed]);
    }),
  );
});

test('one route that was moved is told as one, and none where only those of other channels were passed', () => {
  fc.assert(
    fc.property(rows, fc.nat(), fc.nat(), (before, from, to) => {
      const after = [...before];
      after.splice(to % before.length, 0, ...after.splice(from % before.length, 1));
      const orders = [before, after].map((all) => Map.groupBy(all, ({ channel }) => channel));
      const told = diffOf(ofRoutes(before), ofRoutes(after)).map(({ change }) => change);
      expect(told).toEqual(isDeepStrictEqual(orders[0], orders[1]) ? [] : ['moved']);
    }),
  );
});

test('of routes in another order the fewest are told that explain it', () => {
  const channel = fc.nat(6).map((last) => Array.from({ length: last + 1 }, (_, id) => id));
  const orders = channel.chain((ids) => fc.shuffledSubarray(ids, { minLength: ids.length }));
  const ofOrder = (ids: readonly number[]) =>
    ofRoutes(ids.map((id) => ({ channel: 'a', when: { text: `t${id}` }, business_id: id })));
  const rises = (ids: readonly number[]) => ids.every((id, index) => index === 0 || id > (ids[index - 1] ?? 0));
  fc.assert(
    fc.property(orders, (ids) => {
      const subsets = Array.from({ length: 2 ** ids.length }, (_, bits) => ids.filter((_id, at) => (bits >> at) & 1));
      const longest = Math.max(...subsets.filter(rises).map(({ length }) => length));
      const moved = diffOf(ofOrder(ids.toSorted()), ofOrder(ids)).map(({ name }) => name);
      expect(moved).toHaveLength(ids.length - longest);
      expect(rises(ids.filter((_id, index) => !moved.includes(`routes[${index}]`)))).toBe(true);
    }),
  );
});

test('no secret that is written out is told, wherever it stands', () => {
  const secret = fc.string({ unit: 'grapheme-ascii', minLength: 8 }).map((text) => `§${text.replaceAll('$', '')}`);
  const secrets = fc.uniqueArray(secret, { minLength: 12, maxLength: 12 });
  fc.assert(
    fc.property(secrets, secrets, (before, after) => {
      const source = ([token, a, b, c, d, e, f, g, h]: readonly string[], names: string) => {
        const text = (value: string | undefined) => JSON.stringify(value);
        return `
accounts:
  ${names}: { base_url: "https://a.example", token: &token ${text(token)}, client_id: *token }
channels:
  c1: { verify: { secret: [${text(a)}, ${text(b)}], verify_token: ${text(`${a}${c}`)} }, redirect: ${text(`https://x/?${a}${c}`)} }
  c2: { verify: { basic: { username: u, password: ${text(d)} } } }
  c3: { verify: { hmac: { secret: &hmac ${text(e)}, header: h } } }
  c4: { verify: ${names === 'x' ? `{ query: { name: q, secret: ${text(f)} } }` : `{ stripe: { secret: ${text(g)} } }`} }
  c5: { verify: { later: { key: ${text(h)} } } }
routes: [{ channel: c1, when: { text: *hmac }, business_id: 1, auth_id: *token, message_body: *hmac }]
senders: { u1: *token }
`;
      };
      for (const names of ['x', 'y']) {
        const told = messages(source(before, 'x'), source(after, names)).join('\n');
        expect(told).toMatch(/c2: verify\.basic\.password changed\n/);
        for (const one of [...before, ...after]) {
          expect(told).not.toContain(one);
          expect(told).not.toContain(JSON.stringify(one).slice(1, -1));
        }
      }
    }),
  );
});

test('what stands in a file cannot steer the terminal that a change is shown on', () => {
  const odd = fc.string({ unit: fc.constantFrom('\x1b', '\x9b', '\u202e', '\u2028', '\n', '→', '"', 'a') });
  fc.assert(
    fc.property(odd, odd, (before, after) => {
      const source = (text: string) =>
        JSON.stringify({
          channels: { chat: { verify: { query: { name: text, secret: 's' } } } },
          routes: [{ channel: 'chat', when: { [`fields.${text}`]: text }, user: { custom_data: { [text]: text } } }],
          senders: { [`u${text}`]: text },
        });
      for (const message of messages(source(before), source(after))) expect(message).not.toMatch(/[\p{C}\u2028]/u);
    }),
  );
});

test('of two long texts that part is told where they begin to differ', () => {
  const source = (body: string) => JSON.stringify({ routes: [{ channel: 'chat', message_body: body }] });
  const [start, end] = ['s'.repeat(500), 'e'.repeat(500)];
  expect(messages(source(`${start} old ${end}`), source(`${start} new ${end}`))).toEqual([
    `routes[0] (chat): message_body …${'s'.repeat(19)} old ${'e'.repeat(56)}… → …${'s'.repeat(19)} new ${'e'.repeat(56)}…`,
  ]);
});

test('of many senders the first are told one by one, and the number of the others', () => {
  const list = (from: number, to: number, id: string) =>
    Array.from({ length: to - from }, (_, index) => [`u${from + index}`, id] as const);
  const before = new Map([...list(0, 1254, 'A'), ...list(2000, 2020, 'A')]);
  const after = new Map([...list(2000, 2020, 'B'), ...list(5000, 5021, 'C')]);
  const told = senderChanges(before, after).map(({ message }) => message);
  expect(told).toHaveLength(21 + 20 + 21);
  expect(told).toEqual(
    expect.arrayContaining([
      'sender u19: removed, was A',
      'senders: and 1,234 more removed',
      'sender u2019: A → B',
      'sender u5019: added, C',
      'senders: and 1 more added',
    ]),
  );
});

interface Schema {
  readonly [key: string]: unknown;
}
const isSchema = (value: unknown): value is Schema => typeof value === 'object' && value !== null;

/** What the schema takes where nothing is written, by place. */
function* defaultsOf(schema: unknown, place = ''): Generator<string> {
  if (!isSchema(schema)) return;
  if ('default' in schema) yield `${place} ${JSON.stringify(schema.default)}`;
  if (isSchema(schema.properties)) {
    for (const [name, property] of Object.entries(schema.properties)) yield* defaultsOf(property, `${place}.${name}`);
  }
  yield* defaultsOf(schema.additionalProperties, `${place}.*`);
  yield* defaultsOf(schema.items, `${place}.*`);
  for (const one of Array.isArray(schema.anyOf) ? schema.anyOf : []) yield* defaultsOf(one, place);
}

test('a default is the same written out or not, whichever the schema has', () => {
  const schema = z.toJSONSchema(SCHEMA, { io: 'input', unrepresentable: 'any' });
  // JSON Schema keeps no default of what may be a number or text.
  const found = [...defaultsOf(schema), '.channels.*.verify.hmac.tolerance_seconds 300'];
  expect(found).toContain('.channels.*.verify.hmac.signed "{body}"');
  for (const one of found) {
    const [place = '', value = ''] = one.split(/ (.*)/s);
    const names = place.slice(1).replaceAll('.*', '.0').split('.');
    const put = (innermost: object) =>
      names.slice(0, -1).reduceRight((inner: object, name) => ({ [name]: inner }), innermost);
    const asList = (file: { readonly routes?: object }) =>
      JSON.stringify(file.routes === undefined ? file : { ...file, routes: Object.values(file.routes) });
    const without = asList(put({}));
    const out = asList(put({ [names.at(-1) ?? '']: JSON.parse(value) }));
    expect({ place, told: messages(without, out) }).toEqual({ place, told: [] });
  }
});

test('an alias that many routes use is told as what it stands for', () => {
  const source = (prefix: string) => {
    const first = `${FILE.slice(0, FILE.indexOf('senders:'))}  - { channel: crm, business_id: 0, auth_id: &id "${prefix}{{ sender }}" }`;
    const others = Array.from({ length: 300 }, (_, index) => {
      return `  - { channel: crm, when: { text: t${index} }, business_id: ${index}, auth_id: *id }`;
    });
    return [first, ...others].join('\n');
  };
  const told = messages(source('a'), source('b'));
  expect(told).toHaveLength(301);
  expect(told.at(-1)).toMatch(/auth_id "a\{\{ sender \}\}" → "b\{\{ sender \}\}"/);
});
