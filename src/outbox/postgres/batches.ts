import type { Clock } from '../../clock.ts';
import { StoreUnavailable } from '../store.ts';
import { Contended } from './faults.ts';

interface Job<Item, Result> {
  readonly item: Item;
  readonly addedAt: number;
  resolve(result: Result): void;
  reject(error: unknown): void;
}

export interface BatchesOptions<Item, Result> {
  /**
   * Carries out all, or none; results in the order of the items. It has until `deadline`, of the clock that only goes
   * forward. `isAlone`: an item of a batch that failed, by itself.
   */
  readonly run: (items: readonly Item[], deadline: number, isAlone: boolean) => Promise<readonly Result[]>;
  /** Items in one batch. */
  readonly size: number;
  /** How long an item may take, from being added. */
  readonly withinMs: number;
  readonly clock: Pick<Clock, 'elapsed'>;
}

/** The share of its time that an item may have waited and still be begun with. */
const STILL_GOOD = 2 / 3;
const TOO_SLOW = 'the database is too slow right now.';

/** Gathers what is asked for while one batch runs into the next one: the cost of a commit is shared by all who wait for it. */
export class Batches<Item, Result> {
  readonly #options: BatchesOptions<Item, Result>;
  #queue: Job<Item, Result>[] = [];
  #running: Promise<void> | undefined;

  constructor(options: BatchesOptions<Item, Result>) {
    this.#options = options;
  }

  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ item, addedAt: this.#options.clock.elapsed(), resolve, reject });
      this.#running ??= this.#drain();
    });
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #drain(): Promise<void> {
    // What is asked for in the same turn of the event loop goes together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0) {
      const jobs = this.#fresh(this.#queue.splice(0, this.#options.size));
      if (jobs.length > 0) await this.#run(jobs);
    }
    this.#running = undefined;
  }

  /** Those that have waited for too long have nobody who waits for them much longer: they are not even begun. */
  #fresh(jobs: readonly Job<Item, Result>[]): readonly Job<Item, Result>[] {
    const { clock, withinMs } = this.#options;
    const oldest = clock.elapsed() - withinMs * STILL_GOOD;
    for (const job of jobs) {
      if (job.addedAt < oldest) job.reject(new StoreUnavailable(TOO_SLOW));
    }
    return jobs.filter(({ addedAt }) => addedAt >= oldest);
  }

  /** The others before it may have taken all of its time. */
  #isInTime(job: Job<Item, Result>): boolean {
    const { clock, withinMs } = this.#options;
    const isInTime = clock.elapsed() < job.addedAt + withinMs;
    if (!isInTime) job.reject(new StoreUnavailable(TOO_SLOW));
    return isInTime;
  }

  async #run(jobs: readonly Job<Item, Result>[], isAlone = false): Promise<void> {
    const { run, withinMs } = this.#options;
    const deadline = Math.min(...jobs.map(({ addedAt }) => addedAt)) + withinMs;
    try {
      const results = await run(
        jobs.map(({ item }) => item),
        deadline,
        isAlone,
      );
      for (const [index, job] of jobs.entries()) job.resolve(results[index] as Result);
    } catch (error) {
      if (jobs.length === 1 || !isAboutOne(error)) for (const job of jobs) job.reject(error);
      // One must not fail the others: each goes by itself, and only the culprit hears of the fault.
      else for (const job of jobs) if (this.#isInTime(job)) await this.#run([job], true);
    }
  }
}

function isAboutOne(error: unknown): boolean {
  return !(error instanceof StoreUnavailable) || error instanceof Contended;
}
