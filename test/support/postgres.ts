import { randomUUID } from 'node:crypto';
import { afterAll } from '@jest/globals';
import pg from 'pg';
import { onTestEnd } from './fixtures.ts';
import { type Server, startServer } from './server.ts';

export { type Server, type ServerOptions, startServer } from './server.ts';

export interface TestDatabase {
  readonly url: string;
  /** Over a connection that is the test's own. */
  query<Row extends object>(sql: string, params?: readonly unknown[]): Promise<Row[]>;
}

/** Of the file of tests that runs: started for the first test that wants a database. */
let server: Promise<Server> | undefined;

afterAll(async () => {
  // One that failed to start has been reported by the test that wanted it, and has cleaned up after itself.
  await (await server?.catch(() => undefined))?.close();
});

/**
 * An empty database, which is gone after the test with all connections to it. It is on the server of TEST_DATABASE_URL,
 * whose user must be permitted to create databases; without that, on one that is started for this file of tests.
 */
export async function testDatabase(): Promise<TestDatabase> {
  const serverUrl = process.env.TEST_DATABASE_URL || (await ownServer()).url;
  const name = `haptik_bridge_test_${randomUUID().replaceAll('-', '')}`;
  // The fastest that PostgreSQL has, where nothing waits for a disk: 8 ms.
  await execute(serverUrl, `create database ${name} template template0 strategy file_copy`);
  const url = new URL(serverUrl);
  url.pathname = name;
  const pool = new pg.Pool({ connectionString: url.href, max: 1 });
  pool.on('error', () => undefined);
  onTestEnd(async () => {
    // Begun before: where nobody is connected it takes 5 ms, otherwise 100. Waited for after it: a statement of the
    // test's that waits for a lock is ended by it.
    const ended = pool.end();
    await execute(serverUrl, `drop database ${name} with (force)`);
    await ended;
  });
  return {
    url: url.href,
    query: async <Row extends object>(sql: string, params: readonly unknown[] = []) =>
      (await pool.query<Row>(sql, [...params])).rows,
  };
}

function ownServer(): Promise<Server> {
  server ??= startServer();
  return server;
}

async function execute(url: string, statement: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
