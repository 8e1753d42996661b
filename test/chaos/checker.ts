import { partsOf } from './parts.ts';
import type { Span } from './span.ts';
import { aheadOf, type Decision, type Hold, heldOf, repeatedOf } from './tended.ts';

/** A message that got its 2xx. */
export interface Acknowledged {
  readonly id: string;
  /** The bridge's own id of it, as its log has it. */
  readonly bridgeId: string;
}

/** A message that Haptik logged, under the id that is its text. */
export interface Arrival {
  readonly account: string;
  readonly conversation: string;
  readonly id: string;
}

/** One call that brought a message to Haptik, from when to when. */
export interface Call extends Span {
  readonly id: string;
  /**
   * delivered: answered that it was logged · other answer: a status or nonsense, it was not logged · cut: by the
   * simulator, which may have logged it · given up: by the bridge, or its end, before there was an answer
   */
  readonly end: 'delivered' | 'other answer' | 'cut' | 'given up';
}

/** A time in which the bridge may have missed an answer, or not have lived to write it down. */
export interface Disturbance extends Span {
  readonly cause: 'kill' | 'pause' | 'stall';
}

export type Cause = Disturbance['cause'] | 'lost answer' | 'late answer';

export interface Evidence {
  /** In each conversation in the order of the acknowledgements. */
  readonly acknowledged: readonly Acknowledged[];
  /** In order of arrival. */
  readonly arrivals: readonly Arrival[];
  readonly calls: readonly Call[];
  readonly disturbances: readonly Disturbance[];
  /** When a process of the bridge was ready. */
  readonly births: readonly number[];
  /** The bridge's ids that its log announced as possible repeats. */
  readonly told: ReadonlySet<string>;
  /** What people decided, and the pauses that they ordered. */
  readonly decisions: readonly Decision[];
  readonly holds: readonly Hold[];
  /** Accounts at which nothing may arrive twice, for whatever reason: there only a person sends again. */
  readonly once: readonly string[];
  /** What the bridge keeps at the end, by its database: what waits, also for a person, and dead letters with their reasons. */
  readonly waiting: readonly string[];
  readonly unknown: readonly string[];
  readonly dead: ReadonlyMap<string, string>;
  /** The bridge's DELIVERY_TIMEOUT_MS. */
  readonly timeoutMs: number;
}

/** What became of the promises. Each list names the messages for which one is broken. */
export interface Report {
  readonly acknowledged: number;
  readonly delivered: number;
  /** Arrivals beyond the first, by what explains them. */
  readonly duplicated: Readonly<Partial<Record<Cause, number>>>;
  /** How often a person said what was to become of a message. */
  readonly decided: Readonly<Record<Decision['kind'], number>>;
  readonly broken: Readonly<Record<Breach, readonly string[]>>;
}

/**
 * lost: acknowledged, and nowhere · waiting: not delivered yet, though nothing is in its way · unknown, dead: left over,
 * though a person deals with what can be dealt with · reordered: first arrived after a later one of its conversation ·
 * astray: arrived where it does not belong · unexplained: sent again though its answer was there, or could still come ·
 * untold: twice there, and the log is silent · repeated: sent again where only a person may · ahead: sent while its
 * conversation waited for a person · held: sent while its account was paused
 */
export type Breach =
  | 'lost'
  | 'waiting'
  | 'unknown'
  | 'dead'
  | 'reordered'
  | 'astray'
  | 'unexplained'
  | 'untold'
  | 'repeated'
  | 'ahead'
  | 'held';

/** Calls that took more than this share of the time-out may have run into it: two processes never time alike. */
const NEARLY = 0.6;

