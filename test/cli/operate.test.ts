import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, jest, test } from '@jest/globals';
import { run } from '../../src/cli/run.ts';
import type { Fault } from '../../src/haptik/simulator.ts';
import { listen } from '../../src/listen.ts';
import { CREDENTIALS, startTestBridge } from '../support/bridge.ts';
import { onTestEnd, temporaryFolder, until } from '../support/fixtures.ts';
import { runCli } from '../support/process.ts';

const account = `{ base_url: ${'$'}{HAPTIK_BASE_URL}, client_id: ${CREDENTIALS.clientId}, token: ${CREDENTIALS.token} }`;
const ACCOUNTS = `
accounts:
  main: ${account}
  second: ${account}
`;
const ROUTING = `
channels:
  chat: { verify: none }
  crm: { verify: none }
routes:
  - { channel: chat, account: main, business_id: 343, auth_id: "{{ sender | alnum }}", on_unknown: stop }
  - { channel: crm, account: second, business_id: 351, auth_id: "{{ sender | alnum }}" }
`;
const REFUSED: Fault = { count: 1, path: 'message', status: 400, body: { error_message: 'no such business' } };
const GARBLED: Fault = { count: 1, path: 'message', action: 'garbage' };
const CONTROLS = '\u001b[31m\r\u0007\u009b2J\u007f';

type Env = Readonly<Record<string, string>>;

/** A bridge, and what operators and senders do with it. */
async function startOperated(options: Partial<Parameters<typeof startTestBridge>[0]> = {}) {
  const running = await startTestBridge({ routing: ROUTING, accounts: ACCOUNTS, ...options });
  const { bridge, request, simulator } = running;
  const env: Env = { ADMIN_PORT: new URL(bridge.adminUrl).port };
  const api = async (path: string) => (await running.admin.get(path)).body;
  const stateOf = async (id: string) => (await api(`/api/messages/${id}`)).state;
  /** @returns the message's id, once it is settled */
  const send = async (sender: string, { channel = 'chat', id, fault }: Sending = {}): Promise<string> => {
    if (fault) simulator.addFault(fault);
    const posted = request.post(`/webhooks/${channel}`).set('Prefer', 'wait=20');
    return (await posted.send({ sender, text: `from ${sender}`, id })).body.id;
  };
  return { ...running, env, api, stateOf, send, cli: (...args: string[]) => cli(args, env) };
}

interface Sending {
  readonly channel?: string;
  readonly id?: string;
  readonly fault?: Fault;
}

/** Runs a command in this process. */
async function cli(args: readonly string[], env: Env) {
  const printed = { out: '', err: '' };
  const log = jest.spyOn(console, 'log').mockImplementation((text) => {
    printed.out += `${text}\n`;
  });
  const error = jest.spyOn(console, 'error').mockImplementation((text) => {
    printed.err += `${text}\n`;
  });
  try {
    await run(['node', 'haptik-bridge', ...args], () => env);
    return { ...printed, code: process.exitCode ?? 0 };
  } finally {
    process.exitCode = undefined;
    log.mockRestore();
    error.mockRestore();
  }
}

/** Runs the real executable to its end. */
async function real(args: readonly string[], env: Env, cwd = '/') {
  const program = runCli(args, { env, cwd });
  return { code: await program.ended(), output: program.output() };
}

/** Something that answers in a bridge's place, whatever it is asked, and what it was asked. */
async function startFake(answers: readonly object[]) {
  const asked: { readonly path: string; readonly body: unknown }[] = [];
  const server = createServer(async (request, response) => {
    const text = (await request.toArray()).join('');
    asked.push({ path: request.url ?? '', body: text === '' ? undefined : JSON.parse(text) });
    response.end(`${JSON.stringify(answers[asked.length - 1])}\n`);
  });
  onTestEnd(() => server.close());
  const url = await listen(server, { host: '127.0.0.1', port: 0 });
  return { asked, env: { ADMIN_PORT: new URL(url).port } };
}

const words = (line: string) => line.trim().split(/\s+/);
const rows = (out: string) => out.trimEnd().split('\n').slice(1).map(words);
const idsOf = (out: string) => rows(out).map(([id]) => id);

