import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import { run } from '../../src/cli/run.ts';
import { systemClock } from '../../src/clock.ts';
import { SqliteStore } from '../../src/outbox/sqlite/store.ts';
import type { Entry } from '../../src/outbox/store.ts';
import { entry, strayEntry } from '../outbox/samples.ts';
import { memoryLog, onTestEnd, temporaryFolder, until } from '../support/fixtures.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { runCli } from '../support/process.ts';

/** So many that a move of them takes some seconds. */
const MANY = 30_000;
const PASSWORD = 'hunter2';

const many = (count: number) =>
  Array.from({ length: count }, (_, index) => entry(`m${index}`, `u${index % 50}`, { providerId: `p${index}` }));

function open(file: string): SqliteStore {
  const usual = { clock: systemClock, newToken: randomUUID, log: memoryLog().log, eraseAtOnce: false };
  const store = new SqliteStore({ ...usual, file, maxBacklog: 1_000_000 });
  onTestEnd(() => store.close().catch(() => undefined));
  return store;
}

/** A folder with a file of an outbox, on which no bridge runs. */
async function filled(entries: readonly Entry[]): Promise<string> {
  const folder = await temporaryFolder();
  const store = open(join(folder, 'bridge.db'));
  for (let done = 0; done < entries.length; done += 5_000) await store.accept(entries.slice(done, done + 5_000));
  await store.hold({ account: 'main', cause: 'operator', fingerprint: '', since: 5 }, 0);
  await store.close();
  return folder;
}

/** Its URL has a password: where the server asks for none, one that it does not look at. */
function withPassword({ url }: TestDatabase): string {
  const secret = new URL(url);
  secret.password ||= PASSWORD;
  return secret.href;
}

async function migrate(cwd: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const program = runCli(['migrate', ...args], { cwd, env });
  return { code: await program.ended(), output: program.output() };
}

const FROM = ['--from', 'sqlite:bridge.db'] as const;

