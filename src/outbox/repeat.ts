import type { Entry } from './store.ts';

/** What an entry is recognised by for a while only. */
export interface Window {
  readonly key: string;
  readonly withinMs: number;
}

/**
 * Two who tell the time do so alike but for that much. A window that lasts longer still was opened before the clock was set
 * back: it is over, since what is taken for a repeat is lost, if it is none.
 */
export const CLOCKS_DIFFER_MS = 60_000;

/** What an entry is recognised by for as long as its row is kept; undefined where that is nothing, or a window. */
export function keptKey({ message, repeat }: Pick<Entry, 'message' | 'repeat'>): string | undefined {
  if (repeat === undefined) return message.providerId;
  return repeat.withinMs === undefined ? repeat.key : undefined;
}

export function windowOf({ repeat }: Pick<Entry, 'repeat'>): Window | undefined {
  return repeat?.withinMs === undefined ? undefined : { key: repeat.key, withinMs: repeat.withinMs };
}
