import { chmod, copyFile, open, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { propertyOf } from '../fault.ts';
import type { Catalog } from './catalog.ts';
import { complete, parseRouting } from './load.ts';
import { withNote } from './note.ts';
import type { Environment } from './references.ts';
import { sendersFileOf } from './senders-file.ts';
import type { KeptVersion } from './versions.ts';

/** There is nothing to go back to by that name, or no way to write it. */
export class RollbackRefused extends Error {
  override readonly name = 'RollbackRefused';
}

export interface RollbackOptions {
  readonly routingFile: string;
  readonly env: Environment;
  readonly providers: Catalog;
  readonly now: () => number;
  /** Part of the name of a file that is there for a moment. */
  readonly newName: () => string;
}

/**
 * Writes a version back to the routing file, with a note of it, and its senders file with it. Whoever watches the file
 * reads it then.
 *
 * @param version the first characters of its name are enough
 * @throws {RollbackRefused}; {RoutingRefused} where it is no good one any more, since what it refers to has changed: then nothing is written
 */
export async function rollBack(
  version: string,
  kept: readonly KeptVersion[],
  { routingFile, env, providers, now, newName }: RollbackOptions,
): Promise<KeptVersion> {
  const found = versionOf(version, kept);
  const text = await readFile(found.file, 'utf8');
  const read = parseRouting(text, found.file, env, providers);
  await complete({ ...read, sendersFile: found.sendersFile });

  const { sendersFile } = found;
  const place = sendersFileOf(routingFile, read.file);
  const note = { at: new Date(now()).toISOString(), version: found.version };
  // The senders first: a table of the old routes with them would be none that ever was, and only for a moment.
  if (sendersFile !== undefined && place !== undefined) {
    await replace(place, { write: (to) => copyFile(sendersFile, to), kept: sendersFile, newName });
  }
  await replace(routingFile, { write: (to) => writeFile(to, withNote(text, note)), kept: found.file, newName });
  return found;
}

/** The one that is called so. @throws {RollbackRefused} */
function versionOf(version: string, kept: readonly KeptVersion[]): KeptVersion {
  const [found, ...others] = kept.filter((one) => one.version.startsWith(version));
  if (found !== undefined && others.length === 0) return found;
  const names = kept.map((one) => one.version).join(', ');
  const there = kept.length === 0 ? 'no version is kept' : `kept are ${names}`;
  throw new RollbackRefused(`there is no one version "${version}"; ${there}`);
}

interface Replacement {
  readonly write: (to: string) => Promise<void>;
  /** Where it is taken from. */
  readonly kept: string;
  readonly newName: () => string;
}

/** What says that a file cannot be replaced by another. It may be written all the same: a file that is mounted by itself. */
const IN_PLACE = new Set(['EBUSY', 'EXDEV', 'EACCES', 'EPERM', 'EROFS']);

async function replace(path: string, { write, kept, newName }: Replacement): Promise<void> {
  // A link stays one.
  const place = await realpath(path).catch(() => path);
  const next = `${place}.${newName()}`;
  try {
    const mode = (await stat(place).catch(() => undefined))?.mode ?? 0o600;
    await write(next);
    await chmod(next, mode);
    await sync(next);
    await rename(next, place);
  } catch (error) {
    await rm(next, { force: true }).catch(() => undefined);
    const code = String(propertyOf(error, 'code'));
    if (!IN_PLACE.has(code)) throw error;
    await write(place).catch(() => {
      const advice = `what it should say is in ${kept}: put that where the file comes from`;
      throw new RollbackRefused(`${path} cannot be written here (${code}); ${advice}`, { cause: error });
    });
  }
}

async function sync(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  await handle.sync();
  await handle.close();
}
