import { stat } from 'node:fs/promises';
import type { Clock } from '../clock.ts';
import { propertyOf } from '../fault.ts';
import type { Catalog } from './catalog.ts';
import type { Environment } from './document/references.ts';
import { complete, readRouting } from './load.ts';
import { RoutingRefused } from './problem.ts';
import type { RoutingTable } from './table.ts';

export interface SteadyOptions {
  readonly file: string;
  /** Where `${VAR}` is looked up, anew for each reading. */
  readonly env: () => Environment;
  readonly providers: Catalog;
  readonly clock: Pick<Clock, 'now' | 'sleep'>;
}

/** A file that is being written stands still for less. */
export const STILL_MS = 200;
/** Who writes for longer than this (10 s) is told to try again. */
const MAX_LOOKS = 50;

/**
 * A routing file, with its senders file, that others write to at any time: half a file may be a good one that lacks its end.
 * Looks are cheap, and see what notifications of a network's or container's file system do not.
 */
export class SteadyFile {
  readonly #options: SteadyOptions;
  #sendersFile: string | undefined;
  /** What they looked like from outside when they were last read. */
  #seen = '';
  #writtenAt = 0;

  constructor(options: SteadyOptions) {
    this.#options = options;
  }

  /** When what was last read was written, the younger of the two files, in milliseconds since the epoch. */
  get writtenAt(): number {
    return this.#writtenAt;
  }

  /** As it is now, unless it has just been written: then as it is once it stands still. @throws {RoutingRefused} */
  async readFirst(): Promise<RoutingTable> {
    const result = await this.#try();
    const age = this.#options.clock.now() - this.#writtenAt;
    if ((age >= 0 && age < STILL_MS) || (await this.hasChanged())) return this.readStill();
    return tableOf(result);
  }

  /** A fault may be that of a half written file too: whether it counts is seen afterwards. */
  async #try(): Promise<Read> {
    return this.#read().catch((error: unknown) => ({ error }));
  }

  async #read(): Promise<RoutingTable> {
    const { file, env, providers } = this.#options;
    const own = await outsideOf(file);
    this.#seen = [own.look, (await outsideOf(this.#sendersFile)).look].join();
    this.#writtenAt = own.mtimeMs;
    const read = await readRouting(file, env(), providers);
    this.#sendersFile = read.sendersFile;
    const senders = await outsideOf(this.#sendersFile);
    this.#seen = [own.look, senders.look].join();
    this.#writtenAt = Math.max(own.mtimeMs, senders.mtimeMs);
    return complete(read);
  }

  /** As it was from before it was read until after. @throws {RoutingRefused} also when it never stands still */
  async readStill(): Promise<RoutingTable> {
    let before = await this.#look();
    for (let look = 0; look < MAX_LOOKS; look += 1) {
      await this.#options.clock.sleep(STILL_MS);
      const now = await this.#look();
      const isStill = now === before;
      before = now;
      if (!isStill) continue;
      const result = await this.#try();
      before = await this.#look();
      if (before !== this.#seen) continue;
      return tableOf(result);
    }
    const message = 'is being written all the time; try again when it stands still';
    throw new RoutingRefused([{ code: 'unsteady_file', message, file: this.#options.file, line: 1, column: 1 }]);
  }

  /** Whether it is another one than was read: written in place, replaced, or behind a link that was turned. */
  async hasChanged(): Promise<boolean> {
    return (await this.#look()) !== this.#seen;
  }

  async #look(): Promise<string> {
    const [own, senders] = [await outsideOf(this.#options.file), await outsideOf(this.#sendersFile)];
    return [own.look, senders.look].join();
  }
}

type Read = RoutingTable | { readonly error: unknown };

function tableOf(read: Read): RoutingTable {
  if ('error' in read) throw read.error;
  return read;
}

/** All that changes when a file does, through links: also where size and time stay, a replaced file is another one. */
async function outsideOf(file: string | undefined): Promise<{ readonly look: string; readonly mtimeMs: number }> {
  if (file === undefined) return { look: '', mtimeMs: 0 };
  try {
    const { dev, ino, size, mtimeNs, ctimeNs, mtimeMs } = await stat(file, { bigint: true });
    return { look: [dev, ino, size, mtimeNs, ctimeNs].join(' '), mtimeMs: Number(mtimeMs) };
  } catch (error) {
    return { look: String(propertyOf(error, 'code')), mtimeMs: 0 };
  }
}
