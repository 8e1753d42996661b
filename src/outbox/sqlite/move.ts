import type { DatabaseSync } from 'node:sqlite';
import { textOf } from '../rows.ts';
import { StoreRefused } from '../store.ts';

/** That the messages of a file are moved to another database, or were, as the file itself has it. */
export interface Move {
  /** By which the other database knows the file. */
  readonly source: string;
  /** Where to; null until all of them are there. From then on they are not delivered from the file any more. */
  readonly target: string | null;
  /** Milliseconds since the epoch; null until they are delivered from there. */
  readonly movedAt: number | null;
}

/** @returns undefined where nobody has begun to move anything */
export function moveOf(database: DatabaseSync): Move | undefined {
  const row = database.prepare('select source, target, moved_at from move').get();
  if (row === undefined) return undefined;
  const movedAt = row.moved_at === null ? null : Number(row.moved_at);
  return { source: String(row.source), target: textOf(row.target), movedAt };
}

/**
 * Keeps a file from being worked on whose messages are delivered from elsewhere. One of which only some were moved so far
 * is given another name when it is moved again: what is done here from now on the copies know nothing of.
 *
 * @throws {StoreRefused}
 */
export function stay(database: DatabaseSync, file: string): void {
  const { target = null, movedAt = null } = moveOf(database) ?? {};
  if (target === null) {
    database.exec('delete from move');
    return;
  }
  if (movedAt === null) {
    const advice = 'run migrate once more, to its end, and then set DATABASE_URL to it';
    throw new StoreRefused(`the messages of ${file} are being moved to ${target}; ${advice}.`);
  }
  const when = new Date(movedAt).toISOString();
  throw new StoreRefused(`the messages of ${file} were moved to ${target} on ${when}; set DATABASE_URL to it.`);
}
