import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, copyFile, link, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { propertyOf } from '../fault.ts';
import { splitNote } from './note.ts';
import type { RoutingTable } from './table.ts';

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

  /** Where a rollback puts what it writes over: one of each file. */
  get replacedFolder(): string {
    return join(this.#folder, 'replaced');
  }

  /** Keeps a table that has come in force. @throws {Error} of the file system, when it cannot be written */
  async keep(table: RoutingTable): Promise<void> {
    const kept = await this.#folders();
    if (kept[0]?.version === table.version) return;
    const name = `${new Date(this.#now()).toISOString().replaceAll(':', '-')}_${table.version}`;
    const before = kept.find(({ version }) => version === table.version);
    if (before) await rename(join(this.#folder, before.name), join(this.#folder, name));
    else await this.#write(name, table, kept);
    const old = (await this.#folders()).slice(KEPT);
    for (const { name } of old) await rm(join(this.#folder, name), { recursive: true, force: true });
  }

  /** The newest first. */
  async list(): Promise<readonly KeptVersion[]> {
    return Promise.all(
      (await this.#folders()).map(async ({ name, version, at }) => {
        const folder = join(this.#folder, name);
        const senders = (await readdir(folder)).find((file) => file.startsWith('senders-'));
        return { version, at, file: join(folder, 'routing.yaml'), sendersFile: senders && join(folder, senders) };
      }),
    );
  }

  async #folders() {
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

  /** Whole or not at all. */
  async #write(name: string, { source, sendersFile }: RoutingTable, kept: readonly { readonly name: string }[]) {
    const folder = join(this.#folder, `.${name}`);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true, mode: PRIVATE_FOLDER });
    await writeFile(join(folder, 'routing.yaml'), splitNote(source).text, { mode: PRIVATE_FILE });
    if (sendersFile !== undefined) {
      const senders = `senders-${sendersFile.hash}.csv`;
      // Mostly it is that of a version before, and long.
      const isLinked = await this.#link(kept, senders, folder);
      if (!isLinked) await copyOf(sendersFile, join(folder, senders));
    }
    await rename(folder, join(this.#folder, name));
  }

  async #link(kept: readonly { readonly name: string }[], file: string, folder: string): Promise<boolean> {
    for (const { name } of kept) {
      const there = join(this.#folder, name, file);
      const isThere = await access(there).then(
        () => true,
        () => false,
      );
      if (!isThere) continue;
      await link(there, join(folder, file));
      return true;
    }
    return false;
  }
}

async function copyOf({ path, hash }: { readonly path: string; readonly hash: string }, to: string): Promise<void> {
  await copyFile(path, to);
  const copied = createHash('sha256');
  await pipeline(createReadStream(to), copied);
  if (copied.digest('hex') !== hash) throw new Error(`${path} was written while it was copied`);
}