describe('messages list', () => {
  test('shows the newest first, in columns, and what is nothing as a dash', async () => {
    const { send, cli } = await startOperated();
    const delivered = await send('Asha');
    const dead = await send('Benedict', { fault: REFUSED });
    const { out, err, code } = await cli('messages', 'list');
    expect({ err, code }).toEqual({ err: '', code: 0 });
    const lines = out.trimEnd().split('\n');
    const time = expect.stringMatching(/^20\d\d-.*Z$/);
    expect(lines.map(words)).toEqual([
      ['id', 'state', 'reason', 'accepted_at', 'channel', 'sender', 'account', 'auth_id', 'attempts'],
      [dead, 'dead', 'refused', time, 'chat', 'Benedict', 'main', 'Benedict', '1'],
      [delivered, 'delivered', '-', time, 'chat', 'Asha', 'main', 'Asha', '1'],
    ]);
    const starts = lines.map((line) => [...line.matchAll(/(?<=^|\s)\S/g)].map(({ index }) => index));
    expect(starts).toEqual([starts[0], starts[0], starts[0]]);
  });

  test('takes what each filter says, and what all of them say together', async () => {
    const { send, cli, api } = await startOperated();
    const a = await send('Asha', { id: 'p-1' });
    const b = await send('Ben 2', { fault: REFUSED });
    const c = await send('Cem', { fault: GARBLED });
    const d = await send('Dia', { channel: 'crm' });
    const at: string = (await api(`/api/messages/${c}`)).accepted_at;
    const later = new Date(Date.parse(at) + 60_000).toISOString();
    const found = async (...options: string[]) => idsOf((await cli('messages', 'list', ...options)).out);
    expect(await found()).toEqual([d, c, b, a]);
    expect(await found('--state', 'dead')).toEqual([b]);
    expect(await found('--state', 'unknown')).toEqual([c]);
    expect(await found('--channel', 'crm')).toEqual([d]);
    expect(await found('--account', 'main')).toEqual([c, b, a]);
    expect(await found('--auth-id', 'Ben2')).toEqual([b]);
    expect(await found('--sender', 'Ben 2')).toEqual([b]);
    expect(await found('--provider-id', 'p-1')).toEqual([a]);
    expect(await found('--because', 'refused')).toEqual([b]);
    expect(await found('--since', at)).toEqual(expect.arrayContaining([d, c]));
    expect(await found('--since', at)).not.toContain(a);
    expect(await found('--until', at)).toEqual(expect.arrayContaining([a]));
    expect(await found('--until', at)).not.toContain(c);
    expect(await found('--until', later.replace('Z', '+00:00'))).toEqual([d, c, b, a]);
    expect(await found('--state', 'delivered', '--channel', 'chat')).toEqual([a]);
  });

  test('says so where there are none', async () => {
    const { cli } = await startOperated();
    expect(await cli('messages', 'list', '--since', '2199-01-01T00:00:00Z')).toEqual({
      out: 'No messages.\n',
      err: '',
      code: 0,
    });
    expect(JSON.parse((await cli('messages', 'list', '--json')).out)).toEqual({ items: [], next: null });
  });

  test('ends with 1 where a filter is not understood, in the words of the bridge', async () => {
    const { cli } = await startOperated();
    const { out, err, code } = await cli('messages', 'list', '--since', 'yesterday', '--state', 'lost');
    expect({ out, code }).toEqual({ out: '', code: 1 });
    expect(err).toMatch(/^state must be one of .*dead.*\nsince must be a time such as 2026-11-22T12:30:00Z\n$/);
  });

  test('goes on with --after where --limit has ended it, to the last', async () => {
    const { send, cli } = await startOperated();
    const sent: string[] = [];
    for (const sender of ['u1', 'u2', 'u3']) sent.unshift(await send(sender));
    const first = (await cli('messages', 'list', '--limit', '2')).out;
    const [list = '', hint = ''] = first.split('\n\n');
    expect(idsOf(list)).toEqual(sent.slice(0, 2));
    const [, cursor = ''] = /--after (\d+)\n$/.exec(hint) ?? [];
    const second = (await cli('messages', 'list', '--limit', '2', '--after', cursor)).out;
    expect(idsOf(second)).toEqual(sent.slice(2));
    expect(second).not.toContain('--after');
  });

  test('asks for as many pages as it takes, also where one of them is not full', async () => {
    const item = { id: 'm', state: 'dead', reason: null, channel: 'c', sender: 's', account: null, auth_id: null };
    const items = (count: number) => Array.from({ length: count }, () => ({ ...item, accepted_at: '', attempts: 0 }));
    const { asked, env } = await startFake([
      { items: items(500), next: '900' },
      { items: items(0), next: '700' },
      { items: items(110), next: '30' },
    ]);
    const { out } = await cli(['messages', 'list', '--state', 'dead', '--limit', '610', '--after', '4000'], env);
    expect(asked.map(({ path }) => path)).toEqual([
      '/api/messages?state=dead&limit=500&after=4000',
      '/api/messages?state=dead&limit=110&after=900',
      '/api/messages?state=dead&limit=110&after=700',
    ]);
    expect(out.split('\n')).toHaveLength(1 + 610 + 3);
    expect(out).toMatch(/--after 30\n$/);
  });

  test('with --json prints what the API answers', async () => {
    const { send, cli, api } = await startOperated();
    await send('Asha');
    await send('Ben', { fault: REFUSED });
    const { out } = await cli('messages', 'list', '--json', '--limit', '1');
    expect(JSON.parse(out)).toEqual(await api('/api/messages?limit=1'));
    expect(JSON.parse(out)).toMatchObject({ items: [{ sender: 'Ben' }], next: expect.stringMatching(/^\d+$/) });
  });
});

