import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { messageOf, propertyOf } from '../../fault.ts';
import { FileInUse, StoreRefused, StoreUnavailable } from '../store.ts';
import { stay } from './move.ts';
import { identify, migrate } from './schema.ts';

/** Enough for the indexes of a backlog of 100,000 messages; what does not fit is read from disk for each accept. */
const CACHE_KIB = 16_384;
const COMMITS_MEASURED = 5;
/** https://www.sqlite.org/rescode.html */
const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_IOERR = 10;
const SQLITE_FULL = 13;
/** Of an extended code, such as IOERR_WRITE, the last byte is the code. */
const PRIMARY = 0xff;

/**
 * Opens the file for this process alone, made where there is none, and brought to today's schema.
 *
 * @throws {FileInUse} when another process has it; {StoreUnavailable} when its disk is full or fails; {StoreRefused} when it cannot be used
 */
export function openFile(file: string): DatabaseSync {
  return open(file, (database) => stay(database, file));
}

/** As `openFile`, to move the messages: also of a file from which they were moved already. */
export function openToMove(file: string): DatabaseSync {
  return open(file, () => undefined);
}

function open(file: string, check: (database: DatabaseSync) => void): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    mkdirSync(dirname(file), { recursive: true });
    // What customers write is nobody else's business on this machine.
    closeSync(openSync(file, 'a', 0o600));
    database = new DatabaseSync(file);
    // locking_mode before WAL is first touched, auto_vacuum before the first table: later they have no effect.
    database.exec('pragma locking_mode = exclusive');
    identify(database, file);
    database.exec(`
      pragma auto_vacuum = incremental;
      pragma journal_mode = wal;
      pragma synchronous = full;
      pragma cache_size = -${CACHE_KIB};
    `);
    migrate(database);
    check(database);
    return database;
  } catch (error) {
    database?.close();
    throw refusalOf(error, file);
  }
}

/** What keeps a file from being used, in words that say what to do. */
export function refusalOf(cause: unknown, file: string): FileInUse | StoreUnavailable | StoreRefused {
  if (cause instanceof StoreRefused) return cause;
  const code = Number(propertyOf(cause, 'errcode')) & PRIMARY;
  if (code === SQLITE_FULL || code === SQLITE_IOERR) {
    return new StoreUnavailable(`${file} cannot be written (${messageOf(cause)}); make room on its disk.`, { cause });
  }
  if (code === SQLITE_BUSY || code === SQLITE_LOCKED) {
    const advice = 'a file has one owner. Stop the other one, or name another file in DATABASE_URL';
    return new FileInUse(`${file} is in use by another process; ${advice}.`, { cause });
  }
  return new StoreRefused(`${file} cannot be used (${messageOf(cause)}); see DATABASE_URL.`, { cause });
}

/** What the smallest change that reaches the disk costs, in milliseconds: the median of a few. */
export function commitCost(database: DatabaseSync, elapsed: () => number): number {
  const { application_id: id } = database.prepare('pragma application_id').get() ?? {};
  const costs = Array.from({ length: COMMITS_MEASURED }, () => {
    const start = elapsed();
    database.exec(`pragma application_id = ${Number(id)}`);
    return elapsed() - start;
  });
  return costs.toSorted((a, b) => a - b)[Math.floor(COMMITS_MEASURED / 2)] ?? 0;
}
