import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startServer } from '../test/support/server.ts';
import { statOf } from './server.ts';

/** A PostgreSQL under measurement. */
export interface Postgres extends AsyncDisposable {
  /** A new and empty database. @returns its URL */
  newDatabase(): Promise<string>;
  /** User and system time of all its processes so far, also of those that have ended. */
  cpuMs(): number;
}

/** Ten replicas and the bench itself; all else is as PostgreSQL comes. */
const MAX_CONNECTIONS = 200;

/** Writes to disk with each commit, below the system's temporary folder (`TMPDIR`). */
export async function startPostgres(): Promise<Postgres> {
  const server = await startServer({ fsync: true, settings: { max_connections: MAX_CONNECTIONS } });
  const [postmaster] = readFileSync(join(server.dataFolder, 'postmaster.pid'), 'utf8').split('\n').map(Number);
  if (postmaster === undefined) throw new Error('PostgreSQL does not say which process it is');
  let databases = 0;
  return {
    newDatabase: async () => {
      databases += 1;
      const name = `bench_${databases}`;
      await server.query(`create database ${name}`);
      const url = new URL(server.url);
      url.pathname = name;
      return url.href;
    },
    cpuMs: () => cpuOfFamily(postmaster),
    [Symbol.asyncDispose]: () => server.close(),
  };
}

/** A connection has a process of its own, and the postmaster, the parent of all, keeps the time of those that have ended. */
function cpuOfFamily(postmaster: number): number {
  const { cpuMs, endedCpuMs } = statOf(postmaster);
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const children = pids.map(Number).map((pid) => {
    try {
      const { parent, cpuMs } = statOf(pid);
      return parent === postmaster ? cpuMs : 0;
    } catch {
      // It has ended meanwhile.
      return 0;
    }
  });
  return cpuMs + endedCpuMs + children.reduce((sum, ms) => sum + ms, 0);
}
