import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { CREDENTIALS, startSimulator } from '../support/bridge.ts';
import { onTestEnd, temporaryFolder, until } from '../support/fixtures.ts';
import { type Program, ROOT, runCli } from '../support/process.ts';

let cwd: string;

beforeEach(async () => {
  cwd = await temporaryFolder();
});

/** Ten lines, as the README has it. */
const routing = (url: string) => `
accounts:
  main: { base_url: ${url}, client_id: ${CREDENTIALS.clientId}, token: ${'$'}{HAPTIK_TOKEN} }
channels:
  chat: { verify: none }
routes:
  - channel: chat
    business_id: 343
    auth_id: "{{ sender | alnum }}"
`;

const ENV = { HOST: '127.0.0.1', PORT: '0', ADMIN_PORT: '0', LOG_FORMAT: 'json', HAPTIK_TOKEN: CREDENTIALS.token };

async function serve(env: Readonly<Record<string, string>> = {}): Promise<{ program: Program; url: string }> {
  const program = runCli(['serve'], { cwd, env: { ...ENV, ...env } });
  const [, url = ''] = await program.printed(/"url":"([^"]+)"/);
  return { program, url };
}

const post = (url: string, body: object) =>
  fetch(`${url}/webhooks/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

describe('serve', () => {
  test('with a ten-line routing file brings a message to Haptik, and stops by a signal with 0', async () => {
    const { simulator, url: haptik } = await startSimulator();
    await writeFile(join(cwd, 'routing.yaml'), routing(haptik));
    const { program, url } = await serve();
    expect((await post(url, { sender: 'u1', text: 'Hello' })).status).toBe(202);
    await until('it is delivered', () => simulator.messages.length === 1);
    program.child.kill('SIGTERM');
    expect(await program.ended()).toBe(0);
    expect(program.output()).toMatch(/"message":"stopped"/);
    expect(program.output()).not.toMatch(/Hello|test-token/);
  });

  test('reads the routing file again on SIGHUP, and .env with it', async () => {
    const { simulator, url: haptik } = await startSimulator();
    await writeFile(join(cwd, 'routing.yaml'), routing(haptik).replaceAll('HAPTIK_TOKEN', 'OTHER_TOKEN'));
    await writeFile(join(cwd, '.env'), 'OTHER_TOKEN=wrong\n');
    const { program, url } = await serve();
    expect((await post(url, { sender: 'u1', text: 'Hello' })).status).toBe(202);
    await program.printed(/account on hold/);
    await writeFile(join(cwd, '.env'), `OTHER_TOKEN=${CREDENTIALS.token}\n`);
    program.child.kill('SIGHUP');
    await program.printed(/"message":"routing table in force".*"because":"a signal"/);
    await until('it is delivered', () => simulator.messages.length === 1);
    await writeFile(join(cwd, 'routing.yaml'), 'accounts: {}');
    await program.printed(
      /"message":"routing file refused.*routing\.yaml:1:11: accounts: must hold at least one account/,
    );
    expect((await post(url, { sender: 'u1', text: 'still there' })).status).toBe(202);
    program.child.kill('SIGTERM');
    expect(await program.ended()).toBe(0);
  });

  test('reads .env of the working directory, below the environment', async () => {
    await writeFile(join(cwd, 'routing.yaml'), routing('http://127.0.0.1:9'));
    await writeFile(join(cwd, '.env'), 'LOG_LEVEL=nonsense\nHAPTIK_TOKEN=from-file\n');
    const refused = runCli(['serve'], { cwd, env: { PORT: '0', ADMIN_PORT: '0' } });
    expect(await refused.ended()).toBe(78);
    expect(refused.output()).toMatch(
      /^LOG_LEVEL: "nonsense" is not understood; accepted are error, warn, info, debug$/m,
    );
    const { program } = await serve({ LOG_LEVEL: 'info' });
    program.child.kill('SIGINT');
    expect(await program.ended()).toBe(0);
  });

  test('while it stops is not ready, finishes what it is doing, and takes what still comes for the announced delay', async () => {
    const { simulator, url: haptik } = await startSimulator();
    simulator.addFault({ count: 1, delay_ms: 300, path: 'message' });
    await writeFile(join(cwd, 'routing.yaml'), routing(haptik));
    const { program, url } = await serve({ SHUTDOWN_DELAY_MS: '400' });
    await post(url, { sender: 'u1', text: 'slow' });
    program.child.kill('SIGTERM');
    await program.printed(/"message":"stopping"/);
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    expect((await post(url, { sender: 'u2', text: 'late' })).status).toBe(202);
    expect(await program.ended()).toBe(0);
    expect(simulator.messages.map(({ message_body }) => message_body).sort()).toEqual(['late', 'slow']);
  });

  test('stops at once at a second signal, and nothing that it accepted is lost', async () => {
    const { simulator, url: haptik } = await startSimulator();
    simulator.addFault({ count: 1, action: 'hang', path: 'message' });
    await writeFile(join(cwd, 'routing.yaml'), routing(haptik));
    const { program, url } = await serve();
    await post(url, { sender: 'u1', text: 'hangs' });
    await until('the attempt hangs', () => simulator.requests.length === 1);
    program.child.kill('SIGTERM');
    await program.printed(/"message":"stopping"/);
    await until('it has ended', () => !program.child.kill('SIGTERM'), 5_000);
    expect(await program.ended()).toBe(0);
    expect(program.output()).not.toMatch(/"message":"stopped"/);
    await serve();
    await until('it is delivered', () => simulator.messages.length === 1);
  });
});

describe('stopping', () => {
  test('by one stop that is told twice at once is graceful all the same, and a later one ends at once', async () => {
    const script = `
      const { onStopSignal } = await import(${JSON.stringify(join(ROOT, 'src/cli/signals.ts'))});
      const stopped = onStopSignal();
      process.emit('SIGTERM');
      process.emit('SIGTERM');
      await stopped;
      console.log('graceful');
      setInterval(() => process.emit('SIGINT'), 5);
    `;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
    expect(stdout).toBe('graceful\n');
  });

  test('while a slow upload goes on takes nothing from the attempts in flight', async () => {
    const { simulator, url: haptik } = await startSimulator();
    simulator.addFault({ count: 1, delay_ms: 500, path: 'message' });
    await writeFile(join(cwd, 'routing.yaml'), routing(haptik));
    const { program, url } = await serve({ SHUTDOWN_GRACE_MS: '1500' });
    const upload = connect(Number(new URL(url).port), '127.0.0.1');
    onTestEnd(() => upload.destroy());
    upload.on('error', () => undefined);
    upload.write(
      'POST /webhooks/chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{',
    );
    await post(url, { sender: 'u1', text: 'slow' });
    await until('it is in flight', () => simulator.requests.length === 1);
    program.child.kill('SIGTERM');
    expect(await program.ended()).toBe(0);
    expect(program.output()).toMatch(/"message":"delivered"/);
    expect(program.output()).not.toMatch(/possible_repeat/);
  });
});

describe('the log', () => {
  test('that nobody reads any more does not end the service', async () => {
    const { simulator, url: haptik } = await startSimulator();
    await writeFile(join(cwd, 'routing.yaml'), routing(haptik));
    const { program, url } = await serve();
    program.child.stdout?.destroy();
    for (const text of ['one', 'two', 'three']) expect((await post(url, { sender: 'u1', text })).status).toBe(202);
    await until('all are delivered', () => simulator.messages.length === 3);
    program.child.kill('SIGTERM');
    expect(await program.ended()).toBe(0);
  });
});

describe('a start that cannot be', () => {
  test('on an address that is not of this machine says so, and ends with 78', async () => {
    await writeFile(join(cwd, 'routing.yaml'), routing('http://127.0.0.1:9'));
    const program = runCli(['serve'], { cwd, env: { ...ENV, HOST: '203.0.113.1' } });
    expect(await program.ended()).toBe(78);
    expect(program.output()).toContain(
      'cannot listen on 203.0.113.1:0 (EADDRNOTAVAIL); choose another address or port (PORT).',
    );
  });

  test('with wrong settings names each of them, one a line, and ends with 78', async () => {
    const program = runCli(['serve'], {
      cwd,
      env: { PORT: '80a', DELIVERY_CONCURRENCY: '0', LOG_FORMAT: '', TRUST_PROXY: 'yes' },
    });
    expect(await program.ended()).toBe(78);
    expect(program.output().trim().split('\n')).toEqual([
      expect.stringMatching(/^PORT: "80a" is not understood; accepted is a whole number from 0 to 65535$/),
      expect.stringMatching(/^TRUST_PROXY: "yes" is not understood; accepted are none, a number of proxies/),
      expect.stringMatching(/^DELIVERY_CONCURRENCY: "0" is not understood; accepted is a whole number from 1/),
      expect.stringMatching(/^LOG_FORMAT: it is set to nothing; accepted are auto, json, pretty$/),
    ]);
  });

  test('without a routing file says how to get one, and ends with 78', async () => {
    const program = runCli(['serve'], { cwd, env: ENV });
    expect(await program.ended()).toBe(78);
    expect(program.output()).toMatch(/^routing\.yaml:1:1: there is no such file; haptik-bridge init writes one/);
  });

  test('with a broken routing file says where, and ends with 78', async () => {
    await writeFile(join(cwd, 'routing.yaml'), routing('http://127.0.0.1:9').replace('business_id', 'busines_id'));
    const program = runCli(['serve'], { cwd, env: ENV });
    expect(await program.ended()).toBe(78);
    expect(program.output()).toMatch(
      /^routing\.yaml:8:5: routes\[0\]\.busines_id: unknown key, and business_id is missing; accepted are .*business_id/m,
    );
  });

  test('on a port that is in use says so, and ends with 75', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    onTestEnd(() => server.close());
    await until('the port is taken', () => server.listening);
    const address = server.address();
    const port = String(typeof address === 'object' ? address?.port : '');
    await writeFile(join(cwd, 'routing.yaml'), routing('http://127.0.0.1:9'));
    const program = runCli(['serve'], { cwd, env: { ...ENV, PORT: port } });
    expect(await program.ended()).toBe(75);
    expect(program.output()).toContain(
      `port ${port} on 127.0.0.1 is in use; stop what uses it, or choose another port (PORT).`,
    );
  });

  test('on an operator port that another bridge has names it, and ends with 75', async () => {
    await writeFile(join(cwd, 'routing.yaml'), routing('http://127.0.0.1:9'));
    const { program } = await serve();
    const [, port = ''] = await program.printed(/"admin":"http:\/\/127\.0\.0\.1:(\d+)"/);
    const second = runCli(['serve'], { cwd, env: { ...ENV, ADMIN_PORT: port, DATABASE_URL: 'sqlite:second.db' } });
    expect(await second.ended()).toBe(75);
    expect(second.output()).toContain(
      `port ${port} on 127.0.0.1 is in use; stop what uses it, or choose another port (ADMIN_PORT).`,
    );
  });

  test('for operators from anywhere without a token says what is needed, and ends with 78', async () => {
    await writeFile(join(cwd, 'routing.yaml'), routing('http://127.0.0.1:9'));
    const program = runCli(['serve'], { cwd, env: { ...ENV, ADMIN_HOST: '0.0.0.0' } });
    expect(await program.ended()).toBe(78);
    expect(program.output()).toBe(
      'ADMIN_TOKEN: is needed where ADMIN_HOST is not loopback: at least 16 characters, without blanks\n',
    );
  });

  test('on a database file that another process has says which, and ends with 75', async () => {
    await writeFile(join(cwd, 'routing.yaml'), routing('http://127.0.0.1:9'));
    await serve();
    const second = runCli(['serve'], { cwd, env: ENV });
    expect(await second.ended()).toBe(75);
    expect(second.output()).toMatch(/^data\/bridge\.db is in use by another process/m);
  });

  test('on a database that it does not support yet says what is accepted', async () => {
    const program = runCli(['serve'], { cwd, env: { ...ENV, DATABASE_URL: 'mysql://root:hunter2@db/x' } });
    expect(await program.ended()).toBe(78);
    expect(program.output()).toMatch(/^DATABASE_URL: its value is not understood; accepted are sqlite:/);
    expect(program.output()).not.toContain('hunter2');
  });
});
