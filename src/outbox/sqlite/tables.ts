import type { DatabaseSync } from 'node:sqlite';
import type { Clock } from '../../clock.ts';
import { REMEMBERED, type TableInForce, type Tables, type TablesInSight } from '../tables.ts';
import type { GroupCommit } from './group-commit.ts';

export interface TablesOptions {
  readonly database: DatabaseSync;
  readonly commits: GroupCommit;
  readonly clock: Pick<Clock, 'now'>;
}

/** The routing tables that were in force on the SQLite file. Whoever owns it has the only one that is. */
export function sqliteTables({ database, commits, clock }: TablesOptions): Tables {
  const put = database.prepare(`
    insert into tables (version, since, channels) values (:version, :since, :channels)
    on conflict (version) do update set since = max(since, excluded.since), seq = (select max(seq) + 1 from tables)`);
  const forget = database.prepare(`
    delete from tables where seq not in (select seq from tables order by seq desc limit ${REMEMBERED})`);
  const remembered = database.prepare('select version, since, channels from tables');
  let own: string | undefined;
  /** What is not written yet, in the order in which it came in force. */
  let untold: readonly { readonly version: string; readonly since: number; readonly channels: string }[] = [];
  /** What is there, until something is written. */
  let seen: TablesInSight | undefined;

  async function tell(): Promise<void> {
    const telling = untold;
    await commits.run(() => {
      for (const table of telling) put.run(table);
      forget.run();
    });
    untold = untold.filter((table) => !telling.includes(table));
    seen = undefined;
  }

  function read(): TablesInSight {
    const rows = remembered.all().map((row) => ({
      version: String(row.version),
      since: Number(row.since),
      channels: JSON.parse(String(row.channels)) as readonly string[],
    }));
    const newest = rows.find(({ version }) => version === own);
    return {
      newest: newest && { version: newest.version, since: newest.since },
      isBehind: false,
      channels: new Set(rows.flatMap(({ channels }) => channels)),
    };
  }

  return {
    put({ version, ageMs, channels }: TableInForce) {
      const since = Math.round(clock.now() - Math.max(0, ageMs));
      own = version;
      untold = [...untold, { version, since, channels: JSON.stringify(channels) }].slice(-REMEMBERED);
      return tell();
    },
    async look() {
      // More may come in force meanwhile.
      while (untold.length > 0) await tell();
      seen ??= read();
      return seen;
    },
  };
}
