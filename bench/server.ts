import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtempDisposable } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** One server under measurement, in a process of its own. */
export interface Server extends AsyncDisposable {
  readonly url: string;
  /** From spawn until it answered. */
  readonly startMs: number;
  /** User and system time of all its threads so far. */
  cpuMs(): number;
  residentMb(): number;
}

export interface Bridge extends Server {
  /** Of its operator's listener. */
  readonly adminUrl: string;
}

export const ROUTING_FILE = join(import.meta.dirname, 'routing.yaml');
const CLI = join(import.meta.dirname, '../src/cli.ts');
/** Where the bridge stores by default. Not the system's temporary folder: that may be memory, where an fsync is free. */
const DATA = join(import.meta.dirname, '../data');

/** /proc counts in hundredths of a second on every Linux. */
const MS_PER_TICK = 10;
const POLL_MS = 5;
const START_LIMIT_MS = 30_000;

/** A folder on the disk that the bridge would use; gone when disposed of. */
export async function scratchFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  await mkdir(DATA, { recursive: true });
  return mkdtempDisposable(join(DATA, 'bench-'));
}

/** The whole bridge, as an operator starts it; on SQLite in the folder, unless `env` names another database. */
export async function startBridge(
  folder: string,
  env: Readonly<Record<string, string>>,
  nodeOptions: readonly string[] = [],
): Promise<Bridge> {
  const adminPort = String(await freePort());
  const settings = {
    ROUTING_FILE,
    DATABASE_URL: `sqlite:${join(folder, 'bridge.db')}`,
    LOG_FORMAT: 'json',
    ADMIN_PORT: adminPort,
    ...env,
  };
  // With another database its compile cache is below the working directory, and gone with the folder too.
  const server = await start([...nodeOptions, CLI, 'serve'], settings, '/readyz', folder);
  return { ...server, adminUrl: `http://127.0.0.1:${adminPort}` };
}

/** One of the servers in this folder. */
export function startBenchServer(file: string, env: Readonly<Record<string, string>> = {}): Promise<Server> {
  return start([join(import.meta.dirname, file)], env, '/');
}

async function start(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  probe: string,
  cwd = import.meta.dirname,
): Promise<Server> {
  const port = String(await freePort());
  const url = `http://127.0.0.1:${port}`;
  const spawnedAt = performance.now();
  const child = spawn(process.execPath, args, {
    // Away from the `.env` of whoever runs this, and with its own environment only.
    cwd,
    env: { PATH: process.env.PATH, HOST: '127.0.0.1', PORT: port, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const exited = once(child, 'exit');
  const running = () => child.exitCode === null && child.signalCode === null;
  while (!(await answers(url + probe))) {
    const elapsed = performance.now() - spawnedAt;
    if (!running() || elapsed > START_LIMIT_MS) {
      child.kill();
      throw new Error(`${args.join(' ')} did not start`);
    }
    await sleep(POLL_MS);
  }
  return {
    url,
    startMs: performance.now() - spawnedAt,
    cpuMs: () => statOf(Number(child.pid)).cpuMs,
    residentMb: () => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1_024,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      if (running()) await exited;
    },
  };
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('there is no free port');
  return address.port;
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url);
    await response.arrayBuffer();
    return response.status < 500;
  } catch {
    return false;
  }
}

export interface ProcessStat {
  readonly parent: number;
  /** User and system time of all its threads so far. */
  readonly cpuMs: number;
  /** The same of its children that have ended. */
  readonly endedCpuMs: number;
}

/** @throws where there is no such process (any more) */
export function statOf(pid: number): ProcessStat {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name, in parentheses, may hold anything.
  const [, parent = 0, , , , , , , , , , user = 0, system = 0, endedUser = 0, endedSystem = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  return { parent, cpuMs: (user + system) * MS_PER_TICK, endedCpuMs: (endedUser + endedSystem) * MS_PER_TICK };
}
