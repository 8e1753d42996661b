import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { systemClock } from '../../src/clock.ts';
import { type PostgresOptions, PostgresStore } from '../../src/outbox/postgres/store.ts';
import { type LogLine, memoryLog, onTestEnd, until } from '../support/fixtures.ts';
import { startProxy } from '../support/network.ts';
import { type Server, type TestDatabase, testDatabase } from '../support/postgres.ts';

/** What tests of the store on PostgreSQL move one step at a time. */

export interface Kit extends TestDatabase {
  readonly lines: readonly LogLine[];
  /** One more process on the database. It is closed when the test ends, where the test has not done so. */
  start(more?: Partial<PostgresOptions>): Promise<PostgresStore>;
  /** Lets leases end: time is the test's, time limits are of the machine's clock. */
  advance(ms: number): void;
  /** Somebody else's session. */
  session(): Promise<pg.Client>;
  /** Resolves when so many sessions wait for a lock. */
  waiting(count: number): Promise<void>;
}

/** On a database of its own, or on that of a server of the test's. */
export async function openKit(server?: Server): Promise<Kit> {
  const database: TestDatabase = server
    ? { url: server.url, query: (sql, params) => server.query(sql, params) }
    : await testDatabase();
  const { log, lines } = memoryLog();
  let now = Date.parse('2026-11-22T12:30:00Z');
  return {
    ...database,
    lines,
    start: async (more = {}) => {
      const store = await PostgresStore.open({
        url: database.url,
        clock: systemClock,
        now: () => `${now}::bigint`,
        newToken: randomUUID,
        log,
        maxBacklog: 1_000_000,
        eraseAtOnce: false,
        ...more,
      });
      onTestEnd(() => store.close().catch(() => undefined));
      return store;
    },
    advance: (ms) => {
      now += ms;
    },
    session: () => session(database.url),
    waiting: (count) =>
      until(`${count} wait for a lock`, async () => {
        const rows = await database.query(
          "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        );
        return rows.length >= count;
      }),
  };
}

export async function session(url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  await client.connect();
  onTestEnd(() => client.end());
  return client;
}

/** A network before the database, of the test. */
export async function networkBefore(url: string) {
  const proxy = await startProxy(Number(new URL(url).port), new URL(url).hostname);
  onTestEnd(() => proxy.close());
  return proxy;
}

/** Locks all conversations that there are, as who changes them does. @returns what lets go of them */
export async function lockConversations(holder: pg.Client): Promise<() => Promise<void>> {
  await holder.query('begin');
  await holder.query('select 1 from haptik_bridge.conversations for update');
  return async () => {
    await holder.query('commit');
  };
}

const GATE = 7_001;

/**
 * Makes every commit that changes the table wait in the database until the gate is opened: it has been asked for, and
 * nobody knows yet. @returns what opens it, for good
 */
export async function holdCommits(
  kit: Kit,
  table: 'messages' | 'conversations' | 'tables',
): Promise<() => Promise<void>> {
  await kit.query(`
    create function haptik_bridge.wait_at_gate() returns trigger language plpgsql as
      $$ begin perform pg_advisory_xact_lock_shared(${GATE}); return null; end $$;
    create constraint trigger gate after insert or update on haptik_bridge.${table}
      deferrable initially deferred for each row execute function haptik_bridge.wait_at_gate()`);
  const keeper = await kit.session();
  await keeper.query(`select pg_advisory_lock(${GATE})`);
  return async () => {
    await keeper.query(`select pg_advisory_unlock(${GATE})`);
  };
}

/** How long it took, in milliseconds, and how it ended. */
export async function timed<T>(work: Promise<T>): Promise<{ readonly ms: number; readonly error: unknown }> {
  const startedAt = performance.now();
  const error = await work.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  return { ms: performance.now() - startedAt, error };
}
