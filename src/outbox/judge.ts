import type { Outcome } from '../message.ts';
import { backoffMs } from './backoff.ts';
import { type Lane, PROBE_INTERVAL_MS } from './lane.ts';
import type { Claim, Verdict } from './store.ts';

/** What there is to judge an outcome by. Times are of the clock that only goes forward. */
export interface Circumstances {
  readonly claim: Claim;
  readonly lane: Lane;
  readonly isProbe: boolean;
  readonly startedAt: number;
  readonly now: number;
  /** Age at which a message that keeps failing is given up. */
  readonly retryHorizonMs: number;
  readonly random: () => number;
  /** We cut the attempt off ourselves, since we must go. */
  readonly wasCutOff: boolean;
}

/** What the outcome of an attempt means: for its message, which is returned, and for its account, whose lane is told. */
export function judge(outcome: Outcome, circumstances: Circumstances): Verdict {
  const { claim, lane, isProbe, startedAt, now, wasCutOff } = circumstances;
  switch (outcome.kind) {
    case 'delivered':
      if (isProbe) lane.accept(now);
      lane.speedUp();
      return { state: 'delivered', messageId: outcome.messageId, createdAt: outcome.createdAt };
    case 'dead': {
      // The message is refused, and so the credentials were not.
      if (isProbe) lane.accept(now);
      const detail = [outcome.detail, outcome.answer].filter(Boolean).join(': ');
      return dead(outcome.reason, detail, claim);
    }
    case 'hold':
      return lane.refuse(startedAt, isProbe, now) ? held(outcome, circumstances) : again(outcome, circumstances);
    case 'retry':
    case 'unknown': {
      const { detail, kind } = outcome;
      const stops = kind === 'unknown' && claim.message.delivery.onUnknown === 'stop';
      // What we cut off ourselves says nothing about message and account, and must not be what it is given up for.
      if (wasCutOff) return stops ? { state: kind, detail } : { state: 'waiting', dueInMs: 0, isSpent: false, detail };
      if (isProbe) lane.probeLater(now);
      if (outcome.isOverload) lane.slowDown(startedAt, now);
      return stops ? { state: kind, detail } : again(outcome, circumstances);
    }
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
  { claim, lane, startedAt, now, retryHorizonMs, random }: Circumstances,
): Verdict {
  if (!isSpent) return { state: 'waiting', dueInMs: 0, isSpent, detail };
  const { ageMs, attempts } = claim.message;
  if (Math.min(ageMs + now - startedAt, now - lane.openSince) >= retryHorizonMs) return dead('expired', detail, claim);
  const dueInMs = PROBE_INTERVAL_MS + backoffMs(attempts + 1, undefined, random());
  return { state: 'waiting', dueInMs, isSpent, detail };
}

function again(
  outcome: Exclude<Outcome, { kind: 'delivered' | 'dead' }>,
  { claim, lane, startedAt, now, retryHorizonMs, random }: Circumstances,
): Verdict {
  const { detail } = outcome;
  const age = Math.min(claim.message.ageMs + now - startedAt, now - lane.triedSince);
  // While the account is on hold it is not the message's fault that it grows old.
  if (age >= retryHorizonMs && !lane.isHeld) return dead('expired', detail, claim);
  const retryAfterMs = outcome.kind === 'retry' ? outcome.retryAfterMs : undefined;
  const dueInMs = backoffMs(claim.message.attempts + 1, retryAfterMs, random());
  return { state: 'waiting', dueInMs, isSpent: true, detail };
}

function dead(reason: Extract<Verdict, { state: 'dead' }>['reason'], detail: string, { message }: Claim): Verdict {
  return { state: 'dead', reason, detail, stops: message.delivery.onDead === 'stop' };
}
