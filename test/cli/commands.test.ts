import { exec } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { CREDENTIALS, startSimulator } from '../support/bridge.ts';
import { temporaryFolder, until } from '../support/fixtures.ts';
import { ROOT, runCli } from '../support/process.ts';

const shell = promisify(exec);

test('demo: the commands that it prints do what they say, and each message shows its way', async () => {
  const program = runCli(['demo'], { cwd: await temporaryFolder() });
  await program.printed(/Ctrl-C stops/);
  const commands = program.output().match(/^ {2}curl .*$/gm) ?? [];
  expect(commands).toHaveLength(8);
  const [form = '', json = '', signed = '', sms = '', refusal = '', refused = '', look = '', outage = ''] = commands;
  expect((await shell(form)).stdout).toMatch(/^HTTP\/1\.1 303 .*location: https:\/\/www\.example\.com\/thanks/is);
  expect((await shell(json)).stdout).toMatch(/^HTTP\/1\.1 202 .*"status":"accepted"/s);
  expect((await shell(json)).stdout).toMatch(/^HTTP\/1\.1 200 .*"status":"duplicate"/s);
  expect((await shell(signed)).stdout).toMatch(/^HTTP\/1\.1 202 .*"status":"accepted"/s);
  expect((await shell(sms)).stdout).toMatch(/^HTTP\/1\.1 200 .*<Response><\/Response>$/s);
  const delivered = () => (program.output().match(/ delivered /g) ?? []).length;
  await until('all four are at Haptik', () => delivered() === 4);
  await shell(refusal);
  const { id } = JSON.parse((await shell(refused)).stdout) as { id: string };
  await program.printed(new RegExp(` dead id=${id} .* reason=refused `));
  const [list = '', redrive = ''] = program.output().match(/^ {2}ADMIN_PORT=\d+ npx haptik-bridge .*$/gm) ?? [];
  expect((await shell(list, { cwd: ROOT })).stdout).toMatch(new RegExp(`^${id} +dead +refused `, 'm'));
  expect((await shell(redrive, { cwd: ROOT })).stdout).toMatch(/^redriven +1$/m);
  await until('the fifth is there too', () => delivered() === 5);
  const { items } = JSON.parse((await shell(look)).stdout) as { items: { message_id: number; business_id: number }[] };
  expect(items.map(({ business_id }) => business_id).sort()).toEqual([343, 343, 343, 351, 412]);
  for (const { message_id } of items) expect(program.output()).toContain(`message_id=${message_id}`);
  expect(program.output()).toMatch(/ accepted .*channel=contact-form .*route=routes\[4\] .*business_id=412/);
  expect((await shell(outage)).stdout).toContain('"count":3');
  program.child.kill('SIGINT');
  expect(await program.ended()).toBe(0);
});

test('simulate: prints what to put into a routing file, and answers', async () => {
  const program = runCli(['simulate', '--port', '0', '--token', 'sesame'], { cwd: await temporaryFolder() });
  const [, url] = await program.printed(/base_url: (\S+)/);
  await program.printed(/token: sesame/);
  const answer = await fetch(`${url}/v1.0/user/`, {
    method: 'POST',
    headers: { authorization: 'Bearer sesame', 'client-id': 'demo-client' },
    body: '{"auth_id":"u1"}',
  });
  expect(answer.status).toBe(200);
  program.child.kill('SIGTERM');
  expect(await program.ended()).toBe(0);
});

test('check: shows what a good file says on one screen', async () => {
  const env = {
    HAPTIK_BASE_URL: 'https://h.example',
    HAPTIK_CLIENT_ID: 'c',
    HAPTIK_TOKEN: CREDENTIALS.token,
    APP_KEY: 'k',
    CRM_SECRET: 's',
    TWILIO_AUTH_TOKEN: 't',
  };
  const program = runCli(['check', join(ROOT, 'routing.example.yaml')], { cwd: await temporaryFolder(), env });
  expect(await program.ended()).toBe(0);
  expect(program.output()).toMatch(/routing\.example\.yaml is fine/);
  expect(program.output()).toMatch(/POST \/webhooks\/contact-form\s+form, not verified/);
  expect(program.output()).toMatch(/POST \/webhooks\/crm\s+generic, verified by hmac/);
  expect(program.output()).toMatch(/crm \(text\) → main, business_id 351/);
  expect(program.output().split('\n').length).toBeLessThan(25);
  expect(program.output()).not.toContain(CREDENTIALS.token);
});

