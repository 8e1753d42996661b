import type { Clock } from '../clock.ts';
import { messageOf } from '../fault.ts';
import type { Log } from '../log.ts';
import type { Delivery, Outcome } from '../message.ts';
import { judge } from './judge.ts';
import type { Lanes } from './lanes.ts';
import type { Claim, Settlement, SettleResult, Store, Verdict } from './store.ts';

/** One try at the far end. When `signal` aborts it ends soon. A rejection counts as an unknown outcome. */
export type Deliver = (delivery: Delivery, signal: AbortSignal) => Promise<Outcome>;

/** What is made known of each attempt once its outcome is durable. */
export type Observe = (claim: Claim, settlement: Settlement) => void;

export interface DrainOptions {
  readonly store: Pick<Store, 'settle'>;
  readonly deliver: Deliver;
  readonly observe: Observe;
  readonly lanes: Lanes;
  /** Age at which a message that keeps failing is given up. */
  readonly retryHorizonMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

/** A conversation being delivered from, and the message that it is at. */
export interface Run {
  claim: Claim;
  readonly isProbe: boolean;
  /** Until when the conversation is surely ours, by the clock that only goes forward. */
  leaseEndsAt: number;
  /** Cuts off the attempt. */
  readonly cut: AbortController;
}

/** When a drain has to end, and who is told of its way. */
export interface Ending {
  readonly isStopping: () => boolean;
  /** Aborts when outcomes are waited for no longer. */
  readonly signal: AbortSignal;
  /** More of the account may be in flight than was. */
  readonly onRoom: () => void;
}

/** Long enough to outlive a stall, short enough that a dead process does not keep a customer waiting. */
export const LEASE_MS = 15_000;
/** No attempt goes on for longer than until that long before its lease ends: then others may take the conversation. */
export const LEASE_MARGIN_MS = 1_000;
export const STORE_RETRY_MS = 1_000;
/** Messages delivered under one lease before the conversation goes to the back of the queue. */
const TURNS = 16;
const UNKNOWN = 'unknown: it may have arrived; its conversation waits for a person';
const LEFT = 'the process ended during the attempt; it is not sent again';

/**
 * Delivers from one conversation until nothing waits, something fails, or its turns are up. An attempt's outcome is
 * durable before the next message is sent.
 *
 * @returns how long until the conversation is due again, if more of it waits
 */
export async function drain(run: Run, options: DrainOptions, ending: Ending): Promise<number | undefined> {
  const { clock, lanes, observe } = options;
  for (let turn = 1; ; turn += 1) {
    const { claim } = run;
    const lane = lanes.of(claim.account);
    const settlement = leftUnknown(claim, options) ?? tooLate(run, options) ?? (await attempt(run, options));
    const limits = lanes.limits(claim.account);
    // Before the outcome is written, since others look at the same pace meanwhile.
    const reserve = () => turn < TURNS && !ending.isStopping() && lane.goOn(clock.elapsed(), limits);
    const result = await settle(run, settlement, { reserve, unreserve: () => lane.stay(limits) }, options, ending);
    if (result !== undefined) observe(claim, settlement);
    if (lane.isBehind && lane.free(clock.elapsed(), limits) > 0) ending.onRoom();
    if (result?.next === undefined) {
      if (settlement.state === 'waiting') return settlement.dueInMs;
      return result?.hasMore ? 0 : undefined;
    }
    run.claim = result.next;
  }
}

/** Where a route does not want repeats, what may have been sent before is not sent again. */
function leftUnknown(claim: Claim, { log }: DrainOptions): Settlement | undefined {
  const { isInDoubt, message } = claim;
  if (!isInDoubt || message.delivery.onUnknown === 'retry') return undefined;
  log.error(UNKNOWN, { ...about(claim), attempt: message.attempts + 1, detail: LEFT });
  return { state: 'unknown', detail: LEFT, attempt: undefined };
}

/** What was claimed came to us when its lease was over, or nearly: we were asleep, or the database was slow. */
function tooLate({ leaseEndsAt }: Run, { clock }: DrainOptions): Settlement | undefined {
  if (clock.elapsed() < leaseEndsAt - LEASE_MARGIN_MS) return undefined;
  const detail = 'its lease was over before the attempt began';
  return { state: 'waiting', dueInMs: 0, isSpent: false, detail, attempt: undefined };
}

async function attempt(run: Run, options: DrainOptions): Promise<Settlement> {
  const { claim, isProbe } = run;
  const { signal } = run.cut;
  const { clock, lanes, log, retryHorizonMs, random } = options;
  if (claim.isInDoubt) log.warn('possible repeat: the attempt before ended without an outcome', about(claim));
  const at = clock.now();
  const startedAt = clock.elapsed();
  const outcome = await options.deliver(claim.message.delivery, signal).catch(toUnknown);
  const now = clock.elapsed();

  const lane = lanes.of(claim.account);
  const wasUnauthorized = lane.isUnauthorized;
  const wasCutOff = signal.aborted;
  const verdict = judge(outcome, { claim, lane, isProbe, startedAt, now, retryHorizonMs, random, wasCutOff });
  if (lane.isUnauthorized !== wasUnauthorized) lanes.tell(claim.account, outcome);

  const duration = Math.round(now - startedAt);
  const detail = outcome.kind === 'delivered' ? null : outcome.detail;
  logAttempt(claim, { outcome, verdict, duration, isHeld: lane.isHeld }, log);
  return { ...verdict, attempt: { at, outcome: outcome.kind, status: outcome.status ?? null, duration, detail } };
}

/** A turn more in the slot that is taken. */
interface Turn {
  readonly reserve: () => boolean;
  readonly unreserve: () => void;
}

/** An outcome is kept until it is written. @returns undefined when the lease was not ours any more, or we must go */
async function settle(
  run: Run,
  settlement: Settlement,
  { reserve, unreserve }: Turn,
  { store, clock, log }: DrainOptions,
  { signal }: Ending,
): Promise<Exclude<SettleResult, 'stale'> | undefined> {
  const { claim } = run;
  for (;;) {
    // For each try anew: the account may have been paused meanwhile.
    const goOn = reserve();
    const askedAt = clock.elapsed();
    try {
      const result = await store.settle(claim, settlement, goOn ? { leaseMs: LEASE_MS } : undefined);
      if (goOn && (result === 'stale' || result.next === undefined)) unreserve();
      if (goOn) run.leaseEndsAt = askedAt + LEASE_MS;
      if (result !== 'stale') return result;
      log.warn('an outcome came after its lease had ended; the message may be sent again', about(claim));
      return undefined;
    } catch (error) {
      if (goOn) unreserve();
      log.error('an outcome cannot be written; trying again', { ...about(claim), error });
      await clock.sleep(STORE_RETRY_MS, signal);
      if (signal.aborted) return undefined;
    }
  }
}

interface Ended {
  readonly outcome: Outcome;
  readonly verdict: Verdict;
  readonly duration: number;
  readonly isHeld: boolean;
}

function logAttempt(claim: Claim, { outcome, verdict, duration, isHeld }: Ended, log: Log): void {
  const fields = { ...about(claim), attempt: claim.message.attempts + 1, duration_ms: duration };
  const detail = outcome.kind === 'delivered' ? undefined : outcome.detail;
  switch (verdict.state) {
    case 'delivered':
      return void log.info('delivered', { ...fields, message_id: verdict.messageId });
    case 'dead': {
      const stopped = verdict.stops || undefined;
      return void log.error('dead', { ...fields, reason: verdict.reason, detail, stopped });
    }
    case 'unknown':
      return void log.error(UNKNOWN, { ...fields, detail });
    case 'waiting': {
      const possible_repeat = outcome.kind === 'unknown' || undefined;
      const due = isHeld ? { due: 'when its account is released, or as its probe' } : { due_in_ms: verdict.dueInMs };
      return void log.warn('to be tried again', { ...fields, ...due, detail, possible_repeat });
    }
    default:
      verdict satisfies never;
  }
}

function toUnknown(error: unknown): Outcome {
  return { kind: 'unknown', detail: `the attempt failed: ${messageOf(error)}` };
}

/** What a log line of an attempt is about. */
export function about({ message, account }: Claim) {
  const { businessId, authId } = message.delivery;
  return { id: message.id, account, business_id: businessId, auth_id: authId };
}
