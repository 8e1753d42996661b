import type { Call, Evidence } from './checker.ts';
import { partsOf } from './parts.ts';
import type { Span } from './span.ts';

/** A message that waited for a person: from when the bridge was seen to say so, until the person's word was sent. */
export interface Decision extends Span {
  readonly id: string;
  readonly kind: 'confirm' | 'redrive' | 'discard';
}

/** An account was paused: from when the bridge said that it is, until it was told to go on. */
export interface Hold extends Span {
  readonly account: string;
}

/** An attempt in flight may end: log the message, register its user, log it again. */
const CALLS_AN_ATTEMPT = 3;

/**
 * Where only a person sends again: what arrived twice, whoever it was, and what was called for again on the bridge's own
 * account after a call that may have been logged, arrived or not.
 */
export function repeatedOf({ arrivals, calls, decisions, once }: Evidence): string[] {
  const isTended = (id: string) => once.some((account) => id.startsWith(account));
  const twice = [...Map.groupBy(arrivals, ({ id }) => id)].filter(([, { length }]) => length > 1).map(([id]) => id);
  const redriven = Map.groupBy(
    decisions.filter(({ kind }) => kind === 'redrive'),
    ({ id }) => id,
  );
  const isTold = (before: Call, after: Call) =>
    redriven.get(before.id)?.some(({ to }) => before.from <= to && to <= after.from) ?? false;
  const again = [...Map.groupBy(calls, ({ id }) => id)].flatMap(([id, ofMessage]) => {
    const inOrder = ofMessage.toSorted((a, b) => a.from - b.from);
    return inOrder.some((call, index) => {
      const next = inOrder[index + 1];
      return next !== undefined && call.end !== 'other answer' && !isTold(call, next);
    })
      ? [id]
      : [];
  });
  return [...new Set([...twice, ...again])].filter(isTended);
}

/** What was called for while another message of its conversation waited for a person. */
export function aheadOf({ calls, decisions }: Evidence): string[] {
  const byConversation = Map.groupBy(calls, ({ id }) => partsOf(id).conversation);
  const ahead = decisions.flatMap(({ id, from, to }) =>
    (byConversation.get(partsOf(id).conversation) ?? [])
      .filter((call) => call.id !== id && from <= call.from && call.from < to)
      .map((call) => call.id),
  );
  return [...new Set(ahead)];
}

/** What was called for while its account was paused, and no attempt from before the pause can explain it. */
export function heldOf({ calls, holds, births, deaf, disturbances, timeoutMs, noticeMs }: Evidence): string[] {
  const stillMs = noticeMs + CALLS_AN_ATTEMPT * timeoutMs;
  const asleep = disturbances.filter(({ cause, losesLeases }) => ['pause', 'stall'].includes(cause) && !losesLeases);
  const held = holds.flatMap(({ account, from, to }) =>
    calls.filter(({ id, by, from: at }) => {
      if (!id.startsWith(account) || at <= from || to <= at) return false;
      // A process that was not there before the pause has nothing in flight from before it.
      if (births.some((birth) => birth.by === by && from < birth.at && birth.at < at)) return true;
      // Nor what one slept through, or could not hear of, once it is over and what was in flight has ended.
      const since = [...asleep, ...deaf].filter((it) => isOf(it.by, by) && it.from < at).map((it) => it.to);
      return Math.max(from, ...since) + stillMs < at;
    }),
  );
  return [...new Set(held.map(({ id }) => id))];
}

/** Whether what happened to `whom`, or to everybody, happened to `by`. */
function isOf(whom: string | undefined, by: string): boolean {
  return whom === undefined || whom === by;
}
