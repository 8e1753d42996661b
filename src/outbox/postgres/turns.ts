import type { Turns } from '../open.ts';
import type { Database } from './database.ts';

/** Whoever has not finished by then has died, or may as well be overtaken: what is done so may be done twice. */
const TURN_MS = 30_000;

export function turnsOf(database: Database, replica: string): Turns {
  const { schema } = database;
  return {
    async begin(key, sinceMs) {
      const { now } = database;
      const taken = await database.query(
        `insert into ${schema}.turns as t (key, holder, until) values ($1, $2, ${now} + $4)
        on conflict (key) do update set holder = excluded.holder, until = excluded.until
          where (t.holder is null or t.until <= ${now}) and (t.done_at is null or t.done_at < ${now} - $3)
        returning 1`,
        [key, replica, Math.ceil(sinceMs), TURN_MS],
      );
      if (taken.rowCount > 0) return 'mine';
      const { rowCount } = await database.query(
        `select 1 from ${schema}.turns where key = $1 and done_at >= ${now} - $2`,
        [key, Math.ceil(sinceMs)],
      );
      return rowCount > 0 ? 'done' : 'busy';
    },
    async finish(key, isDone) {
      const { now } = database;
      await database.query(
        `update ${schema}.turns set holder = null, until = ${now}, done_at = case when $3 then ${now} else done_at end
        where key = $1 and holder = $2`,
        [key, replica, isDone],
      );
    },
  };
}
