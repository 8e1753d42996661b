import { expect, test } from '@jest/globals';
import { parseRouting } from '../../src/routing/load.ts';
import { RoutingRefused } from '../../src/routing/problem.ts';
import { providers } from '../../src/webhook/providers/registry.ts';

const ENV = { SECRET: 'hunter2', OTHER: 'hunter3', COUNTRY: 'IN' };

interface Parts {
  readonly account?: string;
  readonly channel?: string;
  readonly route?: string;
  readonly more?: string;
}

/** `▸` stands before the place of each reference that is not to be read. */
function routing({ account = '', channel = 'verify: none', route = '', more = '' }: Parts): string {
  return `accounts:
  main: { base_url: "https://haptik.example", client_id: bridge, token: t${account} }
channels:
  chat: { ${channel} }
routes:
  - { channel: chat, business_id: 1, auth_id: "{{ sender }}"${route} }
${more}`;
}

function told(source: string, inForce = routing({})): readonly string[] {
  try {
    parseRouting(source, 'draft', ENV, providers, inForce);
  } catch (error) {
    if (!(error instanceof RoutingRefused)) throw error;
    return error.problems.map(
      ({ line, column, code, message }) => `${line}:${column} ${code} ${message.split(' ')[0]}`,
    );
  }
  return [];
}

test.each<[what: string, parts: Parts]>([
  [
    'a token',
    {
      account: `, max_concurrency: 2 }\n  other: { base_url: "https://h.example", client_id: \${OTHER}, token: \${SECRET}`,
      route: ', account: main',
    },
  ],
  ['the secret of a channel', { channel: `verify: { secret: [\${SECRET}, \${OTHER}] }, provider: twilio` }],
  ['a scheme', { channel: `verify: { hmac: { secret: \${SECRET}, header: "x-\${OTHER}" } }` }],
  [
    'two channels with one check',
    { channel: `verify: &check { github: { secret: \${SECRET} } } }\n  two: { verify: *check` },
  ],
  [
    'two channels in one',
    {
      channel: `verify: none }\n  one: &one { verify: { github: { secret: \${SECRET} } } }\n  two: *one\n  three: { verify: none`,
    },
  ],
  [
    'a name',
    { channel: `verify: { github: { secret: &a "\${SECRET}" } } }\n  two: { verify: { github: { secret: *a } }` },
  ],
])('a draft may hold a reference in %s', (_what, parts) => {
  expect(told(routing(parts))).toEqual([]);
});

test.each<[what: string, parts: Parts]>([
  ['a template', { route: `, message_body: ▸"{{ text }}\${SECRET}"` }],
  ['a condition', { route: `, when: { text: { matches: ▸"[\${SECRET}]" } }` }],
  ['a list of values', { route: `, when: { text: [a, ▸\${SECRET}] }` }],
  ['a profile', { route: `, user: { custom_data: { a: ▸\${SECRET} } }` }],
  ['what an account takes for an id', { account: `, auth_id_pattern: ▸"[\${SECRET}]+"` }],
  ['the length of a text', { account: `, max_length: ▸\${SECRET}` }],
  ['a channel, outside of its check', { channel: `verify: none, default_country: ▸\${SECRET}` }],
  ['a path', { channel: `verify: none, fields: { sender: ▸\${SECRET}, text: text }` }],
  ['senders', { more: `senders: { x: ▸\${SECRET} }` }],
  ['the name of a senders file', { more: `senders_file: ▸"/run/\${SECRET}"` }],
  ['a section that is none', { more: `verify: ▸\${SECRET}` }],
  [
    'a route that is an alias to a check',
    { channel: `verify: { github: { secret: &a "\${SECRET}" } }`, route: `, message_body: ▸*a` },
  ],
  [
    'a sender that is an alias to an alias',
    { channel: `verify: { github: { secret: &a "\${SECRET}" } }`, more: `senders: &b { x: ▸*a }\nx: ▸*b` },
  ],
  [
    'an alias to a map that holds one',
    { channel: `verify: &a { github: { secret: "\${SECRET}" } }`, route: `, user: { custom_data: ▸*a }` },
  ],
  [
    'a merge key',
    { channel: `verify: &a { github: { secret: "\${SECRET}" } }`, route: `, user: { custom_data: { <<: ▸*a } }` },
  ],
  ['a part of an account that is named as a check', { more: `channels2: { chat: { verify: ▸\${SECRET} } }` }],
])('a draft may not hold a reference in %s', (_what, parts) => {
  const marked = routing(parts);
  const places = marked
    .split('\n')
    .flatMap((text, line) =>
      [...text.matchAll(/▸/g)].map(
        ({ index }, before) => `${line + 1}:${index + 1 - before} closed_reference \${SECRET}`,
      ),
    );
  const source = marked.replaceAll('▸', '');
  expect(places).not.toEqual([]);
  expect(told(source)).toEqual(places);
  expect(told(`%YAML 1.1\n---\n${source}`)).toHaveLength(places.length);
});

test('what the table in force shows itself, also by an alias, a draft may hold anywhere', () => {
  const inForce = routing({
    channel: `verify: { github: { secret: &a "\${SECRET}" } }, default_country: \${COUNTRY}`,
    route: `, message_body: *a`,
  });
  const draft = (name: string) => routing({ route: `, message_body: "\${${name}}"` });
  expect([told(draft('SECRET'), inForce), told(draft('COUNTRY'), inForce)]).toEqual([[], []]);
  expect(told(draft('OTHER'), inForce)).toEqual([`6:77 closed_reference \${OTHER}`]);
  const hidden = routing({ account: `, user_url: "https://\${OTHER}.example"` });
  expect(told(draft('OTHER'), hidden)).toHaveLength(1);
});

test('a name of a map is no reference, in a draft as elsewhere', () => {
  expect(told(routing({ route: `, user: { custom_data: { \${SECRET}: a } }` }))).toEqual([]);
});

test('whether it could be read is not told either', () => {
  const source = routing({ route: `, message_body: "\${UNSET}\${file:/no/such}\${UNSET}"` });
  expect(told(source)).toEqual([`6:77 closed_reference \${UNSET}`, `6:77 closed_reference \${file:/no/such}`]);
});

test('a secret that is guessed is repeated like any other word', () => {
  const source = routing({ channel: `verify: { github: { secret: \${SECRET} } }`, route: ', account: hunter2' });
  expect(() => parseRouting(source, 'draft', ENV, providers, source)).toThrow(/there is no account "hunter2"/);
});
