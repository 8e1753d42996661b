import { chmod, chown, copyFile, mkdir, open, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
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
  /** Where what is written over is put: somebody may have worked on it for an hour. */
  readonly replacedFolder: string;
}

export interface RolledBack {
  readonly version: string;
  /** What was written, and where what was there before is now. */
  readonly written: readonly { readonly file: string; readonly before: string | undefined }[];
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
  { routingFile, env, providers, now, newName, replacedFolder }: RollbackOptions,
): Promise<RolledBack> {
  const found = versionOf(version, kept);
  const text = await readFile(found.file, 'utf8');
  const read = parseRouting(text, found.file, env, providers);
  await complete({ ...read, sendersFile: found.sendersFile });

  const { sendersFile } = found;
  const place = sendersFileOf(routingFile, read.file);
  const note = { at: new Date(now()).toISOString(), version: found.version };
  // The senders first: a table of the old routes with them would be none that ever was, and only for a moment.
  const files = [
    ...(sendersFile !== undefined && place !== undefined
      ? [{ file: place, kept: sendersFile, write: (to: string) => copyFile(sendersFile, to) }]
      : []),
    { file: routingFile, kept: found.file, write: (to: string) => writeFile(to, withNote(text, note)) },
  ];
  const written: { readonly file: string; readonly before: string | undefined }[] = [];
  for (const { file, ...replacement } of files) {
    const before = await putAside(file, replacedFolder);
    await replace(file, { ...replacement, newName });
    written.push({ file, before });
  }
  return { version: found.version, written };
}

/** @returns where it is now, undefined where there is nothing to be put aside, or it cannot be */
async function putAside(file: string, folder: string): Promise<string | undefined> {
  const place = join(folder, basename(file));
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await copyFile(file, place);
    return place;
  } catch {
    return undefined;
  }
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
    const before = await stat(place).catch(() => undefined);
    await write(next);
    await chmod(next, before?.mode ?? 0o600);
    // An operator who may do anything must not take the file away from the bridge.
    if (before !== undefined) await chown(next, before.uid, before.gid);
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
