import type { Acknowledged } from './checker.ts';
import { produce } from './producer.ts';
import { seeded } from './random.ts';
import { ACCOUNTS, type Stage, TENDED } from './stage.ts';

export interface LoadOptions {
  readonly seed: number;
  /** Conversations that go on at the same time. */
  readonly conversations: number;
  /** Between two messages of a conversation at most. */
  readonly pauseMs: number;
}

/** Of so many senders to several replicas one gives no ids; not where nothing may be there twice. */
const WITHOUT_IDS = 5;

/** Every account has as many producers as every other. */
export function startLoad({ seed, conversations, pauseMs }: LoadOptions, { cluster, senderUrl: url }: Stage) {
  const acknowledged: Acknowledged[] = [];
  const refusals: string[] = [];
  const failures: string[] = [];
  const ending = new AbortController();
  const givingUp = new AbortController();
  const producers = Array.from({ length: conversations }, (_, number) => {
    const channel = ACCOUNTS[number % ACCOUNTS.length] ?? '';
    return produce(
      {
        name: `${channel}${number}`,
        channel,
        hasIds: cluster === undefined || TENDED.includes(channel) || number % WITHOUT_IDS !== 0,
        url,
        random: seeded(seed + number),
        pauseMs,
        onAcknowledged: (message) => acknowledged.push(message),
        onRefused: (status) => refusals.push(`a sender was answered ${status}`),
        onFailed: (why) => failures.push(why),
      },
      ending.signal,
      givingUp.signal,
    );
  });
  return {
    acknowledged,
    refusals,
    /** Every try that brought no 2xx. */
    failures,
    /** What has begun to be sent is sent until it is taken, for so long at most. */
    async stop(limitMs: number) {
      ending.abort();
      const limit = setTimeout(() => givingUp.abort(), limitMs);
      await Promise.all(producers);
      clearTimeout(limit);
      if (givingUp.signal.aborted)
        refusals.push(`something was not taken for ${limitMs / 1_000} s after the last fault`);
    },
  };
}
