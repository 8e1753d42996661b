import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { backup, type DatabaseSync } from 'node:sqlite';
import { messageOf, propertyOf } from '../../fault.ts';
import { BackupRefused } from '../records.ts';

/** A copy's pages at a time: few enough that nobody notices, many enough that it ends before long. */
const BACKUP_PAGES = 256;
/** Each has a chance of a few in a hundred to fail for nothing, while much is written. */
const BACKUP_TRIES = 20;
/** https://www.sqlite.org/rescode.html */
const SQLITE_OK = 0;

/** Copies the database to a new file, while work goes on. @throws {BackupRefused} */
export async function backUp(database: DatabaseSync, file: string): Promise<void> {
  if (existsSync(file)) throw new BackupRefused(`${file} is there already; name a new file.`);
  const partial = `${file}.partial`;
  try {
    closeSync(openSync(partial, 'wx', 0o600));
  } catch (cause) {
    const advice = existsSync(partial) ? '; remove it, if no other backup is being written' : '';
    throw new BackupRefused(`${partial} cannot be written (${messageOf(cause)})${advice}.`, { cause });
  }
  try {
    await copy(database, partial);
    const written = openSync(partial, 'r+');
    fsyncSync(written);
    closeSync(written);
    renameSync(partial, file);
  } catch (cause) {
    rmSync(partial, { force: true });
    throw new BackupRefused(`${file} could not be written (${messageOf(cause)}).`, { cause });
  }
}

/** A copy that begins in the middle of a transaction is refused by `node:sqlite`, as "not an error": it is begun again. */
async function copy(database: DatabaseSync, file: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await backup(database, file, { rate: BACKUP_PAGES });
      return;
    } catch (error) {
      if (propertyOf(error, 'errcode') !== SQLITE_OK || tries === BACKUP_TRIES) throw error;
    }
  }
}
