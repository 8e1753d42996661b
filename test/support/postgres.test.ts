import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, readlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from '@jest/globals';
import pg from 'pg';
import { onTestEnd, until } from './fixtures.ts';
import { startProxy } from './network.ts';
import { type ServerOptions, startServer, testDatabase } from './postgres.ts';
import { ROOT } from './process.ts';
import { startStandby } from './standby.ts';

async function server(options: ServerOptions = {}) {
  const started = await startServer(options);
  onTestEnd(() => started.close());
  return started;
}

async function client(url: string) {
  const connected = new pg.Client(url);
  connected.on('error', () => undefined);
  await connected.connect();
  onTestEnd(() => connected.end().catch(() => undefined));
  return connected;
}

/** What works in a folder. */
async function processesIn(folder: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const folders = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')));
  return pids.filter((_pid, index) => folders[index]?.startsWith(folder));
}

/** Not the error: one that Node made is none of the class that a test knows as Error. */
const outcome = (promise: Promise<unknown>) =>
  promise.then(
    () => 'answered',
    () => 'failed',
  );

const ids = (rows: readonly { readonly id: number }[]) => rows.map(({ id }) => id);

let last = '';

test('a test has an empty database, whatever another has in its own', async () => {
  const [one, other] = [await testDatabase(), await testDatabase()];
  for (const database of [one, other]) await database.query('create table item (id int primary key)');
  await one.query('insert into item values ($1)', [7]);
  expect(await one.query('select id from item')).toEqual([{ id: 7 }]);
  expect(await other.query('select id from item')).toEqual([]);
  // Left open, in the middle of a transaction: it does not keep the database from going.
  const left = new pg.Client(one.url);
  left.on('error', () => undefined);
  await left.connect();
  await left.query('begin');
  await left.query('lock table item');
  last = new URL(one.url).pathname.slice(1);
});

test('the database of the test before is gone', async () => {
  const { query } = await testDatabase();
  expect(last).toMatch(/^haptik_bridge_test_/);
  expect(await query('select 1 from pg_database where datname = $1', [last])).toEqual([]);
});

test('words are sorted as a language sorts them, and a wrong password is refused', async () => {
  const primary = await server();
  expect(await primary.query(`select 'a' < 'B' and 'B' < 'c' as sorted`)).toEqual([{ sorted: true }]);
  const wrong = new URL(primary.url);
  wrong.password = 'wrong';
  await expect(client(wrong.href)).rejects.toThrow('password authentication failed');
});

test('a server can be stopped, killed and started again, and keeps what is committed', async () => {
  const primary = await server({ fsync: true, settings: { max_connections: 20 } });
  expect(await primary.query('show fsync')).toEqual([{ fsync: 'on' }]);
  expect(await primary.query('show max_connections')).toEqual([{ max_connections: '20' }]);
  await primary.query('create table item (id int)');
  const steps = [
    () => primary.restart(),
    () => primary.stop('immediate').then(() => primary.start()),
    () => primary.kill().then(() => primary.start()),
  ];
  for (const [id, step] of steps.entries()) {
    const open = await client(primary.url);
    const lost = new Promise((resolve) => open.once('end', resolve));
    await primary.query('insert into item values ($1)', [id]);
    await step();
    await lost;
    expect(ids(await primary.query<{ id: number }>('select id from item order by id'))).toHaveLength(id + 1);
  }
});

test('a kill leaves none of its processes, and closing leaves nothing', async () => {
  const primary = await server();
  const busy = await client(primary.url);
  const query = outcome(busy.query('select pg_sleep(1000)'));
  await until('it is under way', async () => {
    const rows = await primary.query(`select 1 from pg_stat_activity where query like 'select pg_sleep%'`);
    return rows.length === 1;
  });
  await primary.kill();
  expect(await query).toBe('failed');
  expect(await processesIn(primary.dataFolder)).toEqual([]);
  expect(primary.isRunning).toBe(false);
  await expect(primary.query('select 1')).rejects.toThrow('ECONNREFUSED');
  await primary.close();
  expect(existsSync(dirname(primary.dataFolder))).toBe(false);
});

test('a server that does not start says why', async () => {
  await expect(server({ settings: { max_connections: 'many' } })).rejects.toThrow('max_connections');
});

test('whoever started a server and dies takes it along', async () => {
  const program = `
    import { startServer } from ${JSON.stringify(join(ROOT, 'test/support/server.ts'))};
    console.log((await startServer()).dataFolder);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestEnd(() => child.kill('SIGKILL'));
  const [printed] = await once(child.stdout.setEncoding('utf8'), 'data');
  const folder = dirname(String(printed).trim());
  expect((await processesIn(folder)).length).toBeGreaterThan(3);
  child.kill('SIGKILL');
  await until('its folder is gone', () => !existsSync(folder));
  expect(await processesIn(folder)).toEqual([]);
});

test('what a primary that is killed has acknowledged is in its standby, which takes its place', async () => {
  const primary = await server();
  await primary.query('create table item (id int)');
  const standby = await startStandby(primary);
  onTestEnd(() => standby.close());
  const proxy = await startProxy(primary.port);
  onTestEnd(() => proxy.close());

  await expect(standby.query('insert into item values (0)')).rejects.toThrow('read-only');
  const writer = await client(proxy.via(primary.url));
  const acknowledged: number[] = [];
  const write = async () => {
    for (let id = 0; ; id += 1) {
      await writer.query('insert into item values ($1)', [id]);
      acknowledged.push(id);
    }
  };
  const writing = outcome(write());
  await until('a hundred are written', () => acknowledged.length >= 100);
  await primary.kill();
  expect(await writing).toBe('failed');

  await standby.promote();
  proxy.retarget(standby.port);
  const { rows } = await (await client(proxy.via(primary.url))).query<{ id: number }>('select id from item');
  const kept = new Set(ids(rows));
  expect(acknowledged.filter((id) => !kept.has(id))).toEqual([]);
  await standby.query('insert into item values (-1)');
});

test('without its standby a primary acknowledges nothing, and goes on when it is back', async () => {
  const primary = await server();
  const standby = await startStandby(primary);
  onTestEnd(() => standby.close());
  await standby.kill();
  const created = primary.query('create table item (id int)');
  await until('it waits for the standby', async () => {
    const rows = await primary.query(`select 1 from pg_stat_activity where wait_event = 'SyncRep'`);
    return rows.length === 1;
  });
  await standby.start();
  await created;
  await until('it is there too', async () => {
    const rows = await standby.query(`select 1 from pg_class where relname = 'item'`);
    return rows.length === 1;
  });
});