test('check: names every problem of a bad one by file, line and column, and ends with 78', async () => {
  const cwd = await temporaryFolder();
  await writeFile(
    join(cwd, 'my.yaml'),
    'accounts:\n  main: {}\nchanels: {}\nroutes:\n  - channel: x\n    business_id: a\n',
  );
  const program = runCli(['check', 'my.yaml'], { cwd });
  expect(await program.ended()).toBe(78);
  const lines = program.output().trim().split('\n');
  expect(lines.every((line) => /^my\.yaml:\d+:\d+: /.test(line))).toBe(true);
  expect(program.output()).toMatch(
    /^my\.yaml:3:1: chanels: unknown key, and channels is missing; accepted are accounts, channels, routes, senders, senders_file$/m,
  );
  expect(program.output()).toMatch(/^my\.yaml:6:18: routes\[0\]\.business_id: /m);
});

describe('check', () => {
  const good = (more = '') =>
    `accounts: { main: { base_url: "https://h.example", client_id: c, token: t } }\nchannels: { chat: { verify: none }${more} }\nroutes: [{ channel: chat, business_id: 1, auth_id: "u{{ sender | sha256 }}" }]\n`;

  async function checked(source: string, ...options: readonly string[]) {
    const cwd = await temporaryFolder();
    await writeFile(join(cwd, 'routing.yaml'), source);
    const program = runCli(['check', ...options], { cwd });
    return { code: await program.ended(), output: program.output() };
  }

  test('tells what is probably not meant, and ends with 78 for it where it is asked to be strict', async () => {
    const { code, output } = await checked(good(', idle: { verify: none }'));
    expect([code, output.split('\n').at(-2)]).toEqual([
      0,
      'routing.yaml:2:37: channels.idle: has no route: all that comes to it is a dead letter, unroutable',
    ]);
    expect((await checked(good(', idle: { verify: none }'), '--strict')).code).toBe(78);
    expect(await checked(good(), '--strict')).toMatchObject({
      code: 0,
      output: expect.not.stringMatching(/not meant/),
    });
  });

  test('speaks JSON to programs, of good files and of bad ones', async () => {
    const warned = await checked(good(', idle: { verify: none }'), '--json');
    expect([warned.code, JSON.parse(warned.output)]).toEqual([
      0,
      {
        version: expect.stringMatching(/^[0-9a-f]{12}$/),
        problems: [],
        warnings: [{ code: 'no_route', message: expect.any(String), file: 'routing.yaml', line: 2, column: 37 }],
      },
    ]);
    const refused = await checked(good().replace('chat,', 'chta,'), '--json');
    expect([refused.code, JSON.parse(refused.output)]).toEqual([
      78,
      {
        version: null,
        problems: [{ code: 'dangling', message: expect.any(String), file: 'routing.yaml', line: 3, column: 21 }],
        warnings: [],
      },
    ]);
  });
});

describe('check --live', () => {
  const file = (accounts: Readonly<Record<string, string>>) => `accounts:
${Object.entries(accounts)
  .map(([name, more]) => `  ${name}: { client_id: ${CREDENTIALS.clientId}, ${more} }`)
  .join('\n')}
channels: { chat: { verify: none } }
routes: [${Object.keys(accounts).map((name, index) => `{ channel: chat, when: { text: "${name}" }, account: ${name}, business_id: ${index}, auth_id: x }`)}]
`;

  test('says of each account what Haptik says of its credentials', async () => {
    const { simulator, url } = await startSimulator();
    const cwd = await temporaryFolder();
    const good = `base_url: "${url}", token: ${CREDENTIALS.token}`;
    await writeFile(
      join(cwd, 'routing.yaml'),
      file({ good, wrong: `base_url: "${url}", token: nonsense`, gone: 'base_url: "http://127.0.0.1:9", token: t' }),
    );
    const program = runCli(['check', '--live'], { cwd });
    expect(await program.ended()).toBe(78);
    expect(program.output()).toMatch(
      /^ {2}good {3}accepted\n {2}wrong {3}refused: check client_id and token\n {2}gone {3}cannot tell \(ECONNREFUSED\)$/m,
    );
    expect(program.output()).not.toContain(CREDENTIALS.token);
    expect(simulator.messages).toEqual([]);
    await writeFile(join(cwd, 'routing.yaml'), file({ good }));
    simulator.addFault({ count: 1, status: 503 });
    const json = runCli(['check', '--live', '--json'], { cwd });
    expect([await json.ended(), JSON.parse(json.output()).accounts]).toEqual([
      0,
      [{ name: 'good', credentials: 'unknown', why: 'HTTP 503' }],
    ]);
  });
});

