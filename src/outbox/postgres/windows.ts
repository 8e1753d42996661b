import { CLOCKS_DIFFER_MS, windowOf } from '../repeat.ts';
import type { Entry } from '../store.ts';
import { repeatKey } from './conversation.ts';
import type { Database, Query } from './database.ts';

/**
 * Opens the windows of entries within the transaction that stores them, or prolongs those that others have opened. One of
 * another transaction that is under way is waited for; in the order of their keys, so that two who do so cannot wait for
 * each other. Also a repeat is written, so that our own commit is confirmed only when that of its first one is.
 *
 * @returns the id of the first one, for each entry that is a repeat within its window
 */
export async function openWindows(
  database: Database,
  query: Query,
  entries: readonly Entry[],
): Promise<ReadonlyMap<Entry, string>> {
  const windowed = entries.flatMap((entry) => {
    const window = windowOf(entry);
    return window ? { entry, withinMs: window.withinMs, key: repeatKey(entry.channel, window.key) } : [];
  });
  if (windowed.length === 0) return new Map();
  /** The first entry of each key: if its window is new, the others are repeats of it. */
  const heads = new Map(windowed.toReversed().map((one) => [one.key, one]));
  const opened = [...heads.values()];
  const { rows } = await query(statement(database), [
    opened.map(({ key }) => key),
    opened.map(({ entry }) => entry.id),
    opened.map(({ withinMs }) => withinMs),
  ]);
  const firsts = new Map(rows.map(({ key, id }) => [key, String(id)]));
  return new Map(
    windowed.flatMap(({ entry, key }) => {
      const first = firsts.get(key);
      return first === undefined || first === entry.id ? [] : [[entry, first] as const];
    }),
  );
}

/** Each goes by the time at which its transaction began, and so may come to a window that was opened a little later than now. */
function statement({ schema, now }: Database): string {
  const isOpen = `r.until > ${now} and r.until <= excluded.until + ${CLOCKS_DIFFER_MS}`;
  return `
    insert into ${schema}.repeats as r (key, id, until)
    select key, id, ${now} + within_ms from unnest($1::uuid[], $2::text[], $3::bigint[]) as w (key, id, within_ms)
    order by key
    on conflict (key) do update set
      id = case when ${isOpen} then r.id else excluded.id end,
      until = case when ${isOpen} then greatest(r.until, excluded.until) else excluded.until end
    returning key, id`;
}
