import { setTimeout as sleep } from 'node:timers/promises';
import type { FarEnd } from './far-end.ts';
import type { Operator } from './operator.ts';
import type { Random } from './random.ts';
import type { Decision } from './tended.ts';

export interface PersonOptions {
  readonly account: string;
  readonly operator: Operator;
  readonly farEnd: Pick<FarEnd, 'messages' | 'mayStillLog'>;
  readonly random: Random;
  readonly onDecided: (decision: Decision) => void;
  readonly onMisdeed: (what: string) => void;
}

/** What waits for a word: since when it was seen to, and whether nothing of it was under way at the last look. */
interface Seen {
  readonly from: number;
  isQuiet: boolean;
}

const LOOK_MS = 100;
/** The share of what was refused for good that is given up. */
const GIVEN_UP = 0.2;

/**
 * Deals with an account's unknown and dead messages, as a person does who looks at Haptik's side first: confirms what
 * arrived, and redrives what certainly did not, or gives it up where it was refused. That it must be quiet at two looks gives answers that are due their turn.
 */
export async function tend(options: PersonOptions, signal: AbortSignal): Promise<void> {
  const { account, operator, farEnd, random, onDecided, onMisdeed } = options;
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
      const isGivenUp = state === 'dead' && random() < GIVEN_UP;
      const kind = hasArrived ? 'confirm' : isGivenUp ? 'discard' : 'redrive';
      onDecided({ id, kind, from, to: Date.now() });
      await operator.decide(bridgeId, kind);
    }
  };
  for (; !signal.aborted; await sleep(LOOK_MS)) {
    await look('unknown');
    await look('dead');
  }
}
