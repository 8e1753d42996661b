import { setTimeout as sleep } from 'node:timers/promises';
import type { FarEnd } from './far-end.ts';
import type { Operator } from './operator.ts';
import type { Decision } from './tended.ts';

export interface PersonOptions {
  readonly account: string;
  readonly operator: Operator;
  readonly farEnd: Pick<FarEnd, 'messages' | 'mayStillLog'>;
  readonly onDecided: (decision: Decision) => void;
  readonly onMisdeed: (what: string) => void;
}

/** What waits for a word: since when it was seen to, and whether nothing of it was under way at the last look. */
interface Seen {
  readonly from: number;
  isQuiet: boolean;
}

const LOOK_MS = 100;

/**
 * Deals with an account's unknown and dead messages, as a person does who looks at Haptik's side first: confirms what
 * arrived, and redrives what certainly did not. That it must be quiet at two looks gives answers that are due their turn.
 */
export async function tend(options: PersonOptions, signal: AbortSignal): Promise<void> {
  const { account, operator, farEnd, onDecided, onMisdeed } = options;
  const seen = new Map<string, Seen>();
  const look = async (state: 'unknown' | 'dead') => {
    for (const { id: bridgeId, provider_id: id } of (await operator.list(account, state)) ?? []) {
      const before = seen.get(id);
      const { from } = before ?? { from: Date.now() };
      const isQuiet = !farEnd.mayStillLog(id);
      seen.set(id, { from, isQuiet });
      if (!isQuiet || !before?.isQuiet) continue;
      seen.delete(id);
      const hasArrived = farEnd.messages.some(({ message_body }) => message_body === id);
      if (hasArrived && state === 'dead') onMisdeed(`${id} was given up, and it had arrived`);
      const kind = hasArrived ? 'confirm' : 'redrive';
      onDecided({ id, kind, from, to: Date.now() });
      await operator.decide(bridgeId, kind);
    }
  };
  for (; !signal.aborted; await sleep(LOOK_MS)) {
    await look('unknown');
    await look('dead');
  }
}
