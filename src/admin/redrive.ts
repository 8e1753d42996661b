import type { Clock } from '../clock.ts';
import type { Cursor, MessageFilter, MessageRecord, Records, Routing } from '../outbox/records.ts';

/** What operators do to many messages at once. All of it may be broken off and done again: what is done is not repeated. */

export interface Preview {
  readonly count: number;
  readonly conversations: number;
  readonly samples: readonly MessageRecord[];
}

export interface RedriveProgress {
  readonly redriven: number;
  /** Of which something was put back. */
  readonly conversations: number;
  /** No route fits them, or their account is gone: they stay as they are. */
  readonly unplaced: number;
}

export interface RedriveOptions {
  readonly routing: Routing;
  /** Conversations a second. */
  readonly rate: number;
  readonly clock: Pick<Clock, 'elapsed' | 'sleep'>;
  readonly signal: AbortSignal;
}

const SAMPLES = 10;

/** What `redriveAll` would put back. */
export async function preview(
  records: Pick<Records, 'walk'>,
  filter: MessageFilter,
  signal: AbortSignal,
): Promise<Preview> {
  const samples: MessageRecord[] = [];
  let count = 0;
  let conversations = 0;
  let last: string | undefined;
  for await (const walk of parts(records, filter, signal)) {
    count += walk.count;
    // A conversation may go on from one part to the next.
    conversations += walk.groups.filter((group) => group !== last).length;
    last = walk.groups.at(-1) ?? last;
    samples.push(...walk.samples.slice(0, SAMPLES - samples.length));
  }
  return { count, conversations, samples };
}

/**
 * Puts back all messages set aside that match, conversation by conversation, at a bounded rate. All of one conversation
 * go back in one commit, in their first order, so that nothing newer slips in between.
 */
export async function* redriveAll(
  records: Pick<Records, 'walk' | 'redrive'>,
  filter: MessageFilter,
  { routing, rate, clock, signal }: RedriveOptions,
): AsyncGenerator<RedriveProgress> {
  const startedAt = clock.elapsed();
  let progress: RedriveProgress = { redriven: 0, conversations: 0, unplaced: 0 };
  let last: string | undefined;
  let tried = 0;
  for await (const { groups } of parts(records, filter, signal)) {
    // One that goes on from the part before is back already; what is dead again of it has had its chance.
    for (const group of groups.filter((group) => group !== last)) {
      await clock.sleep(startedAt + (tried * 1_000) / rate - clock.elapsed(), signal);
      if (signal.aborted) return;
      tried += 1;
      const { redriven, unplaced } = await records.redrive(group, filter, routing);
      progress = {
        redriven: progress.redriven + redriven,
        conversations: progress.conversations + (redriven > 0 ? 1 : 0),
        unplaced: progress.unplaced + unplaced,
      };
      yield progress;
    }
    last = groups.at(-1) ?? last;
  }
}

/** Discards all messages set aside that match. Yields how many it has discarded so far. */
export async function* discardAll(
  records: Pick<Records, 'walk' | 'discard'>,
  filter: MessageFilter,
  reason: string,
  signal: AbortSignal,
): AsyncGenerator<{ readonly discarded: number }> {
  let discarded = 0;
  for await (const { groups } of parts(records, filter, signal)) {
    for (const group of groups) {
      if (signal.aborted) return;
      discarded += await records.discard(group, filter, reason);
      yield { discarded };
    }
  }
}

async function* parts(records: Pick<Records, 'walk'>, filter: MessageFilter, signal: AbortSignal) {
  let after: Cursor | undefined;
  do {
    const walk = await records.walk(filter, after);
    yield walk;
    after = walk.next;
    await new Promise((resolve) => setImmediate(resolve));
  } while (after !== undefined && !signal.aborted);
}
