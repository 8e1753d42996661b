import type { Attempt } from './store.ts';

const LEFT = 'the process ended during the attempt, and nobody saw how it went';

/** What is kept of an attempt that began then, and that nobody saw the end of. */
export function unseenAttempt(at: number): Attempt {
  return { at, outcome: 'unknown', status: null, duration: null, detail: LEFT };
}
