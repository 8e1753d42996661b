import type { Clock } from '../clock.ts';
import type { MessageRecord, Records } from './records.ts';

/** What became of a message, as of now or once that is decided, `ms` milliseconds later at the latest. */
export type Wait = (id: string, ms: number, signal: AbortSignal) => Promise<MessageRecord | undefined>;

/** Those who wait for a message to be settled. */
export class Waiters {
  readonly #waiting = new Map<string, Set<() => void>>();

  /** The message is settled. */
  tell(id: string): void {
    for (const resolve of this.#waiting.get(id) ?? []) resolve();
  }

  /**
   * Waits for a message that `records` knows.
   *
   * @param othersMs how often to see whether other processes have settled it, where there may be others
   */
  waitWith(records: Pick<Records, 'get'>, clock: Pick<Clock, 'sleep' | 'elapsed'>, othersMs = Infinity): Wait {
    return async (id, ms, signal) => {
      const told = new AbortController();
      const ended = AbortSignal.any([signal, told.signal]);
      const tell = () => told.abort('told');
      // Before the look, so that what is settled in between is not missed.
      this.#add(id, tell);
      try {
        const endsAt = clock.elapsed() + ms;
        for (;;) {
          // Whoever is told while he looks may have looked too early.
          const isTold = ended.aborted;
          const found = await records.get(id);
          const left = endsAt - clock.elapsed();
          if (found?.state !== 'waiting' || left <= 0 || isTold) return found;
          await clock.sleep(Math.min(left, othersMs), ended);
        }
      } finally {
        this.#remove(id, tell);
      }
    };
  }

  #add(id: string, tell: () => void): void {
    const others = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, others.add(tell));
  }

  #remove(id: string, tell: () => void): void {
    const others = this.#waiting.get(id);
    others?.delete(tell);
    if (others?.size === 0) this.#waiting.delete(id);
  }
}
