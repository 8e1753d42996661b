import type { Clock } from '../../clock.ts';
import type { Row } from '../rows.ts';
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

/** The channels of each version, and of all. */
interface Known {
  readonly versions: ReadonlyMap<string, readonly string[]>;
  readonly channels: ReadonlySet<string>;
}

/** Which routing tables the replicas have in force, and which were. */
export class PostgresTables implements Tables {
  readonly #options: TablesOptions;
  readonly #turn = inTurn();
  #own: Own | undefined;
  /** What the others do not know yet, in the order in which it came in force. */
  #untold: readonly Own[] = [];
  /** As last looked at. What is known already is not asked for again, nor put together: there may be thousands. */
  #known: Known = { versions: new Map(), channels: new Set() };

  constructor(options: TablesOptions) {
    this.#options = options;
  }

  put(table: TableInForce): Promise<void> {
    const own = { ...table, at: this.#options.clock.elapsed() };
    this.#own = own;
    this.#untold = [...this.#untold, own].slice(-REMEMBERED);
    return this.#tell();
  }

  /** Tells of this process' table again, where that failed, or is not known any more. */
  async keep(): Promise<void> {
    const own = this.#own;
    if (own === undefined) return;
    if (this.#untold.length === 0 && !(await this.#isThere(own)) && own === this.#own) this.#untold = [own];
    if (this.#untold.length > 0) await this.#tell();
  }

  async look(): Promise<TablesInSight> {
    // More may come in force meanwhile.
    while (this.#untold.length > 0) await this.#tell();
    const version = this.#own?.version;
    const before = this.#known;
    const { database } = this.#options;
    const { schema, now } = database;
    const rows = await database.ask(
      `select version, since,
        case when version = any (${literals([...before.versions.keys()])}) then null else channels end as channels,
        exists (select 1 from ${schema}.replicas where table_version = version and seen_at > ${now} - ${LIVE_MS}) as is_live
      from ${schema}.tables order by since desc, version = any (${literals(version === undefined ? [] : [version])}) desc, version`,
    );
    const known = knownFrom(rows, before);
    this.#known = known;
    const newest = rows.find((row) => row.is_live === true || row.version === version);
    return {
      newest: newest && { version: String(newest.version), since: Number(newest.since) },
      isBehind: newest !== undefined && newest.version !== version,
      channels: known.channels,
    };
  }

  async #isThere({ version }: Own): Promise<boolean> {
    const { database, replica } = this.#options;
    const { schema } = database;
    const rows = await database.ask(
      `select 1 from ${schema}.replicas join ${schema}.tables on version = table_version
      where id = any (${literals([replica])}) and version = any (${literals([version])})`,
    );
    return rows.length > 0;
  }

  /** What came in force last is told last. */
  #tell(): Promise<void> {
    return this.#turn(async () => {
      const telling = this.#untold;
      await this.#write(telling);
      this.#untold = this.#untold.filter((own) => !telling.includes(own));
    });
  }

  async #write(telling: readonly Own[]): Promise<void> {
    const last = telling.at(-1);
    if (last === undefined) return;
    const { database, replica, clock } = this.#options;
    const { schema, schemaName, now } = database;
    await database.transaction(
      async (query) => {
        // One at a time, each of which sees what those before have in force: what is in force is never forgotten.
        await query('select pg_advisory_xact_lock($1, hashtext($2))', [TABLES_LOCK, schemaName]);
        // Until now those were, also where somebody is about to have another.
        await query(
          `update ${schema}.tables set seq = (select max(seq) + 1 from ${schema}.tables)
          where version in (select table_version from ${schema}.replicas)`,
        );
        for (const { version, channels, ageMs, at } of telling) {
          const age = Math.round(Math.max(0, ageMs) + clock.elapsed() - at);
          await query(
            `insert into ${schema}.tables as t (version, seq, since, channels)
            values ($1, (select coalesce(max(seq), 0) + 1 from ${schema}.tables), ${now} - $2::bigint, $3)
            on conflict (version) do update set seq = excluded.seq, since = greatest(t.since, excluded.since)`,
            [version, age, channels],
          );
        }
        await query(
          `insert into ${schema}.replicas (id, joined_at, seen_at, table_version) values ($1, ${now}, ${now}, $2)
          on conflict (id) do update set seen_at = excluded.seen_at, table_version = excluded.table_version`,
          [replica, last.version],
        );
        await query(
          `delete from ${schema}.tables
          where version not in (select version from ${schema}.tables order by seq desc, version limit ${REMEMBERED})
            and version not in (select table_version from ${schema}.replicas where table_version is not null)`,
        );
      },
      { withinMs: WRITE_MS },
    );
  }
}

/** A version has the channels that it has: where they are the same versions, so are the channels of all. */
function knownFrom(rows: readonly Row[], before: Known): Known {
  const versions = new Map(
    rows.map((row): readonly [string, readonly string[]] => {
      const version = String(row.version);
      return [version, before.versions.get(version) ?? (row.channels as readonly string[])];
    }),
  );
  const isSame = versions.size === before.versions.size && [...versions.keys()].every((it) => before.versions.has(it));
  return isSame ? before : { versions, channels: new Set([...versions.values()].flat()) };
}
