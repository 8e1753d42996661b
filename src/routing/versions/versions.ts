import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, copyFile, link, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { propertyOf } from '../../fault.ts';
import type { RoutingTable } from '../table.ts';
import { splitNote } from './note.ts';

/** A version of the routing file that was in force, and its text. */
export interface KeptVersion {
  readonly version: string;
  /** When it came in force last, in milliseconds since the epoch. */
  readonly at: number;
  readonly file: string;
  /** Undefined where it has none. */
  readonly sendersFile: string | undefined;
}

export interface VersionsOptions {
  /** Where the process may write. */
  readonly dataFolder: string;
  readonly routingFile: string;
  readonly now: () => number;
}

/** So many of the last good versions are kept. */
const KEPT = 20;
/** Operators write secrets and customers' names into these files. */
const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;
const FILE = 'routing.yaml';
/** One a process, so that of what is broken off little is left; two may share a folder. */
const UNFINISHED = `unfinished-${process.pid}`;
/** There while a rollback is under way. */
const MARKER = 'rolling-back';
const ABANDONED_MS = 60_000;
const FOLDER = /^(\d{4}-\d\d-\d\dT)(\d\d)-(\d\d)-(\d\d\.\d{3}Z)_([0-9a-f]{12})$/;

/**
 * The last good versions of a routing file, each in a folder of its own. They are files, not rows: a bridge that does not
 * start can be given one of them back, and what is secret in them stays out of the database.
 */
export class KeptVersions {
  readonly #folder: string;
  readonly #now: () => number;

  constructor({ dataFolder, routingFile, now }: VersionsOptions) {
    // Bridges with different files may share a folder.
    const place = createHash('sha256').update(resolve(routingFile)).digest('hex').slice(0, 8);
    this.#folder = join(dataFolder, 'versions', `${basename(routingFile)}-${place}`);
    this.#now = now;
  }

  /** Keeps a table that has come in force. @throws {Error} of the file system, when it cannot be written */
  async keep(table: RoutingTable): Promise<void> {
    const all = await this.#folders();
    const [newest] = all;
    if (newest?.version === table.version) return;
    // A clock that was set back changes nothing about which one came last.
    const at = Math.max(this.#now(), (newest?.at ?? 0) + 1);
    const name = `${new Date(at).toISOString().replaceAll(':', '-')}_${table.version}`;
    const before = all.find(({ version }) => version === table.version);
    const others = distinct(all).filter((one) => one !== before);
    const staying = [...others.slice(0, KEPT - 1), ...(before ? [before] : [])];
    // First of all, since a disk may be full. Two processes on one folder may have kept the same one.
    for (const one of all) if (!staying.includes(one)) await this.#remove(one.name);
    if (before) await rename(join(this.#folder, before.name), join(this.#folder, name));
    else await this.#write(name, table, staying);
  }

  /**
   * Runs a rollback, alone. One that is broken off, by a power cut, can be told from then on.
   *
   * @throws {Error} `EEXIST` while another one is under way
   */
  async whileRollingBack<T>(version: string, work: () => Promise<T>): Promise<T> {
    const marker = join(this.#folder, MARKER);
    const begun = (await stat(marker).catch(() => undefined))?.mtimeMs;
    if (begun !== undefined && Math.abs(this.#now() - begun) > ABANDONED_MS) await rm(marker, { force: true });
    await writeFile(marker, version, { flag: 'wx', mode: PRIVATE_FILE });
    try {
      return await work();
    } finally {
      await rm(marker, { force: true });
    }
  }

  /** The version to which a rollback was begun, and not brought to its end. */
  async brokenOff(): Promise<string | undefined> {
    return readFile(join(this.#folder, MARKER), 'utf8').catch(() => undefined);
  }

  /**
   * Copies a file that is to be written over to where it can be found: one of each name.
   *
   * @returns where it is, undefined where there is nothing to copy, or it cannot be
   */
  async putAside(file: string): Promise<string | undefined> {
    const folder = join(this.#folder, 'replaced');
    try {
      await mkdir(folder, { recursive: true, mode: PRIVATE_FOLDER });
      await copyFile(file, join(folder, basename(file)));
      return join(folder, basename(file));
    } catch {
      return undefined;
    }
  }

  /** The newest first. */
  async list(): Promise<readonly KeptVersion[]> {
    const versions = await Promise.all(
      distinct(await this.#folders()).map(async ({ name, version, at }) => {
        const folder = join(this.#folder, name);
        // Another process may just have removed it.
        const files = await readdir(folder).catch((): readonly string[] => []);
        const senders = files.find((file) => file.startsWith('senders-'));
        const sendersFile = senders && join(folder, senders);
        return files.includes(FILE) ? [{ version, at, file: join(folder, FILE), sendersFile }] : [];
      }),
    );
    return versions.flat();
  }

  /** The newest first; what was broken off while it was written is not among them, and goes before long. */
  async #folders(): Promise<readonly Folder[]> {
    const names = await readdir(this.#folder).catch((error: unknown) => {
      if (propertyOf(error, 'code') === 'ENOENT') return [];
      throw error;
    });
    const folders = names.flatMap((name) => {
      const [, date, hour, minute, second, version] = FOLDER.exec(name) ?? [];
      return version === undefined ? [] : [{ name, version, at: Date.parse(`${date}${hour}:${minute}:${second}`) }];
    });
    return folders.sort((a, b) => b.at - a.at);
  }

  #remove(name: string): Promise<void> {
    return rm(join(this.#folder, name), { recursive: true, force: true });
  }

  /** Whole or not at all, but for a power cut, which a rollback finds out: nobody waits here for a disk. */
  async #write(name: string, { source, sendersFile }: RoutingTable, kept: readonly Folder[]): Promise<void> {
    const folder = join(this.#folder, UNFINISHED);
    await rm(folder, { recursive: true, force: true });
    try {
      await mkdir(folder, { recursive: true, mode: PRIVATE_FOLDER });
      await writeFile(join(folder, FILE), splitNote(source).text, { mode: PRIVATE_FILE });
      if (sendersFile !== undefined) {
        const senders = `senders-${sendersFile.hash}.csv`;
        // Mostly it is that of a version before, and long.
        const isLinked = await this.#link(kept, senders, folder);
        if (!isLinked) await copyOf(sendersFile, join(folder, senders));
      }
      await rename(folder, join(this.#folder, name));
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  async #link(kept: readonly Folder[], file: string, folder: string): Promise<boolean> {
    for (const { name } of kept) {
      const isLinked = await link(join(this.#folder, name, file), join(folder, file)).then(
        () => true,
        () => false,
      );
      if (isLinked) return true;
    }
    return false;
  }
}

interface Folder {
  readonly name: string;
  readonly version: string;
  readonly at: number;
}

/** Each version once: the newest of it. */
function distinct(folders: readonly Folder[]): readonly Folder[] {
  return folders.filter(({ version }, index) => folders.findIndex((other) => other.version === version) === index);
}

async function copyOf({ path, hash }: { readonly path: string; readonly hash: string }, to: string): Promise<void> {
  await copyFile(path, to);
  await chmod(to, PRIVATE_FILE);
  const copied = createHash('sha256');
  await pipeline(createReadStream(to), copied);
  if (copied.digest('hex') !== hash) throw new Error(`${path} was written while it was copied`);
}
