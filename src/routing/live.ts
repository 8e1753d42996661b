import { stat } from 'node:fs/promises';
import type { Clock } from '../clock.ts';
import { propertyOf } from '../fault.ts';
import type { Catalog } from './catalog.ts';
import { loadRouting } from './load.ts';
import { type Problem, RoutingRefused } from './problem.ts';
import type { Environment } from './references.ts';
import type { RoutingTable } from './table.ts';

/** A file that was refused, since when, and what is wrong with it. Times are milliseconds since the epoch. */
export interface Refused {
  readonly at: number;
  readonly problems: readonly Problem[];
}

interface LiveOptions {
  readonly file: string;
  /** Where `${VAR}` is looked up, anew for each reading. */
  readonly env: () => Environment;
  readonly providers: Catalog;
  readonly clock: Pick<Clock, 'now' | 'sleep'>;
}

interface InForce {
  readonly table: RoutingTable;
  readonly loadedAt: number;
}

/** A file that is being written stands still for less. */
const STILL_MS = 200;
/** Who writes for longer than this (10 s) is told to try again. */
const MAX_LOOKS = 50;

/**
 * The routing table in force, and its way to the next one. A file that is refused, or half written, changes nothing: the
 * last good table stays, whole. Whoever has asked for it keeps the one he got.
 */
export class LiveTable {
  readonly #options: LiveOptions;
  /** What the file looked like from outside when it was last read. */
  #seen: string;
  #inForce: InForce;
  #refused: Refused | undefined;
  readonly #channels = new Set<string>();
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(options: LiveOptions, seen: string, table: RoutingTable) {
    this.#options = options;
    this.#seen = seen;
    this.#inForce = this.#putInForce(table);
  }

  /** @throws {RoutingRefused} when there is no good table to begin with */
  static async open(options: LiveOptions): Promise<LiveTable> {
    const seen = await outsideOf(options.file);
    return new LiveTable(options, seen, await loadRouting(options.file, options.env(), options.providers));
  }

  get table(): RoutingTable {
    return this.#inForce.table;
  }

  get loadedAt(): number {
    return this.#inForce.loadedAt;
  }

  /** Undefined where the table in force is what the file says. */
  get refused(): Refused | undefined {
    return this.#refused;
  }

  /** Whether a table that was in force since the start had this channel. */
  hadChannel(channel: string): boolean {
    return this.#channels.has(channel);
  }

  /**
   * Reads the file again, and the secrets that it refers to, once it stands still.
   *
   * @throws {RoutingRefused} when it is refused; the table in force stays
   */
  reload(): Promise<void> {
    const reloading = this.#turn.then(() => this.#reload());
    this.#turn = reloading.catch(() => undefined);
    return reloading;
  }

  async #reload(): Promise<void> {
    try {
      this.#inForce = this.#putInForce(await this.#read());
      this.#refused = undefined;
    } catch (error) {
      if (error instanceof RoutingRefused) this.#refused = { at: this.#options.clock.now(), problems: error.problems };
      throw error;
    }
  }

  /** As it was from before it was read until after: half a file may be a good one that lacks its end. */
  async #read(): Promise<RoutingTable> {
    const { file, env, providers, clock } = this.#options;
    let before = await outsideOf(file);
    for (let look = 0; look < MAX_LOOKS; look += 1) {
      await clock.sleep(STILL_MS);
      const still = await outsideOf(file);
      const isStill = still === before;
      before = still;
      if (!isStill) continue;
      this.#seen = before;
      // A fault may be that of a half written file too.
      const table = await loadRouting(file, env(), providers).catch((error: unknown) => ({ error }));
      before = await outsideOf(file);
      if (before !== this.#seen) continue;
      if ('error' in table) throw table.error;
      return table;
    }
    const message = 'is being written all the time; try again when it stands still';
    throw new RoutingRefused([{ code: 'unsteady_file', message, file, line: 1, column: 1 }]);
  }

  #putInForce(table: RoutingTable): InForce {
    for (const channel of table.channels.keys()) this.#channels.add(channel);
    return { table, loadedAt: this.#options.clock.now() };
  }

  /**
   * Calls back whenever the file is another one than was last read: written in place, replaced by rename, or behind a link
   * that was turned to another place. Looks are cheap, and see what notifications of a network's or container's file system do not.
   */
  async watch(changed: () => Promise<void>, signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#options.clock.sleep(STILL_MS, signal);
      if (signal.aborted) return;
      if ((await outsideOf(this.#options.file)) !== this.#seen) await changed();
    }
  }
}

/** All that changes when a file does, through links: also where size and time stay, a replaced file is another one. */
async function outsideOf(file: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
  } catch (error) {
    return String(propertyOf(error, 'code'));
  }
}
