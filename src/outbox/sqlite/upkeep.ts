import type { DatabaseSync } from 'node:sqlite';
import { unseenAttempt } from '../doubt.ts';
import type { Statements } from './statements.ts';

/** What keeps the file small and right, a little at a time; each within a commit. */

/** The share of the file that may be empty: what is given back has to be asked for again when the next burst comes. */
const EMPTY_SHARE = 0.2;

interface Age {
  readonly contentMs: number;
  readonly rowsMs: number;
  readonly limit: number;
}

/** @returns whether there is nothing left to do for now */
export function prune(
  database: DatabaseSync,
  sql: Statements,
  { now, steadyNow }: { readonly now: number; readonly steadyNow: number },
  { contentMs, rowsMs, limit }: Age,
): boolean {
  const erased = Number(sql.erase.run(now - contentMs, limit).changes);
  const pruned = Number(sql.prune.run(now - rowsMs, limit).changes);
  const closed = Number(sql.closeWindows.run(steadyNow, limit).changes);
  const { freelist_count: empty, page_count: all } = sql.freePages.get() ?? {};
  const isSparse = Number(empty) > limit && Number(empty) > Number(all) * EMPTY_SHARE;
  if (isSparse) database.exec(`pragma incremental_vacuum(${limit})`);
  return erased < limit && pruned < limit && closed < limit && !isSparse;
}

/** A conversation that was counted wrong, and by how many. */
export interface Miscount {
  readonly conversation: number;
  readonly account: string;
  readonly by: number;
}

/** @returns where to go on, undefined at the end, and what was wrong */
export function recount(sql: Statements, after: number, limit: number) {
  const rows = sql.counted.all(after, limit);
  const wrong: Miscount[] = [];
  for (const { id, account, pending, waiting } of rows) {
    const by = Number(waiting) - Number(pending);
    if (by === 0) continue;
    sql.recount.run(Number(waiting), Number(id));
    sql.forget.run({ id: Number(id) });
    wrong.push({ conversation: Number(id), account: String(account), by });
  }
  const last = rows.length < limit ? undefined : rows.at(-1)?.id;
  return { next: last === undefined ? undefined : Number(last), wrong };
}

/** The message was given out at that time, and what came of it is not known: the evidence stays with it. */
export function noteDoubt(sql: Pick<Statements, 'doubt'>, seq: number, at: number): void {
  sql.doubt.run({ seq, attempt: JSON.stringify(unseenAttempt(at)) });
}
