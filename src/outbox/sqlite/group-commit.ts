import type { DatabaseSync } from 'node:sqlite';

interface Job {
  run(): () => void;
  fail(error: unknown): void;
}

/**
 * Runs whatever is asked for in one turn of the event loop as one transaction. A commit costs an fsync, and what arrives
 * while one runs goes into the next, so the cost of durability is shared by all who wait for it.
 */
export class GroupCommit {
  readonly #database: DatabaseSync;
  #queue: Job[] = [];
  #isScheduled = false;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Resolves with what `work` returned, after the commit. `work` may run twice; it must only touch the database. */
  run<T>(work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#queue.push({
        run: () => {
          const result = work();
          return () => resolve(result);
        },
        fail: reject,
      });
      if (this.#isScheduled) return;
      this.#isScheduled = true;
      setImmediate(() => this.flush());
    });
  }

  /** Commits what is queued, now. */
  flush(): void {
    const jobs = this.#queue;
    this.#queue = [];
    this.#isScheduled = false;
    if (jobs.length === 0) return;
    try {
      this.#commit(jobs);
    } catch {
      // One job must not fail the others: each gets a transaction of its own, and only the culprit hears of the fault.
      for (const job of jobs) {
        try {
          this.#commit([job]);
        } catch (error) {
          job.fail(error);
        }
      }
    }
  }

  #commit(jobs: readonly Job[]): void {
    let confirmations: (() => void)[];
    try {
      this.#database.exec('begin immediate');
      confirmations = jobs.map((job) => job.run());
      this.#database.exec('commit');
    } catch (error) {
      // SQLite has rolled back by itself after a full disk or an I/O error.
      if (this.#database.isTransaction) this.#database.exec('rollback');
      throw error;
    }
    for (const confirm of confirmations) confirm();
  }
}
