import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse } from 'yaml';
import { Metrics } from '../src/metrics.ts';
import { DEFAULTS } from '../src/settings.ts';
import { providers } from '../src/webhook/providers/registry.ts';
import { ACCOUNTS, CHAT, startTestBridge } from './support/bridge.ts';
import { temporaryFolder } from './support/fixtures.ts';
import { ROOT, runCli } from './support/process.ts';
import { parseRouting } from './support/routing.ts';

const read = (name: string) => readFileSync(join(ROOT, name), 'utf8');
const readme = read('README.md');
const SECRETS = {
  HAPTIK_BASE_URL: 'https://h.example',
  HAPTIK_CLIENT_ID: 'c',
  HAPTIK_TOKEN: 't',
  APP_KEY: 'k',
  CRM_SECRET: 's',
  CHAT_KEY: 'k',
  TWILIO_AUTH_TOKEN: 't',
};

describe('the README', () => {
  test('lists every setting with its default, and no other', () => {
    const section = readme.slice(readme.indexOf('## Settings'), readme.indexOf('Exit codes'));
    const rows = [...section.matchAll(/^\| (`[^|]+) \| ([^|]+) \|/gm)].flatMap(([, names = '', defaults = '']) => {
      const values = [...defaults.matchAll(/`([^`]+)`/g)].map(([, value]) => value);
      return [...names.matchAll(/`([^`]+)`/g)].map(([, name], index) => [name, values[index]]);
    });
    expect(Object.fromEntries(rows)).toEqual({ ...DEFAULTS, ADMIN_TOKEN: undefined, PUBLIC_URL: undefined });
  });

  test('shows a routing file that is complete and right', () => {
    const example = /```yaml\n(.*?)```/s.exec(readme)?.[1] ?? '';
    expect(parseRouting(example, 'README.md', SECRETS).channels.size).toBe(1);
  });

  test('names every command of the program, and no other', async () => {
    const program = runCli(['--help'], { cwd: await temporaryFolder() });
    expect(await program.ended()).toBe(0);
    const offered = [...program.output().matchAll(/^ {2}([\w-]+)(?: [[<]| {2,})/gm)].map(([, name = '']) => name);
    const documented = [...readme.matchAll(/^\| `haptik-bridge ([\w-]+)/gm)].map(([, name = '']) => name);
    expect([...new Set(documented)].sort()).toEqual(offered.filter((name) => name !== 'help').sort());
  });

  test('names npm scripts that there are', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = [
      ...readme.matchAll(/npm (?:run )?(start|test|demo|dev|format|jest|bench|chaos|fuzz|proxied)\b/g),
    ].map(([, name = '']) => name);
    expect(named.length).toBeGreaterThan(5);
    for (const name of named) expect(Object.keys(scripts)).toContain(name);
  });

  test('and what it refers to for operators lists every metric, and no other', async () => {
    const { text } = await new Metrics().render([], 0, 0);
    const told = [...text.matchAll(/^# HELP (haptik_bridge_\w+)/gm)].map(([, name]) => name);
    const listed = [...read('docs/operating.md').matchAll(/^\| `(haptik_bridge_\w+)/gm)].map(([, name]) => name);
    expect(listed.sort()).toEqual(told.sort());
  });

  test('links to files that there are', () => {
    for (const name of ['README.md', ...readdirSync(join(ROOT, 'docs')).map((file) => `docs/${file}`)]) {
      for (const [, target = ''] of read(name).matchAll(/\]\((?!https?:)([^)#]+)\)/g)) {
        expect([name, target, existsSync(join(ROOT, name, '..', target))]).toEqual([name, target, true]);
      }
    }
  });
});

describe('the page about providers', () => {
  const page = read('docs/providers.md');
  const rows = [...page.matchAll(/^\| `([a-z0-9-]+)` \|[^|]*\| ([^|]*) \| ([a-z]+) \|/gm)];

  test('lists all that there are, and no other', () => {
    const others = Object.keys(providers).filter((name) => name !== 'generic' && name !== 'form');
    expect(rows.map(([, name]) => name).sort()).toEqual(others.sort());
  });

  test.each(rows.map(([, name = '', verify = '', sender = '']) => [name, verify, sender]))(
    'says of %s what it takes to verify, and what its senders are',
    (name, verify, sender) => {
      const { credentials = '', sender: kind, hasVerifyToken } = providers[name] ?? {};
      const wanted = credentials === 'user:password' ? '`secret`: `user:password`' : `\`${credentials}\``;
      expect([sender, verify.startsWith(wanted), verify.includes('verify_token')]).toEqual([
        kind,
        true,
        hasVerifyToken,
      ]);
    },
  );

  test('shows a channel that is accepted', () => {
    const example = /```yaml\n(.*?)```/s.exec(page)?.[1] ?? '';
    const accounts = 'accounts: { main: { base_url: "https://h.example", client_id: c, token: t } }\n';
    expect(parseRouting(accounts + example, 'providers.md', SECRETS).channels.get('support-sms')?.provider).toBe(
      'twilio',
    );
  });
});

describe('the example routing file', () => {
  test('is accepted', () => {
    const table = parseRouting(read('routing.example.yaml'), 'routing.example.yaml', SECRETS);
    expect([...table.channels.keys()]).toEqual(['contact-form', 'app', 'crm', 'support-sms']);
  });

  test('and its schema are what the program says', async () => {
    const program = runCli(['schema'], { cwd: await temporaryFolder() });
    expect(await program.ended()).toBe(0);
    expect(read('routing.schema.json')).toBe(program.output());
    const validate = new Ajv2020({ strict: false }).compile(JSON.parse(program.output()));
    const example: unknown = parse(read('routing.example.yaml').replace(/\$\{(\w+)\}/g, 'x'));
    expect(validate(example) || validate.errors).toBe(true);
    expect(validate({ accounts: {}, channels: { a: { verify: 'none', tyop: 1 } }, routes: [] })).toBe(false);
  });

  test('and editors have something to say of every key of it', () => {
    const keys = [...keysOf(JSON.parse(read('routing.schema.json')), 'file')];
    expect(keys.length).toBeGreaterThan(70);
    expect(keys.filter(({ description }) => !/^\S.{5,110}[.")]$/.test(String(description)))).toEqual([]);
  });

  test('and editors mark what the program refuses, and nothing that it takes', () => {
    const validate = new Ajv2020({ strict: false }).compile(JSON.parse(read('routing.schema.json')));
    const accounts = { main: { base_url: `\${URL}`, client_id: 'c', token: 't', max_per_second: 0.5 } };
    const channels = { a: { verify: 'none' } };
    const route = {
      channel: 'a',
      business_id: 1,
      when: { 'fields.topic': { prefix: 'x' }, text: ['a', 'b'], sender: 7 },
    };
    const file = { accounts, channels, routes: [route] };
    const fits = (change: object) => validate({ ...file, ...change });
    const fitsRoute = (change: object) => fits({ routes: [{ ...route, ...change }] });
    expect([fits({}), fitsRoute({ business_id: `\${ID}` })]).toEqual([true, true]);
    expect([
      fits({ sendres: {} }),
      fits({ accounts: {} }),
      fits({ channels: { a: { verify: { secrt: 's' } } } }),
      fits({ channels: { a: { provider: 'twillio', verify: 'none' } } }),
      fits({ routes: [{ channel: 'a' }] }),
      fitsRoute({ business_id: 'one' }),
      fitsRoute({ on_unknown: 'again' }),
      fitsRoute({ when: { sendr: 'x' } }),
      fitsRoute({ when: { text: { prefix: 'x', matches: 'y' } } }),
    ]).toEqual(Array.from({ length: 9 }, () => false));
  });
});

interface JsonSchema {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly patternProperties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | false;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
}

/** Every key that a file may have, at any depth, and what its schema says of it. */
function* keysOf(schema: JsonSchema, path: string): Generator<{ path: string; description: string | undefined }> {
  for (const [name, property] of Object.entries({ ...schema.properties, ...schema.patternProperties })) {
    yield { path: `${path}.${name}`, description: property.description };
    yield* keysOf(property, `${path}.${name}`);
  }
  for (const inner of [schema.additionalProperties, schema.items, ...(schema.anyOf ?? [])]) {
    if (inner) yield* keysOf(inner, path);
  }
}

interface Operation {
  readonly responses: Record<
    string,
    { $ref?: string; content?: Record<string, { schema: object }>; headers?: Record<string, { required?: boolean }> }
  >;
}

describe('openapi.yaml', () => {
  const document = parse(read('openapi.yaml')) as {
    paths: Record<string, Record<string, Operation>>;
    components: { responses: Operation['responses'] };
  };
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema(document, 'openapi');

  /** The response as documented; fails where it is not. */
  function documented(path: string, method: string, status: number) {
    const response = document.paths[path]?.[method]?.responses[status];
    if (response === undefined) throw new Error(`${method} ${path} → ${status} is not documented`);
    const name = response.$ref?.split('/').at(-1);
    return name === undefined ? response : document.components.responses[name];
  }

  const routing = `${CHAT}
  - { channel: form, business_id: 1, auth_id: x }
`.replace(
    'routes:',
    '  form: { provider: form, verify: none, rate_limit: 2, allowed_origins: ["https://a.example"], redirect: "https://a.example/ok" }\n  page: { provider: form, verify: none }\n  shut: { verify: { header: { name: x-key, secret: s } } }\nroutes:',
  );
  const json = { 'content-type': 'application/json' };
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  const origin = { origin: 'https://evil.example' };
  const good = '{"sender":"u","text":"t","id":"1"}';

  test.each<[string, string, number, { headers?: object; body?: string; path?: string }]>([
    ['post', '/webhooks/chat', 202, { headers: json, body: good }],
    ['post', '/webhooks/chat', 200, { headers: json, body: '{"messages":[{"sender":"u","text":"t","id":"1"}]}' }],
    ['post', '/webhooks/chat', 202, { headers: json, body: '{"messages":[{"sender":"u","text":"t"}]}' }],
    ['post', '/webhooks/page', 200, { headers: { ...form, accept: 'text/html' }, body: 'email=a&message=b' }],
    ['post', '/webhooks/form', 303, { headers: form, body: 'email=a&message=b' }],
    ['post', '/webhooks/chat', 400, { headers: json, body: '{' }],
    ['post', '/webhooks/shut', 401, { headers: json, body: good }],
    ['post', '/webhooks/form', 403, { headers: { ...form, ...origin }, body: 'email=a&message=b' }],
    ['post', '/webhooks/nope', 404, { headers: json, body: good }],
    ['post', '/webhooks/chat', 413, { headers: json, body: 'x'.repeat(300_000) }],
    ['post', '/webhooks/chat', 415, { headers: { 'content-type': 'text/plain' }, body: 'x' }],
    ['post', '/webhooks/chat', 422, { headers: json, body: '{}' }],
    ['options', '/webhooks/form', 204, { headers: { origin: 'https://a.example' } }],
    ['options', '/webhooks/form', 403, { headers: origin }],
    ['options', '/webhooks/nope', 404, {}],
    ['options', '/webhooks/chat', 405, {}],
    ['get', '/livez', 200, {}],
    ['get', '/readyz', 200, {}],
  ])('%s %s → %i is answered as documented', async (method, path, status, { headers, body }) => {
    const { bridge } = await startTestBridge({ routing });
    const send = () =>
      fetch(bridge.url + path, {
        method,
        redirect: 'manual',
        headers: { ...headers },
        ...(body !== undefined && { body }),
      });
    if (body?.includes('messages') && status === 200) {
      await fetch(`${bridge.url}/webhooks/chat`, { method: 'post', headers: json, body: good });
    }
    await conforms(await send(), path, method, status);
  });

  /** What the operator's tests need: a dead letter, a delivered message, and their ids in place of {dead}, {delivered}. */
  test.each<[string, string, number, object | undefined]>([
    ['get', '/api/messages', 200, undefined],
    ['get', '/api/messages?state=what', 422, undefined],
    ['get', '/api/messages/{dead}', 200, undefined],
    ['get', '/api/messages/nope', 404, undefined],
    ['post', '/api/messages/{dead}/redrive', 200, {}],
    ['post', '/api/messages/{delivered}/redrive', 409, {}],
    ['post', '/api/messages/{dead}/confirm', 200, {}],
    ['post', '/api/messages/{dead}/discard', 200, { reason: 'spam' }],
    ['post', '/api/messages/{dead}/discard', 422, {}],
    ['post', '/api/redrive', 200, { filter: {}, preview: true }],
    ['post', '/api/redrive', 200, { filter: {} }],
    ['post', '/api/redrive', 422, {}],
    ['post', '/api/redrive', 415, undefined],
    ['post', '/api/discard', 200, { filter: { state: 'dead' }, reason: 'spam' }],
    ['get', '/api/accounts', 200, undefined],
    ['post', '/api/accounts/main/pause', 200, {}],
    ['post', '/api/accounts/main/resume', 200, {}],
    ['post', '/api/accounts/nope/resume', 404, {}],
    ['get', '/api/routing', 200, undefined],
    ['post', '/api/routing/reload', 200, {}],
    ['get', '/api/routing/versions', 200, undefined],
    ['post', '/api/routing/rollback', 200, { version: '{version}' }],
    ['post', '/api/routing/rollback', 409, { version: 'none' }],
    ['post', '/api/routing/rollback', 422, {}],
    ['post', '/api/routing/dry-run', 200, { last: 5 }],
    ['post', '/api/routing/dry-run', 200, { source: '{rerouted}' }],
    ['post', '/api/routing/dry-run', 422, { source: '[]' }],
    ['post', '/api/routing/explain', 200, { channel: 'chat', payload: { sender: 'u', text: 't' } }],
    [
      'post',
      '/api/routing/explain',
      200,
      {
        channel: 'form',
        payload: 'email=a&message=b&_gotcha=x',
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      },
    ],
    ['post', '/api/routing/explain', 404, { channel: 'nope' }],
    ['post', '/api/routing/explain', 422, { channel: 'chat', payload: '{' }],
    ['post', '/api/routing/reload', 422, { now: true }],
    ['post', '/api/backup', 422, { file: 'relative.db' }],
    ['post', '/api/backup', 201, { file: '{folder}/copy.db' }],
    ['get', '/metrics', 200, undefined],
  ])('%s %s → %i is answered as documented', async (method, path, status, body) => {
    const { bridge, simulator } = await startTestBridge({ routing });
    const send = async (text: string) => {
      const request = {
        method: 'post',
        headers: { ...json, prefer: 'wait=5' },
        body: JSON.stringify({ sender: 'u', text }),
      };
      const answer = (await (await fetch(`${bridge.url}/webhooks/chat`, request)).json()) as { id: string };
      return answer.id;
    };
    const delivered = await send('one');
    simulator.addFault({ count: 1, status: 400, body: { error_message: 'no' } });
    const filled = (text: string) =>
      text
        .replace('{dead}', dead)
        .replace('{delivered}', delivered)
        .replace('{folder}', folder)
        .replace('{version}', version)
        .replace('"{rerouted}"', JSON.stringify(ACCOUNTS + routing.replace(/business_id: \d+/, 'business_id: 9')));
    const dead = await send('two');
    const folder = await temporaryFolder();
    const { version } = (await (await fetch(`${bridge.adminUrl}/api/routing`)).json()) as { version: string };
    const answer = await fetch(bridge.adminUrl + filled(path), {
      method,
      ...(body !== undefined && { headers: json, body: filled(JSON.stringify(body)) }),
    });
    const template = path
      .replace(/\?.*/, '')
      .replace(/(messages)\/[^/]+/, '$1/{id}')
      .replace(/(accounts)\/[^/]+/, '$1/{name}');
    await conforms(answer, template, method, status);
  });

  test('documents every path of the admin API', () => {
    const documented = Object.keys(document.paths).filter((path) => path.startsWith('/api') || path === '/metrics');
    expect(documented.sort()).toEqual([
      '/api/accounts',
      '/api/accounts/{name}/pause',
      '/api/accounts/{name}/resume',
      '/api/backup',
      '/api/discard',
      '/api/messages',
      '/api/messages/{id}',
      '/api/messages/{id}/confirm',
      '/api/messages/{id}/discard',
      '/api/messages/{id}/redrive',
      '/api/redrive',
      '/api/routing',
      '/api/routing/dry-run',
      '/api/routing/explain',
      '/api/routing/reload',
      '/api/routing/rollback',
      '/api/routing/versions',
      '/metrics',
    ]);
  });

  test('post → 429 and 503 are answered as documented', async () => {
    const { bridge } = await startTestBridge({ routing });
    const send = () =>
      fetch(`${bridge.url}/webhooks/form`, {
        method: 'post',
        headers: form,
        redirect: 'manual',
        body: 'email=a&message=b',
      });
    await send();
    await send();
    await conforms(await send(), '/webhooks/form', 'post', 429);
    expect(documented('/webhooks/{channel}', 'post', 503)).toEqual(documented('/webhooks/{channel}', 'post', 429));
    expect(documented('/readyz', 'get', 503)).toBeDefined();
  });

  async function conforms(answer: Response, path: string, method: string, status: number): Promise<void> {
    const template = path.replace(/^\/webhooks\/.*/, '/webhooks/{channel}');
    expect(answer.status).toBe(status);
    const response = documented(template, method, status);
    const type = answer.headers.get('content-type')?.split(';')[0];
    const text = await answer.text();
    for (const [name, header] of Object.entries(response?.headers ?? {})) {
      if (header.required) expect(answer.headers.get(name)).not.toBeNull();
    }
    if (type === undefined || text === '') {
      expect(response?.content).toBeUndefined();
      return;
    }
    const schema = response?.content?.[type]?.schema;
    if (schema === undefined) throw new Error(`${type} is not documented for ${method} ${template} → ${status}`);
    const value: unknown = type.endsWith('json') ? JSON.parse(text) : text;
    const validate = ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"openapi#/')));
    expect(validate(value) || validate.errors).toBe(true);
  }
});
