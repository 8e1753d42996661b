import type { Clock } from '../clock.ts';
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
  readonly #clock: LiveOptions['clock'];
  #inForce: InForce;
  #refused: Refused | undefined;
  readonly #channels = new Set<string>();
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(file: SteadyFile, clock: LiveOptions['clock'], table: RoutingTable) {
    this.#file = file;
    this.#clock = clock;
    this.#inForce = this.#putInForce(table);
  }

  /** @throws {RoutingRefused} when there is no good table to begin with */
  static async open(options: LiveOptions): Promise<LiveTable> {
    const file = new SteadyFile(options);
    return new LiveTable(file, options.clock, await file.read());
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
      this.#inForce = this.#putInForce(await this.#file.readStill());
      this.#refused = undefined;
    } catch (error) {
      if (error instanceof RoutingRefused) this.#refused = { at: this.#clock.now(), problems: error.problems };
      throw error;
    }
  }

  #putInForce(table: RoutingTable): InForce {
    for (const channel of table.channels.keys()) this.#channels.add(channel);
    return { table, loadedAt: this.#clock.now() };
  }

  /** Calls back whenever the file, or its senders file, is another one than was last read. */
  async watch(changed: () => Promise<void>, signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#clock.sleep(STILL_MS, signal);
      if (signal.aborted) return;
      if (await this.#file.hasChanged()) await changed();
    }
  }
}
