import { writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { listen } from '../../src/listen.ts';
import { CHAT, startTestBridge } from '../support/bridge.ts';
import { onTestEnd, temporaryFolder } from '../support/fixtures.ts';
import { runCli } from '../support/process.ts';

const HAS_IPV6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));
const TOKEN = 'a-token-of-24-characters';

type Env = Readonly<Record<string, string>>;

/** Runs a command to its end. */
async function cli(line: string, env: Env, cwd = '/') {
  const program = runCli(line.split(' '), { env, cwd });
  return { code: await program.ended(), output: program.output() };
}

async function startBridge(env: Env = {}) {
  const { bridge } = await startTestBridge({ routing: CHAT, env });
  return new URL(bridge.adminUrl).port;
}

/** Something that answers in a bridge's place. */
async function startFake(answer: RequestListener) {
  const server = createServer(answer);
  onTestEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return new URL(await listen(server, { host: '127.0.0.1', port: 0 })).port;
}

describe('a command reaches the bridge', () => {
  test.each([
    ['127.0.0.1', {}],
    ['LOCALHOST', {}],
    ['0.0.0.0', { ADMIN_TOKEN: TOKEN }],
    ...(HAS_IPV6 ? [['::1', {}] as const, ['::', { ADMIN_TOKEN: TOKEN }] as const] : []),
  ])('by the settings with which it listens on %s', async (ADMIN_HOST, token) => {
    const ADMIN_PORT = await startBridge({ ADMIN_HOST, ...token });
    const { code, output } = await cli('accounts', { ADMIN_HOST, ADMIN_PORT, ...token });
    expect(output).toMatch(/^main +active /m);
    expect(code).toBe(0);
  });

  test('by the .env of the working directory', async () => {
    const cwd = await temporaryFolder();
    const ADMIN_PORT = await startBridge({ ADMIN_TOKEN: TOKEN });
    await writeFile(join(cwd, '.env'), `ADMIN_PORT=${ADMIN_PORT}\nADMIN_TOKEN=${TOKEN}\nPORT=nonsense\n`);
    expect((await cli('accounts', {}, cwd)).code).toBe(0);
  });
});

describe('a command without a bridge', () => {
  test.each(['messages list', 'redrive --state dead', 'backup copy.db'])(
    '%s says where it looked, and ends with 69',
    async (line) => {
      expect(await cli(line, { ADMIN_PORT: '1' })).toEqual({
        code: 69,
        output:
          'no bridge answers on http://127.0.0.1:1 (ECONNREFUSED); is it running? ADMIN_HOST and ADMIN_PORT say where.\n',
      });
    },
  );

  test('looks where ADMIN_HOST says, also at an address of IPv6', async () => {
    const { code, output } = await cli('accounts', { ADMIN_HOST: '::1', ADMIN_PORT: '1' });
    expect(code).toBe(69);
    expect(output).toMatch(/^no bridge answers on http:\/\/\[::1\]:1 \(E[A-Z]+\); /);
  });

  test.each([
    ['a page', 200, '<html>Prometheus</html>', /^no bridge answers on http:\S+ \(.*not valid JSON\)/],
    ['nothing of the kind', 404, 'not found', /^no bridge answers on http:\S+ \(HTTP 404\)/],
    ['a gateway', 502, '{"error":"down"}', /^no bridge answers on http:\S+ \(HTTP 502\)/],
  ])('that finds %s instead says so, and ends with 69', async (_what, status, body, said) => {
    const ADMIN_PORT = await startFake((_request, response) => response.writeHead(status).end(body));
    const { code, output } = await cli('messages list', { ADMIN_PORT });
    expect(code).toBe(69);
    expect(output).toMatch(said);
    expect(output.trimEnd().split('\n')).toHaveLength(1);
  });
});

describe('a command with a wrong setting', () => {
  test.each([
    ['no ADMIN_TOKEN', {}, 'ADMIN_TOKEN is not set; it has to be'],
    ['another ADMIN_TOKEN', { ADMIN_TOKEN: 'another-of-the-same-kind' }, 'ADMIN_TOKEN is not'],
  ])('has %s, names it and ends with 1', async (_what, env, fault) => {
    const ADMIN_PORT = await startBridge({ ADMIN_TOKEN: TOKEN });
    for (const line of ['accounts', 'redrive --state dead']) {
      expect(await cli(line, { ADMIN_PORT, ...env })).toEqual({
        code: 1,
        output: `${fault} that of the bridge on http://127.0.0.1:${ADMIN_PORT}.\n`,
      });
    }
  });

  test('has each of them named, one a line, and ends with 78', async () => {
    const env = { ADMIN_PORT: '9090a', ADMIN_HOST: '', ADMIN_TOKEN: 'hunter2', PORT: 'not its matter' };
    expect(await cli('messages list', env)).toEqual({
      code: 78,
      output: [
        'ADMIN_HOST: it is set to nothing; accepted is a host name or address',
        'ADMIN_PORT: "9090a" is not understood; accepted is a whole number from 0 to 65535',
        'ADMIN_TOKEN: its value is not understood; accepted are at least 16 characters, without blanks\n',
      ].join('\n'),
    });
  });
});

describe('long work that is broken off', () => {
  const STEP = '{"redriven":1,"conversations":1,"unplaced":0}\n';
  const endings: [how: string, end: (response: ServerResponse) => void][] = [
    ['by a cut connection', (response) => response.write(STEP, () => response.socket?.destroy())],
    ['within a line', (response) => response.end(`${STEP}{"redri`)],
    ['without its end', (response) => response.end(STEP)],
    ['before it began', (response) => response.end()],
  ];

  test.each(endings)('%s says to run it again, and ends with 69', async (_how, end) => {
    const ADMIN_PORT = await startFake((_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/x-ndjson' }).flushHeaders();
      end(response);
    });
    const { code, output } = await cli('redrive --state dead', { ADMIN_PORT });
    expect(code).toBe(69);
    expect(output).toMatch(
      /^the answer of http:\/\/127\.0\.0\.1:\d+ broke off \(.+\); run it again, what is done is not done twice\.\n$/,
    );
  });
});
