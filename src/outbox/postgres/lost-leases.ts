import type { Clock } from '../../clock.ts';
import type { Database } from './database.ts';
import { CommitUnknown } from './faults.ts';

export interface LostLeasesOptions {
  readonly database: Database;
  readonly clock: Pick<Clock, 'sleep'>;
}

const RETRY_MS = 1_000;
/** They are looked for in all conversations. */
const GIVE_BACK_MS = 30_000;

/**
 * Leases of transactions that may have been committed without our knowing: nobody delivers from what they have leased.
 * It is given back as soon as the database answers, and nothing of it is in doubt.
 */
export class LostLeases {
  readonly #options: LostLeasesOptions;
  /** By their tokens, with the first transaction that is surely younger than theirs. */
  readonly #tokens = new Map<string, number | undefined>();
  readonly #closing = new AbortController();
  #giving: Promise<void> | undefined;

  constructor(options: LostLeasesOptions) {
    this.#options = options;
  }

  /** Follows a transaction that leases under these tokens. */
  async watch<T>(tokens: readonly string[], transaction: Promise<T>): Promise<T> {
    try {
      return await transaction;
    } catch (error) {
      if (error instanceof CommitUnknown && tokens.length > 0) {
        for (const token of tokens) this.#tokens.set(token, undefined);
        this.#giving ??= this.#giveBack();
      }
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#giving;
  }

  /** Until the transactions have surely ended: what was asked to commit may do so much later than we stop to wait for it. */
  async #giveBack(): Promise<void> {
    while (this.#tokens.size > 0 && !this.#closing.signal.aborted) {
      // What is not given back now is so later.
      await this.#giveSomeBack([...this.#tokens.keys()]).catch(() => undefined);
      if (this.#tokens.size > 0) await this.#options.clock.sleep(RETRY_MS, this.#closing.signal);
    }
    this.#giving = undefined;
  }

  /** They are older than whatever begins once we know; when all of that age have ended, so have they. */
  async #giveSomeBack(tokens: readonly string[]): Promise<void> {
    const { database } = this.#options;
    const { schema, now } = database;
    const { id, oldest } = await database.transaction(
      async (query) => {
        const { rows: own } = await query('select pg_current_xact_id()::text::bigint as id');
        const { rows: others } = await query('select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as oldest');
        await query(
          `update ${schema}.conversations set lease = null, in_flight = null, given_at = null, ready_at = ${now}
          where lease = any ($1)`,
          [tokens],
        );
        return { id: Number(own[0]?.id), oldest: Number(others[0]?.oldest) };
      },
      { withinMs: GIVE_BACK_MS },
    );
    for (const token of tokens) {
      const younger = this.#tokens.get(token) ?? id;
      if (oldest >= younger) this.#tokens.delete(token);
      else this.#tokens.set(token, younger);
    }
  }
}
