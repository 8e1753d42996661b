import type { Call, Cause, Disturbance, Evidence } from './checker.ts';
import { partsOf } from './parts.ts';

/** A call for a conversation that came while another one was not over; `cause` where that had lost its lease by sleeping. */
export interface Overlap {
  readonly id: string;
  readonly cause: Cause | undefined;
}

/**
 * That a caller has gone is read after what another has sent meanwhile, where both come at once: within the time for which
 * this process may get no time without its being noted, as a share of the time-out.
 */
const GONE = 1 / 4;
/** Who wakes up sends what it was about to send, before it sees the time. */
const WAKE_MS = 500;

/** Of each conversation there is to be one call at the far end at a time. */
export function overlapsOf({ calls, disturbances, timeoutMs }: Evidence): Overlap[] {
  return [...Map.groupBy(calls, ({ id }) => partsOf(id).conversation).values()].flatMap((ofConversation) => {
    let last: Call | undefined;
    return ofConversation
      .toSorted((a, b) => a.from - b.from)
      .flatMap((call) => {
        const before = last;
        last = before === undefined || before.to < call.to ? call : before;
        if (before === undefined || call.from >= endOf(before, timeoutMs)) return [];
        return [{ id: call.id, cause: causeOf(before, call, disturbances) }];
      });
  });
}

/** The process slept for longer than its leases, and began the call when it woke up. */
export function isStale({ by, from }: Call, { cause, losesLeases, ...it }: Disturbance): boolean {
  return cause === 'pause' && losesLeases === true && it.by === by && it.from <= from && from <= it.to + WAKE_MS;
}

/** An end that is our own is known at once. */
function endOf({ to, end }: Call, timeoutMs: number): number {
  return end === 'given up' ? to - timeoutMs * GONE : to;
}

function causeOf(before: Call, call: Call, disturbances: readonly Disturbance[]): Cause | undefined {
  return disturbances.find((disturbance) => {
    const { cause, losesLeases, by, from, to } = disturbance;
    if (isStale(call, disturbance)) return true;
    const isSleep = (cause === 'pause' && losesLeases === true) || cause === 'stall';
    return isSleep && (by === undefined || by === before.by) && from <= before.to && before.from <= to;
  })?.cause;
}
