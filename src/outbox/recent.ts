import type { Records, StoredMessage } from './records.ts';

/** The last messages, the newest first, `most` at most. */
export async function* recentMessages(records: Pick<Records, 'recent'>, most: number): AsyncGenerator<StoredMessage> {
  let before: number | undefined;
  let left = most;
  do {
    const { items, next } = await records.recent({ before, limit: left });
    yield* items;
    left -= items.length;
    before = next;
  } while (before !== undefined && left > 0);
}
