import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ACCOUNTS, startTestBridge } from '../support/bridge.ts';
import { temporaryFolder } from '../support/fixtures.ts';
import { runCli } from '../support/process.ts';

const file = (businessId: number, more = '') => `
accounts: { main: { base_url: "https://h.example", client_id: c, token: t0ken-t0ken } }
channels: { chat: { verify: none } }
routes: [{ channel: chat, business_id: ${businessId}, auth_id: "u{{ sender | digits }}" }]
${more}`;
const ENV = { PORT: '0', ADMIN_PORT: '0', HOST: '127.0.0.1' };

/** A folder in which commands are run, one after another. */
async function open() {
  const cwd = await temporaryFolder();
  const path = join(cwd, 'routing.yaml');
  const cli = async (...args: string[]) => {
    const program = runCli(args, { cwd, env: ENV });
    return { code: await program.ended(), output: program.output() };
  };
  const serve = async () => {
    const program = runCli(['serve'], { cwd, env: ENV });
    const stop = async () => {
      program.child.kill('SIGTERM');
      expect(await program.ended()).toBe(0);
    };
    return { ...program, stop };
  };
  return { cwd, path, cli, serve };
}

test('versions and rollback: a bridge that does not start any more is given its last good file back', async () => {
  const { path, cli, serve } = await open();
  expect(await cli('versions')).toEqual({
    code: 0,
    output: 'No version is kept: no bridge with these settings has run here.\n',
  });
  await writeFile(path, file(1));
  const running = await serve();
  await running.printed(/ready/);
  await running.stop();

  await writeFile(path, `${file(1)}rutes: []\n`);
  const refused = await serve();
  expect(await refused.ended()).toBe(78);
  const [, version = ''] = /^ {2}haptik-bridge rollback ([0-9a-f]{12})$/m.exec(refused.output()) ?? [];
  expect(refused.output()).toMatch(
    new RegExp(`^The routing file is refused\\. Version ${version}, in force since 2.*Z, is put back by:$`, 'm'),
  );
  expect(refused.output()).toMatch(/^routing\.yaml:5:1: rutes: unknown key/m);
  const listed = JSON.parse((await cli('versions', '--json')).output);
  expect(listed).toEqual([{ version, in_force_since: expect.any(String), file: expect.any(String) }]);
  expect(await readFile(join(path, '..', listed[0].file), 'utf8')).toBe(file(1));
  expect((await cli('versions')).output).toContain(version);

  expect(await cli('rollback', 'zzz')).toEqual({
    code: 1,
    output: `there is no one version "zzz"; kept are ${version}\n`,
  });
  expect(await cli('rollback', version.slice(0, 6))).toEqual({
    code: 0,
    output: expect.stringMatching(
      new RegExp(
        `^Version ${version} is written back, and a bridge that runs reads it at once, over:\\n  routing\\.yaml, which is now data/versions/\\S+/replaced/routing\\.yaml\\n$`,
      ),
    ),
  });
  expect(await readFile(path, 'utf8')).toMatch(/^# haptik-bridge: rolled back at .*\n\naccounts:/);
  const again = await serve();
  await again.printed(new RegExp(`version=${version}|"version":"${version}"`));
  await again.stop();
});

describe('diff', () => {
  test('shows in words what changes against the version that was in force last, with its senders', async () => {
    const { cwd, path, cli, serve } = await open();
    await writeFile(join(cwd, 'senders.csv'), '+919820012345,CUST1\na,CUST2\nb,CUST3\n');
    await writeFile(path, file(1, 'senders_file: senders.csv'));
    const running = await serve();
    await running.printed(/ready/);
    await running.stop();
    expect((await cli('diff')).output).toMatch(/\n\nNothing changes\.\n$/);

    await writeFile(join(cwd, 'senders.csv'), '+91 98200 12345,CUST9\na,CUST2\nc,CUST4\n');
    await writeFile(path, file(2, 'senders_file: senders.csv').replace('t0ken-t0ken', 'other-t0ken'));
    const { code, output } = await cli('diff');
    expect(code).toBe(0);
    expect(output).toMatch(
      /^routing\.yaml \(version [0-9a-f]{12}\) against version [0-9a-f]{12}, in force since 2.*Z\n/,
    );
    expect(output.split('\n').slice(2)).toEqual([
      'account main: token changed',
      'routes[0] (chat): business_id 1 → 2',
      'sender b: removed, was CUST3',
      'sender +919820012345: CUST1 → CUST9',
      'sender c: added, CUST4',
      '',
    ]);
  });

  test('compares two files, as JSON too, and neither of them with a fault', async () => {
    const { cwd, path, cli } = await open();
    await writeFile(path, file(1));
    await writeFile(join(cwd, 'next.yaml'), file(2));
    const { output } = await cli('diff', 'next.yaml', '--against', 'routing.yaml', '--json');
    expect(JSON.parse(output)).toEqual({
      against: expect.stringMatching(/^routing\.yaml \(version [0-9a-f]{12}\)$/),
      changes: [
        { part: 'route', change: 'changed', name: 'routes[0]', message: 'routes[0] (chat): business_id 1 → 2' },
      ],
    });
    await writeFile(join(cwd, 'next.yaml'), 'accounts: 1');
    expect(await cli('diff', 'next.yaml', '--against', 'routing.yaml')).toMatchObject({
      code: 78,
      output: expect.stringMatching(/^next\.yaml:1:\d+: /),
    });
  });

  test('says what to do where there is nothing to compare with', async () => {
    const { path, cli } = await open();
    await writeFile(path, file(1));
    expect(await cli('diff')).toEqual({
      code: 1,
      output:
        'no version is kept, since no bridge with these settings has run here; name a file to compare with: --against <file>\n',
    });
  });
});

describe('dry-run', () => {
  const routed = (businessId: number) => `
channels: { chat: { verify: none } }
routes: [{ channel: chat, business_id: ${businessId}, auth_id: "u{{ sender }}" }]
`;

  test('asks the bridge what would become of its last messages, and tells it', async () => {
    const { bridge, request } = await startTestBridge({ routing: routed(1) });
    const { body } = await request.post('/webhooks/chat').send({ sender: '7', text: 'Hello\u001b[31m' });
    const cwd = await temporaryFolder();
    await writeFile(join(cwd, 'next.yaml'), ACCOUNTS + routed(2));
    const env = { ADMIN_PORT: new URL(bridge.adminUrl).port };
    const cli = async (...args: string[]) => {
      const program = runCli(['dry-run', ...args], { cwd, env });
      return { code: await program.ended(), output: program.output() };
    };
    const { code, output } = await cli('next.yaml');
    expect(code).toBe(0);
    expect(output.split('\n')).toEqual([
      expect.stringMatching(
        /^The last 1 messages by version [0-9a-f]{12}, against [0-9a-f]{12}, which is in force \(one may be in several lines\):$/,
      ),
      '      1  to another account or business_id',
      '',
      'Some of them:',
      '',
      `${body.id}  chat  7  elsewhere`,
      '  before  routes[0]: main, business_id 1, auth_id u7, "Hello\\u001b[31m"',
      '  after   routes[0]: main, business_id 2, auth_id u7, "Hello\\u001b[31m"',
      '',
    ]);
    expect(JSON.parse((await cli('--json', '--last', '5')).output)).toMatchObject({ count: 1, unchanged: 1 });
    await writeFile(join(cwd, 'next.yaml'), 'accounts: 1');
    expect(await cli('next.yaml')).toEqual({ code: 1, output: expect.stringContaining('next.yaml:1:') });
    expect(await cli('nowhere.yaml')).toEqual({
      code: 1,
      output: 'nowhere.yaml cannot be read: there is no such file (ENOENT).\n',
    });
  });
});
