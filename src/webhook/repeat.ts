import { createHash } from 'node:crypto';
import type { Repeat } from '../outbox/store.ts';

/** Who presses the button again does so soon. */
const FORM_WINDOW_MS = 60_000;

interface Known {
  /** The provider's, of the message or of the event that carries it. */
  readonly id: string | undefined;
  /** The sender's time is part of the content. */
  readonly isTimed: boolean;
  readonly isForm: boolean;
  /** All that was sent. */
  readonly content: object;
}

/**
 * By what a message is known when it comes again: an id; all of it, where the sender's time is part of it; of a website's
 * form all of it, for a minute. Of a chat with neither nothing, since a customer's second "yes" is no repeat.
 */
export function repeatOf({ id, isTimed, isForm, content }: Known): Repeat | undefined {
  if (id !== undefined) return { key: id };
  if (isTimed) return { key: digestOf(content) };
  return isForm ? { key: digestOf(content), withinMs: FORM_WINDOW_MS } : undefined;
}

/** The same in whatever order the keys came: some senders do not keep it. */
export function digestOf(content: object): string {
  const ordered = JSON.stringify(content, (_key, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
  return `sha256 ${createHash('sha256').update(ordered).digest('hex')}`;
}
