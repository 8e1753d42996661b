import { readFile } from 'node:fs/promises';
import { messageOf, propertyOf } from '../../fault.ts';
import type { Catalog } from '../catalog.ts';
import type { Environment } from '../document/references.ts';
import { complete, parseRouting } from '../load.ts';
import { sendersFileOf } from '../senders/file.ts';
import { withNote } from './note.ts';
import { NotReplaced, replaceFiles } from './replace-files.ts';
import type { KeptVersion, KeptVersions } from './versions.ts';

/** There is nothing to go back to by that name, or no way to write it. */
export class RollbackRefused extends Error {
  override readonly name = 'RollbackRefused';
}

export interface RollbackOptions {
  readonly kept: KeptVersions;
  readonly routingFile: string;
  readonly env: Environment;
  readonly providers: Catalog;
  readonly now: () => number;
  /** Part of the name of a file that is there for a moment. */
  readonly newName: () => string;
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
 * @throws {RollbackRefused}; {RoutingRefused} where it is no good one any more, since what it refers to has changed. Then
 * nothing is changed
 */
export async function rollBack(
  version: string,
  { kept, routingFile, env, providers, now, newName }: RollbackOptions,
): Promise<RolledBack> {
  const found = versionOf(version, await kept.list());
  const text = await readFile(found.file, 'utf8');
  const read = parseRouting(text, found.file, env, providers);
  const table = await complete({ ...read, sendersFile: found.sendersFile });
  if (table.version !== found.version) {
    throw new RollbackRefused(`what is kept of version ${found.version} in ${found.file} is damaged; take another one`);
  }
  const note = { at: new Date(now()).toISOString(), version: found.version };
  const senders = sendersFileOf(routingFile, read.file);
  // The senders first: who reads in between has the routes that he had.
  const files = [
    ...(senders !== undefined && found.sendersFile !== undefined
      ? [{ file: senders, content: await readFile(found.sendersFile) }]
      : []),
    { file: routingFile, content: Buffer.from(withNote(text, note)) },
  ];
  const replace = async () => {
    const written: { readonly file: string; readonly before: string | undefined }[] = [];
    for (const { file } of files) written.push({ file, before: await kept.putAside(file) });
    await replaceFiles(files, newName).catch((error) => {
      if (!(error instanceof NotReplaced)) throw error;
      const advice = `what the files should say is in ${found.file}: put that where they come from`;
      throw new RollbackRefused(`${messageOf(error)}, and nothing is changed; ${advice}`, { cause: error });
    });
    return { version: found.version, written };
  };
  return kept.whileRollingBack(found.version, replace).catch((error) => {
    if (propertyOf(error, 'code') !== 'EEXIST') throw error;
    throw new RollbackRefused('another rollback is under way; see what it did, and try again', { cause: error });
  });
}

/** The one that is called so. @throws {RollbackRefused} */
function versionOf(version: string, kept: readonly KeptVersion[]): KeptVersion {
  const [found, ...others] = kept.filter((one) => version !== '' && one.version.startsWith(version));
  if (found !== undefined && others.length === 0) return found;
  const names = kept.map((one) => one.version).join(', ');
  const there = kept.length === 0 ? 'no version is kept' : `kept are ${names}`;
  throw new RollbackRefused(`there is no one version "${version}"; ${there}`);
}