describe('migrate', () => {
  test('moves all, says how much of what, and where to go on, without the password', async () => {
    const cwd = await filled([...many(3), strayEntry('stray', 's')]);
    const url = withPassword(await testDatabase());
    const { code, output } = await migrate(cwd, [...FROM, '--to', url]);
    expect(code).toBe(0);
    const shown = new URL(url);
    shown.password = '';
    expect(output.split('\n')).toEqual([
      'messages               4',
      'waiting                3',
      'delivered              0',
      'unknown                0',
      'dead                   1',
      'discarded              0',
      'stopped_conversations  0',
      'paused_accounts        main',
      '',
      'All of it is moved. Start the bridge with this, and the password in it:',
      `  DATABASE_URL=${shown.href}`,
      'No bridge starts on bridge.db any more. It holds what customers wrote: remove it when all is well.',
      '',
    ]);
  });

  test('takes the database from DATABASE_URL, prints JSON, and may be run again', async () => {
    const cwd = await filled(many(3));
    const url = withPassword(await testDatabase());
    const first = await migrate(cwd, [...FROM, '--json'], { DATABASE_URL: url });
    expect(first.code).toBe(0);
    expect(JSON.parse(first.output)).toMatchObject({
      messages: 3,
      waiting: 3,
      stopped_conversations: 0,
      paused_accounts: ['main'],
      database_url: expect.not.stringContaining(`:${new URL(url).password}@`),
    });
    expect(await migrate(cwd, [...FROM, '--json'], { DATABASE_URL: url })).toEqual(first);
  });

  test('leaves a file on which the bridge does not start, and says why', async () => {
    const cwd = await filled(many(1));
    const url = withPassword(await testDatabase());
    await migrate(cwd, [...FROM, '--to', url]);
    await writeFile(
      join(cwd, 'routing.yaml'),
      'accounts: { main: { base_url: "http://127.0.0.1:9", client_id: c, token: t } }\n' +
        'channels: { chat: { verify: none } }\n' +
        'routes: [{ channel: chat, business_id: 1, auth_id: "{{ sender }}" }]\n',
    );
    const env = { DATABASE_URL: 'sqlite:bridge.db', PORT: '0', ADMIN_PORT: '0' };
    const program = runCli(['serve'], { cwd, env });
    expect(await program.ended()).toBe(78);
    expect(program.output()).toMatch(
      /^the messages of bridge\.db were moved to postgres:\/\/.* on 20\S+Z; set DATABASE_URL to it\.\n$/,
    );
    expect(program.output()).not.toContain(`:${new URL(url).password}@`);
  });

  test('killed in the middle goes on when it is run again: nothing twice, nothing missing, in order', async () => {
    const cwd = await filled(many(MANY));
    const database = await testDatabase();
    const args = [...FROM, '--to', database.url];
    const program = runCli(['migrate', ...args], { cwd });
    const moved = async () => {
      const rows = await database
        .query<{ last_seq: string }>('select last_seq from haptik_bridge.moves')
        .catch(() => []);
      return Number(rows[0]?.last_seq ?? 0);
    };
    await until('some are moved', async () => (await moved()) >= 5_000);
    program.child.kill('SIGKILL');
    expect(await program.ended()).toBe('SIGKILL');
    // What it was committing when it died may still be.
    await until('its sessions are gone', async () => {
      const others = await database.query(
        'select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      );
      return others.length === 0;
    });
    const before = await moved();
    expect(before).toBeLessThan(MANY);
    const { code, output } = await migrate(cwd, args);
    expect({ code, output }).toMatchObject({ code: 0, output: expect.stringMatching(/^waiting +30000$/m) });
    const rows = await database.query<{ id: string }>('select id from haptik_bridge.messages order by seq');
    expect(rows.map(({ id }) => id)).toEqual(many(MANY).map(({ id }) => id));
    const wrong = await database.query('select * from haptik_bridge.conversations where pending <> 600');
    expect(wrong).toEqual([]);
  }, 60_000);

  test('on a terminal shows how it goes on', async () => {
    const cwd = await filled(many(3));
    const { url } = await testDatabase();
    const written: string[] = [];
    const before = Object.getOwnPropertyDescriptor(process.stderr, 'isTTY');
    Object.defineProperty(process.stderr, 'isTTY', { value: true, configurable: true });
    const spies = [
      jest.spyOn(console, 'log').mockImplementation(() => undefined),
      jest.spyOn(process.stderr, 'write').mockImplementation((text) => written.push(String(text)) > 0),
    ];
    try {
      await run(
        ['node', 'haptik-bridge', 'migrate', '--from', `sqlite:${join(cwd, 'bridge.db')}`, '--to', url],
        () => ({}),
      );
      expect(process.exitCode ?? 0).toBe(0);
    } finally {
      process.exitCode = undefined;
      if (before) Object.defineProperty(process.stderr, 'isTTY', before);
      else Reflect.deleteProperty(process.stderr, 'isTTY');
      for (const spy of spies) spy.mockRestore();
    }
    expect(written.join('')).toMatch(
      /^\r0 of 3 messages moved, 0 a second *\r3 of 3 messages moved, \d+ a second *\n$/,
    );
  });

  test('explains itself', async () => {
    const { code, output } = await migrate(await temporaryFolder(), ['--help']);
    expect(code).toBe(0);
    expect(output).toMatch(/--from <url>.*--to <url>.*DATABASE_URL where left out.*--json.*goes on where it was/s);
  });
});

describe('migrate is refused', () => {
  const TO = `postgres://bridge:${PASSWORD}@127.0.0.1:9/bridge`;

  test.each([
    ['a source that is PostgreSQL', ['--from', TO, '--to', TO], /^--from: accepted is sqlite: with the path of a file/],
    ['a source that is a path', ['--from', 'bridge.db', '--to', TO], /^--from: accepted is sqlite:/],
    ['a target that is a file', [...FROM, '--to', 'sqlite:other.db'], /^--to: accepted is postgres:\/\/user:password@/],
    ['a target that cannot be read', [...FROM, '--to', `mysql://root:${PASSWORD}@db/x`], /^--to: accepted is/],
    ['no target at all', FROM, /^DATABASE_URL: accepted is postgres:/],
    ['a file that is not there', [...FROM, '--to', TO], /^bridge\.db: there is no such file; name the one/],
  ])('%s', async (_, args, fault) => {
    const cwd = await temporaryFolder();
    const { code, output } = await migrate(cwd, args);
    expect(code).toBe(78);
    expect(output).toMatch(fault);
    expect(output).not.toContain(PASSWORD);
    expect(existsSync(join(cwd, 'bridge.db')) || existsSync(join(cwd, 'other.db'))).toBe(false);
  });

  test('while the bridge runs on the file, with 75', async () => {
    const cwd = await filled(many(1));
    open(join(cwd, 'bridge.db'));
    const { code, output } = await migrate(cwd, [...FROM, '--to', TO]);
    expect({ code, output }).toEqual({
      code: 75,
      output: 'bridge.db is in use by another process; stop the bridge that runs on it, and run this again.\n',
    });
  });

  test('by a database that is not there, with 75, and by one that does not know us, with 78', async () => {
    const cwd = await filled(many(1));
    const away = await migrate(cwd, [...FROM, '--to', TO]);
    expect(away).toMatchObject({ code: 75, output: expect.stringMatching(/^127\.0\.0\.1:9\/bridge cannot be used/) });
    const unknown = new URL((await testDatabase()).url);
    unknown.username = 'nobody';
    unknown.password = PASSWORD;
    const refused = await migrate(cwd, [...FROM, '--to', unknown.href]);
    expect(refused).toMatchObject({ code: 78, output: expect.stringMatching(/refuses the bridge/) });
    expect(away.output + refused.output).not.toContain(PASSWORD);
  });

  test('by a database that holds other messages, with 78', async () => {
    const url = withPassword(await testDatabase());
    await migrate(await filled(many(1)), [...FROM, '--to', url]);
    const cwd = await filled(many(2));
    const { code, output } = await migrate(cwd, [...FROM, '--to', url]);
    expect(code).toBe(78);
    expect(output).toMatch(/ holds messages already, which would mix up the order of those to come; name another /);
    expect(output).not.toContain(`:${new URL(url).password}@`);
  });
});
