import { Socket } from 'node:net';
import type { Clock } from '../../clock.ts';
import type { Database } from './database.ts';

export interface AnnouncementsOptions {
  readonly database: Database;
  readonly clock: Pick<Clock, 'sleep'>;
  /** Tells this process from the others. */
  readonly replica: string;
}

/** NOTIFY takes a lock of the whole server's at its commit: it stays seldom, whatever is stored. */
const PAUSE_MS = 100;
const RECONNECT_MS = 1_000;
/** A payload holds 8000 bytes, a name at most 64. */
const ACCOUNTS_A_TIME = 100;

/**
 * Tells other processes of the same database that messages of an account wait (LISTEN and NOTIFY). A hint: behind a pooler
 * it may not get through, and what is not heard is found by looking.
 */
export class Announcements {
  readonly #options: AnnouncementsOptions;
  readonly #closing = new AbortController();
  readonly #accounts = new Set<string>();
  #telling: Promise<void> | undefined;
  #listening: Promise<void> | undefined;
  #socket: Socket | undefined;

  constructor(options: AnnouncementsOptions) {
    this.#options = options;
  }

  /** Tells the others soon. */
  announce(account: string): void {
    this.#accounts.add(account);
    this.#telling ??= this.#tell();
  }

  /** Hands on what the others tell. */
  listen(onAnnounced: (account: string) => void): void {
    this.#listening ??= this.#listen(onAnnounced);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    // Not asked to end: where nothing gets through, that would be waited for for ever.
    this.#socket?.destroy();
    await Promise.all([this.#telling, this.#listening]);
  }

  async #tell(): Promise<void> {
    const { database, clock, replica } = this.#options;
    while (this.#accounts.size > 0 && !this.#closing.signal.aborted) {
      const accounts = [...this.#accounts].slice(0, ACCOUNTS_A_TIME);
      for (const account of accounts) this.#accounts.delete(account);
      const payload = JSON.stringify({ from: replica, accounts });
      // Whoever does not hear of it finds it by looking.
      await database.query('select pg_notify($1, $2)', [database.schemaName, payload]).catch(() => undefined);
      await clock.sleep(PAUSE_MS, this.#closing.signal);
    }
    this.#telling = undefined;
  }

  async #listen(onAnnounced: (account: string) => void): Promise<void> {
    const { clock } = this.#options;
    while (!this.#closing.signal.aborted) {
      await this.#hear(onAnnounced).catch(() => undefined);
      await clock.sleep(RECONNECT_MS, this.#closing.signal);
    }
  }

  /** Until the connection breaks. */
  async #hear(onAnnounced: (account: string) => void): Promise<void> {
    const { database, replica } = this.#options;
    const socket = new Socket();
    const client = database.client(socket);
    const broken = new Promise<void>((resolve) => {
      client.on('error', () => resolve());
      client.on('end', () => resolve());
    });
    client.on('notification', ({ payload }) => {
      const said = read(payload);
      if (said?.from !== replica) for (const account of said?.accounts ?? []) onAnnounced(account);
    });
    this.#socket = socket;
    try {
      await client.connect();
      await client.query(`listen ${database.schema}`);
      await broken;
    } finally {
      socket.destroy();
    }
  }
}

/** Anybody who may connect may notify. */
function read(payload: string | undefined): { from: unknown; accounts: readonly string[] } | undefined {
  try {
    const said: unknown = JSON.parse(payload ?? '');
    if (typeof said !== 'object' || said === null || !('from' in said) || !('accounts' in said)) return undefined;
    const { from, accounts } = said;
    return Array.isArray(accounts) && accounts.every((name) => typeof name === 'string')
      ? { from, accounts }
      : undefined;
  } catch {
    return undefined;
  }
}
