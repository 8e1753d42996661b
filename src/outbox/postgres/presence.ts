import type { Clock } from '../../clock.ts';
import type { Tally } from '../tally.ts';
import type { WriteHealth } from '../write-health.ts';
import { type Database, literals } from './database.ts';
import type { PostgresTables } from './tables.ts';

export interface PresenceOptions {
  readonly database: Database;
  /** This process, among those that share the database. */
  readonly replica: string;
  /** What waits in each account: counted anew now and then, since others store and deliver too. */
  readonly waiting: Tally;
  /** Those that this process delivers for. */
  readonly accounts: () => readonly string[];
  /** Which routing table this process has in force is known for as long as it is there. */
  readonly tables: Pick<PostgresTables, 'keep'>;
  readonly clock: Pick<Clock, 'elapsed' | 'sleep'>;
}

/** Others take a process for gone that is not seen three times. */
const BEAT_MS = 5_000;
const RETRY_MS = 1_000;
/** How many times longer than it took what waits is not counted again. */
const SPARING = 100;
/**
 * Nothing is due later than that: what is was made due by a clock that was set back since. It is due now, but for what is
 * leased: whoever holds that is given the time of a lease to say so.
 */
const FURTHEST_MS = 3_660_000;
const LEASE_MS = 15_000;

/** That a process is there, and shares what all have to do. */
export class Presence {
  readonly #options: PresenceOptions;
  readonly #leaving = new AbortController();
  #keeping: Promise<void> | undefined;
  #countAt = Number.NEGATIVE_INFINITY;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  /** Says so; what is written shows also whether the database can be written. */
  async say(): Promise<void> {
    const { database, replica } = this.#options;
    const { schema, now } = database;
    const accounts = this.#options.accounts();
    await database.ask(`
      insert into ${schema}.replicas (id, joined_at, seen_at) select id, ${now}, ${now} from unnest(${literals([replica])}) as r (id)
      on conflict (id) do update set seen_at = excluded.seen_at;
      update ${schema}.conversations set ready_at = ${now} + case when lease is null then 0 else ${LEASE_MS} end
      where id = any (array(
        select c.id from unnest(${literals(accounts)}) as w (account) join ${schema}.conversations c
          on c.account = w.account and c.stopped_by is null and c.ready_at > ${now} + ${FURTHEST_MS}
        for update of c skip locked
      ))`);
  }

  /** Goes on saying so, until it leaves. */
  keep(health: WriteHealth): void {
    this.#keeping ??= this.#keep(health);
  }

  async #keep(health: WriteHealth): Promise<void> {
    const { clock, tables } = this.#options;
    for (let pause = BEAT_MS; ; ) {
      await clock.sleep(pause, this.#leaving.signal);
      if (this.#leaving.signal.aborted) return;
      try {
        await health.watch(this.say());
        await tables.keep();
        if (clock.elapsed() >= this.#countAt) await this.count();
        pause = BEAT_MS;
      } catch {
        // Whoever accepts or claims says so.
        pause = RETRY_MS;
      }
    }
  }

  async count(): Promise<void> {
    const { database, waiting, clock } = this.#options;
    const startedAt = clock.elapsed();
    const rows = await database.ask(
      `select account, sum(pending) as waiting from ${database.schema}.conversations group by account`,
    );
    waiting.set(new Map(rows.map(({ account, waiting }) => [String(account), Number(waiting)])));
    this.#countAt = clock.elapsed() + (clock.elapsed() - startedAt) * SPARING;
  }

  /** Otherwise the others find out by themselves. */
  async leave(): Promise<void> {
    this.#leaving.abort();
    await this.#keeping;
    const { database, replica } = this.#options;
    const gone = `delete from ${database.schema}.replicas where id = any (${literals([replica])})`;
    await database.ask(gone).catch(() => undefined);
  }
}
