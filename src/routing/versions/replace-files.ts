import { open, readFile, realpath, rename, rm } from 'node:fs/promises';
import { propertyOf, reasonOf } from '../../fault.ts';

export interface Replacement {
  readonly file: string;
  readonly content: Buffer;
}

/** A file that cannot be written, and all is as it was. */
export class NotReplaced extends Error {
  override readonly name = 'NotReplaced';
  readonly file: string;

  constructor(file: string, cause: unknown) {
    super(`${file} cannot be written here: ${reasonOf(cause)}`, { cause });
    this.file = file;
  }
}

/** What says that no other file can take the place of this one: it is mounted by itself, or its folder is not ours to write. */
const IN_PLACE = new Set(['EBUSY', 'EXDEV', 'EACCES', 'EPERM', 'EROFS']);
const PRIVATE = 0o600;

/**
 * Puts other contents in place of files: all of them, or none. Each is written beside the one that is there first, as
 * private as that and owned by the same user, and takes its place by a rename; so nobody ever reads half of one. Only where
 * that cannot be it is written over in place.
 *
 * @param newName part of the name of a file that is there for a moment
 * @throws {NotReplaced}
 */
export async function replaceFiles(files: readonly Replacement[], newName: () => string): Promise<void> {
  const ready: Prepared[] = [];
  const undo: (() => Promise<void>)[] = [];
  try {
    for (const replacement of files) ready.push(await prepare(replacement, newName()));
    for (const prepared of ready) undo.unshift(await put(prepared));
  } catch (error) {
    for (const back of undo) await back();
    throw error;
  } finally {
    for (const { next } of ready) if (next !== undefined) await rm(next, { force: true });
  }
}

interface Prepared extends Replacement {
  /** Where it is behind links, which stay links. */
  readonly place: string;
  /** What is there; undefined where nothing is. */
  readonly before: Buffer | undefined;
  /** Written, and only to be renamed; undefined where it has to be written in place. */
  readonly next: string | undefined;
}

async function prepare({ file, content }: Replacement, name: string): Promise<Prepared> {
  const place = await realpath(file).catch(() => file);
  const next = `${place}.${name}`;
  try {
    const before = await readFile(place).catch((error) => {
      if (propertyOf(error, 'code') === 'ENOENT') return undefined;
      throw error;
    });
    try {
      await writeBeside(place, next, content);
      return { file, content, place, before, next };
    } catch (error) {
      await rm(next, { force: true }).catch(() => undefined);
      if (!IN_PLACE.has(String(propertyOf(error, 'code')))) throw error;
      return { file, content, place, before, next: undefined };
    }
  } catch (error) {
    throw new NotReplaced(file, error);
  }
}

/** Owner and rights last: until then nobody else may read it, and afterwards perhaps not even we may write it. */
async function writeBeside(place: string, next: string, content: Buffer): Promise<void> {
  const old = await open(place, 'r').catch(() => undefined);
  const handle = await open(next, 'wx', PRIVATE);
  try {
    await handle.writeFile(content);
    const like = await old?.stat();
    const own = await handle.stat();
    if (like && (like.uid !== own.uid || like.gid !== own.gid)) await handle.chown(like.uid, like.gid);
    if (like) await handle.chmod(like.mode);
    await handle.sync();
  } finally {
    await handle.close();
    await old?.close();
  }
}

/** @returns how to undo it */
async function put({ file, place, content, before, next }: Prepared): Promise<() => Promise<void>> {
  const back = async () => {
    if (before === undefined) await rm(place, { force: true });
    else await overwrite(place, before);
  };
  try {
    if (next !== undefined) {
      await rename(next, place);
      return back;
    }
  } catch (error) {
    if (!IN_PLACE.has(String(propertyOf(error, 'code')))) throw new NotReplaced(file, error);
  }
  try {
    await overwrite(place, content);
    return back;
  } catch (error) {
    // A full disk ends it in the middle. What was there before has kept its place on it.
    await back().catch(() => undefined);
    throw new NotReplaced(file, error);
  }
}

/** Over what is there, which is not cut before it is written: it can be written back wherever this ends. */
async function overwrite(place: string, content: Buffer): Promise<void> {
  const handle = await open(place, 'r+');
  try {
    // Not `write`, which is content with a part where the disk is full.
    await handle.writeFile(content);
    await handle.truncate(content.length);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
