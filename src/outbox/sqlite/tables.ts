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
    on conflict (version) do update set since = max(since, excluded.since) returning since`);
  const forget = database.prepare(`
    delete from tables where version <> :version
      and version not in (select version from tables order by since desc, version limit ${REMEMBERED})`);
  const remembered = database.prepare('select channels from tables');
  let newest: TablesInSight['newest'];
  let channels: ReadonlySet<string> | undefined;
  return {
    async put(table: TableInForce) {
      const { version } = table;
      const since = Math.round(clock.now() - Math.max(0, table.ageMs));
      newest = { version, since };
      newest = await commits.run(() => {
        const row = put.get({ version, since, channels: JSON.stringify(table.channels) });
        forget.run({ version });
        return { version, since: Number(row?.since) };
      });
      channels = undefined;
    },
    async look() {
      channels ??= new Set(remembered.all().flatMap((row) => JSON.parse(String(row.channels)) as readonly string[]));
      return { newest, isBehind: false, channels };
    },
  };
}