describe('what a stranger wrote does not steer the terminal', () => {
  const accounts = ACCOUNTS.replace('second: {', 'second: { auth_id_pattern: "(?s).+", ');
  const routing = ROUTING.replaceAll('{{ sender | alnum }}', '{{ sender }}');
  const sender = `u${CONTROLS}1`;

  test.each([
    ['messages', 'list'],
    ['messages', 'show'],
    ['redrive', '--state', 'dead', '--preview'],
  ])('in the answer of %s %s', async (...command) => {
    const { send, cli } = await startOperated({ accounts, routing });
    const id = await send(sender, { channel: 'crm', fault: REFUSED });
    const args = command[1] === 'show' ? [...command, id] : command;
    const { out } = await cli(...args);
    expect(out).toContain('u [31m   2J 1');
    expect(out.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
    const { out: json } = await cli(...args, '--json');
    expect(json.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
    expect(JSON.stringify(JSON.parse(json))).toContain(JSON.stringify(sender));
  });

  test('in a refusal', async () => {
    const { cli } = await startOperated({ accounts, routing });
    const { err, code } = await cli('messages', 'show', sender);
    expect(code).toBe(1);
    expect(err).toBe('There is no message u [31m   2J 1.\n');
  });
});

describe('messages show', () => {
  test('shows all of a message, its text and each attempt', async () => {
    const { send, cli } = await startOperated();
    const id = await send('Asha', { id: 'p-1', fault: { ...REFUSED, status: 500 } });
    const { out, code } = await cli('messages', 'show', id);
    expect(code).toBe(0);
    const [fields = '', attempts = ''] = out.split('\n\n');
    expect(fields).toMatch(/^state {10}delivered$/m);
    expect(fields).toMatch(/^reason {9}-$/m);
    expect(fields).toMatch(/^provider_id {4}p-1$/m);
    expect(fields).toMatch(/^text {11}from Asha$/m);
    expect(words(attempts.split('\n')[0] ?? '')).toEqual(['at', 'outcome', 'status', 'duration_ms', 'detail']);
    expect(rows(attempts).map(([, outcome, status]) => [outcome, status])).toEqual([
      ['retry', '500'],
      ['delivered', '200'],
    ]);
  });

  test('with --json prints what the API answers', async () => {
    const { send, cli, api } = await startOperated();
    const id = await send('Asha', { fault: REFUSED });
    expect(JSON.parse((await cli('messages', 'show', id, '--json')).out)).toEqual(await api(`/api/messages/${id}`));
  });

  test.each(['nope', '../accounts', 'a b?c'])('ends with 1 where there is no message %s', async (id) => {
    const { cli } = await startOperated();
    expect(await cli('messages', 'show', id)).toEqual({ out: '', err: `There is no message ${id}.\n`, code: 1 });
  });
});

describe('messages confirm', () => {
  test('makes an unknown message delivered, shows it, and does no harm the second time', async () => {
    const { send, cli, stateOf, simulator } = await startOperated();
    const id = await send('Cem', { fault: GARBLED });
    expect(await stateOf(id)).toBe('unknown');
    for (const _time of ['first', 'second']) {
      const { out, code } = await cli('messages', 'confirm', id);
      expect(code).toBe(0);
      expect(out).toMatch(/^state {10}delivered$/m);
    }
    expect(JSON.parse((await cli('messages', 'confirm', id, '--json')).out)).toMatchObject({ id, state: 'delivered' });
    expect(simulator.messages).toEqual([]);
  });

  test('is refused for one that was discarded', async () => {
    const { send, cli } = await startOperated();
    const id = await send('Ben', { fault: REFUSED });
    await cli('discard', id, '--reason', 'test');
    expect(await cli('messages', 'confirm', id)).toEqual({
      out: '',
      err: `Message ${id} is discarded; there is nothing to confirm.\n`,
      code: 1,
    });
  });
});

describe('redrive', () => {
  test('sends the one message of an id again', async () => {
    const { send, cli, simulator, stateOf } = await startOperated();
    const id = await send('Ben', { fault: REFUSED });
    const other = await send('Cleo', { fault: REFUSED });
    const { out, code } = await cli('redrive', id, '--json');
    expect({ ...JSON.parse(out), code }).toMatchObject({ id, attempt_log: expect.any(Array), code: 0 });
    await send('Ben');
    expect(simulator.messages.map(({ auth_id }) => auth_id)).toEqual(['Ben', 'Ben']);
    expect(await stateOf(other)).toBe('dead');
  });

  test('sends all that match again, dead ones where no state is given, and says what it came to', async () => {
    const { send, cli, stateOf } = await startOperated();
    const dead = [await send('Ben', { fault: REFUSED }), await send('Cleo', { fault: REFUSED })];
    const unknown = await send('Cem', { fault: GARBLED });
    expect(await cli('redrive', '--channel', 'chat')).toEqual({
      out: 'redriven       2\nconversations  2\nunplaced       0\n',
      err: '',
      code: 0,
    });
    for (const id of dead) expect(await stateOf(id)).not.toBe('dead');
    expect(await stateOf(unknown)).toBe('unknown');
    const again = await cli('redrive', '--state', 'dead', '--json');
    expect(JSON.parse(again.out)).toEqual({ redriven: 0, conversations: 0, unplaced: 0 });
    expect((await cli('redrive', '--state', 'unknown')).out).toMatch(/^redriven +1$/m);
  });

  test('with --preview shows how many and some of them, and changes nothing', async () => {
    const { send, cli, stateOf } = await startOperated();
    const id = await send('Ben', { fault: REFUSED });
    const { out } = await cli('redrive', '--state', 'dead', '--preview');
    expect(out).toMatch(/^count +1\nconversations +1\n\nid +state +reason +accepted_at +auth_id\n/);
    expect(out).toContain(id);
    const json = JSON.parse((await cli('redrive', '--state', 'dead', '--preview', '--json')).out);
    expect(json).toMatchObject({ count: 1, conversations: 1, samples: [{ id, sender: 'Ben' }] });
    expect((await cli('redrive', '--state', 'unknown', '--preview')).out).toBe('count          0\nconversations  0\n');
    expect(await stateOf(id)).toBe('dead');
  });

  test('with --reroute goes by the table in force', async () => {
    const folder = await temporaryFolder();
    const before = await startOperated({ folder });
    const ids = [await before.send('Ben', { fault: REFUSED }), await before.send('Cleo', { fault: REFUSED })];
    await before.bridge.stop();
    const { cli, api } = await startOperated({ folder, routing: ROUTING.replace('343', '999') });
    const businessOf = async (id = '') => (await api(`/api/messages/${id}`)).business_id;
    await cli('redrive', '--auth-id', 'Ben');
    await cli('redrive', '--auth-id', 'Cleo', '--reroute');
    expect([await businessOf(ids[0]), await businessOf(ids[1])]).toEqual([343, 999]);
  });

  test('asks for what its options say', async () => {
    const done = { redriven: 7, conversations: 3, unplaced: 1, done: true };
    const { asked, env } = await startFake([done, { id: 'm1', attempt_log: [] }]);
    await cli(['redrive', '--because', 'no_auth_id', '--provider-id', 'p1', '--rate', '5', '--reroute'], env);
    await cli(['redrive', 'm/1', '--reroute'], env);
    expect(asked).toEqual([
      {
        path: '/api/redrive',
        body: { filter: { provider_id: 'p1', reason: 'no_auth_id' }, rate: 5, reroute: true },
      },
      { path: '/api/messages/m%2F1/redrive', body: { reroute: true } },
    ]);
  });

  test('tells how many no route fits still', async () => {
    const routing = ROUTING.replace('{{ sender | alnum }}', '{{ sender }}');
    const { send, cli, stateOf } = await startOperated({ routing });
    const id = await send('not fit');
    expect((await cli('redrive', '--because', 'bad_auth_id')).out).toMatch(/^redriven +0\n.*\nunplaced +1\n$/);
    expect(await stateOf(id)).toBe('dead');
  });

  test.each<[args: string[], fault: RegExp]>([
    [[], /^give the id of a message, or say which are meant, such as --state dead\.$/m],
    [['--preview'], /^give the id of a message, or say which are meant/m],
    [['--rate', '5', '--reroute'], /^give the id of a message, or say which are meant/m],
    [['ID', '--preview'], /^--preview is for many; of one: messages show <id>\.$/m],
    [['ID', '--channel', 'crm'], /^give the id of a message, or say which are meant, not both\.$/m],
    [['--state', 'delivered'], /^filter\.state must be one of dead, unknown, waiting$/m],
    [['--state', 'dead', '--rate', '10001'], /^rate .*10000$/m],
  ])('%j is refused, and nothing is sent', async (args, fault) => {
    const { send, cli, stateOf } = await startOperated();
    const id = await send('Ben', { fault: REFUSED });
    const { out, err, code } = await cli('redrive', ...args.map((arg) => (arg === 'ID' ? id : arg)));
    expect({ out, code }).toEqual({ out: '', code: 1 });
    expect(err).toMatch(fault);
    expect(await stateOf(id)).toBe('dead');
  });
});

describe('discard', () => {
  test('gives one message up for the reason that is kept with it', async () => {
    const { send, cli, api } = await startOperated();
    const id = await send('Ben', { fault: REFUSED });
    const { out, code } = await cli('discard', id, '--reason', 'a test of ours');
    expect(code).toBe(0);
    expect(out).toMatch(/^state {10}discarded\nreason {9}a test of ours$/m);
    expect(await api(`/api/messages/${id}`)).toMatchObject({ state: 'discarded', reason: 'a test of ours' });
  });

  test('gives all up that match, and no others', async () => {
    const { send, cli, stateOf } = await startOperated();
    const dead = await send('Ben', { fault: REFUSED });
    const other = await send('Dia', { channel: 'crm', fault: REFUSED });
    expect((await cli('discard', '--account', 'main', '--reason', 'old')).out).toBe('discarded  1\n');
    const json = await cli('discard', '--account', 'main', '--reason', 'old', '--json');
    expect(JSON.parse(json.out)).toEqual({ discarded: 0 });
    expect([await stateOf(dead), await stateOf(other)]).toEqual(['discarded', 'dead']);
  });

  test.each<[args: string[], fault: RegExp]>([
    [['--reason', 'x'], /^give the id of a message, or say which are meant, such as --state dead\.$/m],
    [['ID', '--state', 'dead', '--reason', 'x'], /^give the id of a message, .* not both\.$/m],
    [['ID', '--reason', ' '], /^reason must say why$/m],
    [['--state', 'dead', '--reason', ''], /^reason must say why$/m],
    [['--state', 'waiting', '--reason', 'x'], /^filter\.state /m],
  ])('%j is refused, and nothing is given up', async (args, fault) => {
    const { send, cli, stateOf } = await startOperated();
    const id = await send('Ben', { fault: REFUSED });
    const { out, err, code } = await cli('discard', ...args.map((arg) => (arg === 'ID' ? id : arg)));
    expect({ out, code }).toEqual({ out: '', code: 1 });
    expect(err).toMatch(fault);
    expect(await stateOf(id)).toBe('dead');
  });
});

describe('long work', () => {
  test('tells on a terminal how it goes on, and on its standard output nothing but the result', async () => {
    const { send, cli } = await startOperated();
    for (const sender of ['Ben', 'Cleo']) await send(sender, { fault: REFUSED });
    const tty = Object.getOwnPropertyDescriptor(process.stderr, 'isTTY') ?? { value: undefined, configurable: true };
    const write = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
    Object.defineProperty(process.stderr, 'isTTY', { value: true, configurable: true });
    try {
      const { out } = await cli('redrive', '--state', 'dead');
      expect(out).toBe('redriven       2\nconversations  2\nunplaced       0\n');
      expect(write.mock.calls.map(([text]) => text)).toEqual([
        '\r1 redriven, 1 conversations, 0 unplaced',
        '\r2 redriven, 2 conversations, 0 unplaced',
        '\r2 redriven, 2 conversations, 0 unplaced',
        '\n',
      ]);
    } finally {
      Object.defineProperty(process.stderr, 'isTTY', tty);
      write.mockRestore();
    }
  });

  test('that a stopping bridge breaks off is no success, and says to run it again', async () => {
    const { bridge, send, cli, stateOf } = await startOperated();
    const ids = [await send('Ben', { fault: REFUSED }), await send('Cleo', { fault: REFUSED })];
    const isBegun = async () => (await Promise.all(ids.map(stateOf))).includes('delivered');
    const redrive = cli('redrive', '--state', 'dead', '--rate', '1');
    await until('the first is sent again', isBegun);
    await bridge.stop();
    const { out, err, code } = await redrive;
    expect({ out, code }).toEqual({ out: '', code: 69 });
    expect(err).toMatch(/ broke off .*; run it again, what is done is not done twice\.\n$/);
  });
});

describe('accounts', () => {
  test('shows each account with what waits in it', async () => {
    const { send, cli, api } = await startOperated();
    await send('Ben', { fault: REFUSED });
    const { out, code } = await cli('accounts');
    expect(code).toBe(0);
    expect(rows(out).map(([name, state]) => [name, state])).toEqual([
      ['main', 'active'],
      ['second', 'active'],
    ]);
    expect(words(out.split('\n')[0] ?? '')).toEqual(expect.arrayContaining(['name', 'state', 'waiting', 'dead']));
    const json = JSON.parse((await cli('accounts', '--json')).out);
    expect(json).toEqual(await api('/api/accounts'));
    expect(json).toMatchObject({ items: [{ name: 'main', dead: 1 }, { name: 'second' }] });
  });

  test('pause holds one of them until resume, and both may be said twice', async () => {
    const { cli, api } = await startOperated();
    for (const _time of ['first', 'second']) {
      expect(rows((await cli('accounts', 'pause', 'main')).out)[0]?.slice(0, 3)).toEqual(['main', 'held', 'operator']);
    }
    expect(await api('/api/accounts')).toMatchObject({ items: [{ state: 'held' }, { state: 'active' }] });
    for (const _time of ['first', 'second']) {
      expect(rows((await cli('accounts', 'resume', 'main')).out)[0]?.slice(0, 3)).toEqual(['main', 'active', '-']);
    }
    const json = JSON.parse((await cli('accounts', 'pause', 'second', '--json')).out);
    expect(json).toMatchObject({ name: 'second', state: 'held', cause: 'operator' });
  });

  test('that is not there is refused', async () => {
    const { cli } = await startOperated();
    expect(await cli('accounts', 'pause', 'a/b')).toEqual({ out: '', err: 'There is no account "a/b".\n', code: 1 });
  });
});

describe('backup', () => {
  test('goes where the command was given, is a whole database, and overwrites nothing', async () => {
    const { env, send } = await startOperated();
    const id = await send('Asha');
    const cwd = await temporaryFolder();
    const file = join(cwd, 'copy.db');
    expect(await real(['backup', 'copy.db'], env, cwd)).toEqual({ code: 0, output: `Written: ${file}\n` });
    const database = new DatabaseSync(file, { readOnly: true });
    onTestEnd(() => database.close());
    expect(database.prepare('select id, state from messages').all()).toEqual([{ id, state: 'delivered' }]);
    expect(await real(['backup', './copy.db'], env, cwd)).toEqual({
      code: 1,
      output: `${file} is there already; name a new file.\n`,
    });
  });
});

describe('the real executable', () => {
  test('finds a dead letter, shows it and sends it again, and prints nothing but results into a pipe', async () => {
    const { env, send, api } = await startOperated();
    const id = await send('Ben', { fault: REFUSED });
    const list = await real(['messages', 'list', '--state', 'dead', '--json'], env);
    expect({ ...JSON.parse(list.output), code: list.code }).toEqual({ ...(await api('/api/messages')), code: 0 });
    const show = await real(['messages', 'show', id], env);
    expect(show.output).toMatch(/^detail {9}HTTP 400: .*no such business/m);
    const redrive = await real(['redrive', '--state', 'dead', '--json'], env);
    expect(JSON.parse(redrive.output)).toEqual({ redriven: 1, conversations: 1, unplaced: 0 });
  });

  test('confirms, discards, pauses and resumes', async () => {
    const { env, send, stateOf } = await startOperated();
    const unknown = await send('Cem', { fault: GARBLED });
    const dead = await send('Ben', { fault: REFUSED });
    expect((await real(['messages', 'confirm', unknown], env)).code).toBe(0);
    expect((await real(['discard', dead, '--reason', 'old'], env)).code).toBe(0);
    expect([await stateOf(unknown), await stateOf(dead)]).toEqual(['delivered', 'discarded']);
    expect((await real(['accounts', 'pause', 'main'], env)).output).toMatch(/^main +held +operator /m);
    expect((await real(['accounts', 'resume', 'main'], env)).output).toMatch(/^main +active +- /m);
    expect((await real(['accounts'], env)).output).toMatch(/^second +active /m);
  });

  test.each([
    ['messages list --limit 0', /'--limit <n>' argument '0' is invalid\. expected a whole number from 1 to 999999/],
    ['messages list --limt 5', /unknown option '--limt'\n\(Did you mean --limit\?\)/],
    ['messages find', /unknown command 'find'/],
    ['messages show', /missing required argument 'id'/],
    ['redrive --state dead --rate fast', /expected a number, such as 20 or 0.5/],
    ['redrive one two', /too many arguments/],
    ['discard --state dead', /required option '--reason <why>' not specified/],
    ['accounts stop main', /too many arguments/],
    ['accounts pause', /missing required argument 'name'/],
    ['backup', /missing required argument 'file'/],
  ])('%s is refused with how to use it', async (line, fault) => {
    const { code, output } = await real(line.split(' '), {});
    expect(code).toBe(1);
    expect(output).toMatch(fault);
    expect(output).toContain(`\n\nUsage: haptik-bridge ${line.split(' ')[0]}`);
  });
});

describe('reload', () => {
  test('puts a good file in force, and tells what is wrong with another', async () => {
    const folder = await temporaryFolder();
    const { cli } = await startOperated({ folder });
    const file = join(folder, 'routing.yaml');
    const write = (routing: string) => writeFile(file, ACCOUNTS + routing);
    await write(ROUTING.replace('business_id: 343', 'business_id: 344'));
    expect(await cli('reload')).toMatchObject({
      out: expect.stringMatching(/^Version [0-9a-f]{12} is in force\.\n$/),
      code: 0,
    });
    await write(ROUTING.replace('account: main', 'account: mian'));
    const { err, code } = await cli('reload');
    expect([err, code]).toEqual([
      expect.stringMatching(/routing\.yaml:\d+:\d+: routes\[0\]\.account: there is no account "mian"/),
      1,
    ]);
    await write(ROUTING);
    expect(JSON.parse((await cli('reload', '--json')).out)).toMatchObject({ refused: null });
  });
});
