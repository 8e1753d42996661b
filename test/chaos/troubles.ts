import type { Disturbance } from './checker.ts';
import type { Span } from './span.ts';

/** Why a process cannot write what came of its attempts: to its disk or its database, or since it sleeps. */
export type Trouble = 'full disk' | 'cut' | 'hang' | 'mute' | 'restart' | 'failover' | 'pause';

export interface TroubleSpan extends Span {
  readonly cause: Trouble;
}

/** An outcome is written this long after its answer at the latest, also on a busy machine. */
export const WRITTEN_MS = 2_000;
/** What could not be written is tried again every second: trouble that comes back later found it written. */
const RETRIED_MS = 2_500;
/**
 * Trouble of that length may cost leases: they last 15 s, and are renewed every 5 s, so that 10 s are left of each when it
 * begins. Of what is shorter all leases survive, and it explains no repeat.
 */
const LOSES_LEASES_MS = 10_000 - RETRIED_MS;

/** When one process was in trouble. */
export class Troubles {
  readonly #feltMs: number;
  readonly #spans: { cause: Trouble; from: number; to: number }[] = [];

  /** @param feltMs how long after the end of a trouble its consequences last */
  constructor(feltMs: number) {
    this.#feltMs = feltMs;
  }

  /** @returns ends it */
  begin(cause: Trouble): () => void {
    const span = { cause, from: Date.now(), to: Number.POSITIVE_INFINITY };
    this.#spans.push(span);
    return () => {
      span.to = Date.now();
    };
  }

  get spans(): readonly TroubleSpan[] {
    return this.#spans;
  }

  /** Its consequences are felt. */
  get isFelt(): boolean {
    return this.#spans.some(({ to }) => Date.now() <= to + this.#feltMs);
  }

  /** What was answered since then may be unwritten. */
  get unwrittenSince(): number {
    const now = Date.now();
    const last = this.#groups().find((spans) => spans.some(({ to }) => now <= to + RETRIED_MS));
    return (last?.[0]?.from ?? now) - WRITTEN_MS;
  }

  /** Troubles in which the process may have lost leases, as each of their causes; by the one that lasted longest first. */
  get lostLeases(): readonly Disturbance[] {
    return this.#groups().flatMap((spans) => {
      const from = Math.min(...spans.map((span) => span.from));
      const to = Math.max(...spans.map((span) => span.to));
      if (to - from < LOSES_LEASES_MS) return [];
      const longestFirst = spans.toSorted((a, b) => b.to - b.from - (a.to - a.from));
      const causes = new Set(longestFirst.map(({ cause }) => cause));
      return [...causes].map((cause) => ({ cause, from: from - WRITTEN_MS, to, losesLeases: true }));
    });
  }

  /** Those between which nothing could be tried again, in the order in which they began. */
  #groups(): readonly (readonly TroubleSpan[])[] {
    const groups: TroubleSpan[][] = [];
    for (const span of this.#spans.toSorted((a, b) => a.from - b.from)) {
      const last = groups.at(-1);
      const end = Math.max(...(last ?? []).map(({ to }) => to));
      if (last && span.from <= end + RETRIED_MS) last.push(span);
      else groups.push([span]);
    }
    return groups;
  }
}
