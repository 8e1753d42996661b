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

  /** Waits for a message that `records` knows. */
  waitWith(records: Pick<Records, 'get'>, clock: Pick<Clock, 'sleep'>): Wait {
    return async (id, ms, signal) => {
      const told = new AbortController();
      const ended = AbortSignal.any([signal, told.signal]);
      const tell = () => told.abort('told');
      // Before the look, so that what is settled in between is not missed.
      this.#add(id, tell);
      try {
        const found = await records.get(id);
        if (found?.state !== 'waiting') return found;
        await clock.sleep(ms, ended);
        return await records.get(id);
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
