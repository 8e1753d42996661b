import type { Clock } from '../clock.ts';
import { messageOf } from '../fault.ts';
import { type Problem, RoutingRefused } from './problem.ts';
import { STILL_MS, SteadyFile, type SteadyOptions } from './steady.ts';
import type { RoutingTable } from './table.ts';

/** A file that was refused, since when, and what is wrong with it. Times are milliseconds since the epoch. */
export interface Refused {
  readonly at: number;
  readonly problems: readonly Problem[];
}

interface LiveOptions extends SteadyOptions {
  readonly clock: Pick<Clock, 'now' | 'sleep'>;
  /** Told of a table just before it is in force. */
  readonly announce: (table: RoutingTable) => Promise<void>;
}

interface InForce {
  readonly table: RoutingTable;
  readonly loadedAt: number;
}

/**
 * The routing table in force, and its way to the next one. A file that is refused, or half written, changes nothing: the
 * last good table stays, whole. Whoever has asked for it keeps the one he got.
 */
export class LiveTable {
  readonly #file: SteadyFile;
  readonly #options: Pick<LiveOptions, 'file' | 'clock' | 'announce'>;
  #inForce: InForce;
  #refused: Refused | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(file: SteadyFile, options: LiveOptions, table: RoutingTable) {
    this.#file = file;
    this.#options = options;
    this.#inForce = { table, loadedAt: options.clock.now() };
  }

  /** The first one is in force then; nobody is told of it yet. @throws {RoutingRefused} when there is no good one to begin with */
  static async open(options: LiveOptions): Promise<LiveTable> {
    const file = new SteadyFile(options);
    return new LiveTable(file, options, await file.readFirst());
  }

  get table(): RoutingTable {
    return this.#inForce.table;
  }

  get loadedAt(): number {
    return this.#inForce.loadedAt;
  }

  /** When the files were written that were read last. */
  get writtenAt(): number {
    return this.#file.writtenAt;
  }

  /** Undefined where the table in force is what the file says. */
  get refused(): Refused | undefined {
    return this.#refused;
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
    const { clock, announce } = this.#options;
    try {
      const table = await this.#file.readStill();
      if (table.version !== this.table.version) await announce(table);
      this.#inForce = { table, loadedAt: clock.now() };
      this.#refused = undefined;
    } catch (error) {
      this.#refused = { at: clock.now(), problems: this.#problemsOf(error) };
      throw error;
    }
  }

  /** Something else than the file may be unreadable too, such as `.env`. */
  #problemsOf(error: unknown): readonly Problem[] {
    if (error instanceof RoutingRefused) return error.problems;
    const { file } = this.#options;
    return [{ code: 'failed', message: `cannot be loaded: ${messageOf(error)}`, file, line: 1, column: 1 }];
  }

  /** Calls back whenever the file, or its senders file, is another one than was last read. */
  async watch(changed: () => Promise<void>, signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#options.clock.sleep(STILL_MS, signal);
      if (signal.aborted) return;
      // What is being read right now may be the change.
      await this.#turn;
      if (await this.#file.hasChanged()) await changed();
    }
  }
}
