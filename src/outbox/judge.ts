import type { Outcome } from '../message.ts';
import { backoffMs } from './backoff.ts';
import { type Lane, PROBE_INTERVAL_MS } from './lane.ts';
import type { Claim, Settlement } from './store.ts';

/** An attempt, and what there is to judge its outcome by. Times are of the clock that only goes forward. */
export interface Attempt {
  readonly claim: Claim;
  readonly lane: Lane;
  readonly isProbe: boolean;
  readonly startedAt: number;
  readonly now: number;
  /** Age at which a message that keeps failing is given up. */
  readonly retryHorizonMs: number;
  readonly random: () => number;
}

/** What the outcome of an attempt means: for its message, which is returned, and for its account, whose lane is told. */
export function judge(outcome: Outcome, attempt: Attempt): Settlement {
  const { lane, isProbe, startedAt, now } = attempt;
  switch (outcome.kind) {
    case 'delivered':
      if (isProbe) lane.release(now);
      return { state: 'delivered', messageId: outcome.messageId, createdAt: outcome.createdAt };
    case 'dead': {
      // The message is refused, and so the credentials were not.
      if (isProbe) lane.release(now);
      const detail = [outcome.detail, outcome.answer].filter(Boolean).join(': ');
      return { state: 'dead', reason: outcome.reason, detail };
    }
    case 'hold':
      return lane.hold(startedAt, isProbe, now) ? held(outcome, attempt) : again(outcome, attempt);
    case 'retry':
    case 'unknown':
      if (isProbe) lane.probeLater(now);
      return again(outcome, attempt);
    default:
      return outcome satisfies never;
  }
}

/**
 * The message waits with its account, and nothing is held against it. Unless it may itself be the cause: then it must not
 * hold everybody for ever, so it is not the next probe, and does not grow young again by the releases in between.
 */
function held(
  { detail, isSpent }: Extract<Outcome, { kind: 'hold' }>,
  { claim, retryHorizonMs, random }: Attempt,
): Settlement {
  if (!isSpent) return { state: 'waiting', dueInMs: 0, isSpent, detail };
  const { ageMs, attempts } = claim.message;
  if (ageMs >= retryHorizonMs) return { state: 'dead', reason: 'expired', detail };
  return {
    state: 'waiting',
    dueInMs: PROBE_INTERVAL_MS + backoffMs(attempts + 1, undefined, random()),
    isSpent,
    detail,
  };
}

function again(outcome: Exclude<Outcome, { kind: 'delivered' | 'dead' }>, attempt: Attempt): Settlement {
  const { claim, lane, startedAt, now, retryHorizonMs, random } = attempt;
  const { detail } = outcome;
  const age = Math.min(claim.message.ageMs + now - startedAt, now - lane.triedSince);
  // While the account is on hold it is not the message's fault that it grows old.
  if (age >= retryHorizonMs && !lane.isHeld) return { state: 'dead', reason: 'expired', detail };
  const retryAfterMs = outcome.kind === 'retry' ? outcome.retryAfterMs : undefined;
  const dueInMs = backoffMs(claim.message.attempts + 1, retryAfterMs, random());
  return { state: 'waiting', dueInMs, isSpent: true, detail };
}