describe('explain', () => {
  const env = { TOKEN: CREDENTIALS.token };
  const file = `accounts: { main: { base_url: "https://h.example", client_id: c, token: ${'$'}{TOKEN} } }
channels: { chat: { verify: none }, sms: { provider: twilio, verify: { secret: s } } }
routes:
  - { channel: chat, when: { text: { prefix: bill } }, business_id: 1, auth_id: x }
  - { channel: chat, business_id: 2, auth_id: "it{{ sender }}" }
  - { channel: sms, business_id: 3, auth_id: "{{ sender | digits }}" }
`;

  async function explained(payload: string, ...args: readonly string[]) {
    const cwd = await temporaryFolder();
    await writeFile(join(cwd, 'routing.yaml'), file);
    await writeFile(join(cwd, 'payload'), payload);
    const program = runCli(['explain', ...args], { cwd, env });
    return { code: await program.ended(), output: program.output() };
  }

  test('shows values, routes and the call, without the token', async () => {
    const { code, output } = await explained(`{"sender":"u1","text":"it's me"}`, 'chat', 'payload');
    expect(code).toBe(0);
    expect(output).toMatch(/^ {2}routes\[0\] {2}does not fit: text\n {2}routes\[1\] {2}fits: any message$/m);
    expect(output).toMatch(/^By routes\[1\]: account main, business_id 2, auth_id itu1$/m);
    expect(output).toMatch(/^curl -X POST 'https:\/\/h\.example\/v1\.0\/log_message_from_user\/' \\$/m);
    expect(output).toContain(String.raw`"message_body":"it'\''s me"`);
    expect(output).not.toContain(CREDENTIALS.token);
  });

  test('takes a form, a GET and headers, and speaks JSON', async () => {
    const form = await explained('MessageSid=SM1&From=%2B919820012345&To=1&Body=hi', 'sms', 'payload', '--json');
    expect(JSON.parse(form.output).messages).toEqual([
      expect.objectContaining({ auth_id: '919820012345', route: 'routes[2]' }),
    ]);
    const get = await explained('', 'sms', '--get', '--query', 'MessageSid=SM1&From=%2B919820012345&Body=hi');
    expect(get.output).toMatch(/^By routes\[2\]/m);
    const typed = await explained('{"sender":"u","text":"t"}', 'chat', 'payload', '-H', 'Content-Type: text/xml');
    expect([typed.code, typed.output]).toEqual([1, expect.stringMatching(/^it would be answered 415: /)]);
  });

  test('says what is no message, and what cannot be asked', async () => {
    expect((await explained('MessageStatus=sent&MessageSid=1', 'sms', 'payload')).output).toMatch(
      /No message: answered, counted as ignored/,
    );
    expect(await explained('', 'nope', 'payload')).toMatchObject({
      code: 1,
      output: expect.stringMatching(/^there is no channel "nope"; there are chat, sms/),
    });
    expect(await explained('', 'chat', 'no-such-file')).toMatchObject({
      code: 1,
      output: expect.stringMatching(/^no-such-file cannot be read: there is no such file \(ENOENT\)/),
    });
  });
});

test('an unknown command or option is refused with the help', async () => {
  const cwd = await temporaryFolder();
  for (const args of [['srve'], ['demo', '--port', 'x'], ['serve', '--fast']]) {
    const program = runCli(args, { cwd });
    expect(await program.ended()).toBe(1);
    expect(program.output()).toMatch(/error: .*\n\nUsage: haptik-bridge/s);
  }
});