/** Judges a run by what was seen from outside. */
export function check(evidence: Evidence): Report {
  const { acknowledged, arrivals, decisions, waiting, unknown, dead, told } = evidence;
  const copies = Map.groupBy(arrivals, ({ id }) => id);
  const repeats = repeatsOf(evidence);
  const duplicates = [...copies].filter(([, { length }]) => length > 1);
  const causes = new Map(repeats.flatMap(({ id, cause }) => (cause === undefined ? [] : [[id, cause] as const])));
  const duplicated: Partial<Record<Cause, number>> = {};
  for (const [id, { length }] of duplicates) {
    const cause = causes.get(id);
    if (cause !== undefined) duplicated[cause] = (duplicated[cause] ?? 0) + length - 1;
  }
  const wrong = new Map(repeats.filter(({ cause }) => cause === undefined).map(({ id, call }) => [id, call]));
  const unaccounted = duplicates.map(([id]) => id).filter((id) => !causes.has(id) && !wrong.has(id));
  const bridgeIds = new Map(acknowledged.map(({ id, bridgeId }) => [id, bridgeId]));
  const kept = new Set([...copies.keys(), ...waiting, ...unknown, ...dead.keys()]);
  return {
    acknowledged: acknowledged.length,
    delivered: acknowledged.filter(({ id }) => copies.has(id)).length,
    duplicated,
    decided: { confirm: countOf(decisions, 'confirm'), redrive: countOf(decisions, 'redrive') },
    broken: {
      lost: acknowledged.map(({ id }) => id).filter((id) => !kept.has(id)),
      waiting,
      unknown,
      dead: [...dead].map(([id, reason]) => `${id} (${reason})`),
      reordered: reorderedOf(evidence),
      astray: arrivals.filter((arrival) => !belongs(arrival)).map(({ id }) => id),
      unexplained: [
        ...[...wrong].map(([id, { end, from, to }]) => `${id} (${end} after ${to - from} ms)`),
        ...unaccounted,
      ],
      untold: duplicates.map(([id]) => id).filter((id) => !told.has(bridgeIds.get(id) ?? '')),
      repeated: repeatedOf(evidence),
      ahead: aheadOf(evidence),
      held: heldOf(evidence),
    },
  };
}

export function isKept({ broken }: Report): boolean {
  return Object.values(broken).every((ids) => ids.length === 0);
}

/** Acknowledged one after the other, a conversation's messages have to arrive first in the order of their numbers. */
function reorderedOf({ arrivals }: Evidence): string[] {
  const highest = new Map<string, number>();
  const seen = new Set<string>();
  return arrivals.flatMap(({ id }) => {
    if (seen.has(id)) return [];
    seen.add(id);
    const { conversation, index } = partsOf(id);
    const before = highest.get(conversation) ?? -1;
    highest.set(conversation, Math.max(before, index));
    return index < before ? [id] : [];
  });
}

/** Every call that another call for the same message came after, with what makes that right. */
function repeatsOf({
  calls,
  disturbances,
  timeoutMs,
}: Evidence): { id: string; call: Call; cause: Cause | undefined }[] {
  const byMessage = Map.groupBy(calls, ({ id }) => id);
  return [...byMessage].flatMap(([id, ofMessage]) =>
    ofMessage
      .toSorted((a, b) => a.from - b.from)
      .slice(0, -1)
      .filter(({ end }) => end !== 'other answer')
      .map((call) => ({ id, call, cause: causeOf(call, disturbances, timeoutMs) })),
  );
}

function causeOf(call: Call, disturbances: readonly Disturbance[], timeoutMs: number): Cause | undefined {
  if (call.end === 'cut') return 'lost answer';
  if (call.to - call.from >= timeoutMs * NEARLY) return 'late answer';
  return disturbances.find(({ cause, from, to }) => {
    // A call that waited to be read began earlier than is seen here, and its answer may have been read later.
    const unseenMs = cause === 'stall' ? timeoutMs : 0;
    return from <= call.to + unseenMs && call.from - unseenMs <= to;
  })?.cause;
}

function belongs({ account, conversation, id }: Arrival): boolean {
  return partsOf(id).conversation === conversation && conversation.startsWith(account);
}

function countOf(decisions: readonly Decision[], wanted: Decision['kind']): number {
  return decisions.filter(({ kind }) => kind === wanted).length;
}
