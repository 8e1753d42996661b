import type { Clock } from '../../clock.ts';
import { REMEMBERED, type TableInForce, type Tables, type TablesInSight } from '../tables.ts';
import { type Database, literals } from './database.ts';
import { inTurn } from './pace.ts';
import { LIVE_MS } from './sight.ts';

export interface TablesOptions {
  readonly database: Database;
  /** This process, among those that share the database. */
  readonly replica: string;
  readonly clock: Pick<Clock, 'elapsed'>;
}

/** Within one schema, whoever writes which tables are in force: "tabl" in ASCII. */
const TABLES_LOCK = 0x7461626c;
/** Strangers may wait for it. */
const WRITE_MS = 2_000;

/** This process' table, and when it was put, by the clock that only goes forward. */
type Own = TableInForce & { readonly at: number };

/** Which routing tables the replicas have in force, and which were. */
export class PostgresTables implements Tables {
  readonly #options: TablesOptions;
  readonly #turn = inTurn();
  #own: Own | undefined;
  #isTold = true;
  /** The channels of versions, as last looked at. What is known already is not asked for again: there may be thousands. */
  #channels: ReadonlyMap<string, readonly string[]> = new Map();

  constructor(options: TablesOptions) {
    this.#options = options;
  }

  put(table: TableInForce): Promise<void> {
    const own = { ...table, at: this.#options.clock.elapsed() };
    this.#own = own;
    this.#isTold = false;
    return this.#tell(own);
  }

  /** Tells of this process' table again, where that failed, or is not known any more. */
  async keep(): Promise<void> {
    const own = this.#own;
    if (own === undefined) return;
    const { database, replica } = this.#options;
    const { schema } = database;
    const known = await database.ask(
      `select 1 from ${schema}.replicas join ${schema}.tables on version = table_version
      where id = any (${literals([replica])}) and version = any (${literals([own.version])})`,
    );
    if (known.length === 0 && own === this.#own) await this.#tell(own);
  }

  async look(): Promise<TablesInSight> {
    if (this.#own !== undefined && !this.#isTold) await this.#tell(this.#own);
    const version = this.#own?.version;
    const { database } = this.#options;
    const { schema, now } = database;
    const rows = await database.ask(
      `select version, since,
        case when version = any (${literals([...this.#channels.keys()])}) then null else channels end as channels,
        exists (select 1 from ${schema}.replicas where table_version = version and seen_at > ${now} - ${LIVE_MS}) as is_live
      from ${schema}.tables order by since desc, version = any (${literals(version === undefined ? [] : [version])}) desc, version`,
    );
    const channels = rows.map((row): readonly [string, readonly string[]] => {
      const name = String(row.version);
      return [name, this.#channels.get(name) ?? (row.channels as readonly string[])];
    });
    this.#channels = new Map(channels);
    const newest = rows.find((row) => row.is_live === true || row.version === version);
    return {
      newest: newest && { version: String(newest.version), since: Number(newest.since) },
      isBehind: newest !== undefined && newest.version !== version,
      channels: new Set(channels.flatMap(([, names]) => names)),
    };
  }

  /** In the order in which it is asked for, so that what came in force last is told last. */
  #tell(own: Own): Promise<void> {
    return this.#turn(async () => {
      await this.#write(own);
      if (own === this.#own) this.#isTold = true;
    });
  }

  async #write({ version, channels, ageMs, at }: Own): Promise<void> {
    const { database, replica, clock } = this.#options;
    const { schema, schemaName, now } = database;
    const age = Math.round(Math.max(0, ageMs) + clock.elapsed() - at);
    await database.transaction(
      async (query) => {
        // One at a time, each of which sees what those before have in force: what is in force is never forgotten.
        await query('select pg_advisory_xact_lock($1, hashtext($2))', [TABLES_LOCK, schemaName]);
        await query(
          `insert into ${schema}.tables as t (version, since, channels) values ($1, ${now} - $2::bigint, $3)
          on conflict (version) do update set since = greatest(t.since, excluded.since)`,
          [version, age, channels],
        );
        await query(
          `insert into ${schema}.replicas (id, joined_at, seen_at, table_version) values ($1, ${now}, ${now}, $2)
          on conflict (id) do update set seen_at = excluded.seen_at, table_version = excluded.table_version`,
          [replica, version],
        );
        await query(
          `delete from ${schema}.tables
          where version not in (select version from ${schema}.tables order by since desc, version limit ${REMEMBERED})
            and version not in (select table_version from ${schema}.replicas where table_version is not null)`,
        );
      },
      { withinMs: WRITE_MS },
    );
  }
}
