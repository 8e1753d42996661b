import type { Kept } from './kept.ts';
import { isStale, overlapsOf } from './overlap.ts';
import { partsOf } from './parts.ts';
import type { Span } from './span.ts';
import { aheadOf, type Decision, type Hold, heldOf, repeatedOf } from './tended.ts';
import type { Trouble } from './troubles.ts';

/** A message that got its 2xx. */
export interface Acknowledged {
  readonly id: string;
  /** The bridge's own id of it, as its log has it. */
  readonly bridgeId: string;
  /** Otherwise each try that was taken is a message of its own. */
  readonly hasId: boolean;
  readonly tries: number;
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
  /** The name of the process that called. */
  readonly by: string;
  /**
   * delivered: answered that it was logged · other answer: a status or nonsense, it was not logged · cut: by the
   * simulator, which may have logged it · given up: by the bridge, or its end, before there was an answer
   */
  readonly end: 'delivered' | 'other answer' | 'cut' | 'given up';
}

/** A time in which the bridge may have missed an answer, not have lived to write it down, or have lost what it was at to others. */
export interface Disturbance extends Span {
  readonly cause: 'kill' | 'stop' | 'stall' | Trouble;
  /** Of which process; undefined where it is everybody's. */
  readonly by?: string;
  /** It lasted so long that others may have taken over. */
  readonly losesLeases?: boolean;
}

/** A process was ready. */
export interface Birth {
  readonly by: string;
  readonly at: number;
}

/** A process could not hear of what was done by way of others. */
export interface Deafness extends Span {
  readonly by: string;
}

export type Cause = Disturbance['cause'] | 'lost answer' | 'late answer' | 'sent again';

export interface Evidence extends Omit<Kept, 'damage'> {
  /** In each conversation in the order of the acknowledgements. */
  readonly acknowledged: readonly Acknowledged[];
  /** In order of arrival. */
  readonly arrivals: readonly Arrival[];
  readonly calls: readonly Call[];
  readonly disturbances: readonly Disturbance[];
  readonly births: readonly Birth[];
  readonly deaf: readonly Deafness[];
  /** How long a process that is not deaf may take to hear of a pause. */
  readonly noticeMs: number;
  /** The bridge's ids that its log announced as possible repeats. */
  readonly told: ReadonlySet<string>;
  /** What people decided, and the pauses that they ordered. */
  readonly decisions: readonly Decision[];
  readonly holds: readonly Hold[];
  /** Accounts at which nothing may arrive twice, for whatever reason: there only a person sends again. */
  readonly once: readonly string[];
  /** The bridge's DELIVERY_TIMEOUT_MS. */
  readonly timeoutMs: number;
}

/** What became of the promises. Each list names the messages for which one is broken. */
export interface Report {
  readonly acknowledged: number;
  readonly delivered: number;
  /** Arrivals beyond the first, by what explains them. */
  readonly duplicated: Readonly<Partial<Record<Cause, number>>>;
  /** Calls that came while another of their conversation was not over, by what explains them. */
  readonly overlapped: Readonly<Partial<Record<Cause, number>>>;
  /** How often a person said what was to become of a message. */
  readonly decided: Readonly<Record<Decision['kind'], number>>;
  readonly broken: Readonly<Record<Breach, readonly string[]>>;
}

/**
 * lost: acknowledged, and nowhere · waiting: not delivered yet, though nothing is in its way · unknown, dead: left over,
 * though a person deals with what can be dealt with · reordered: first arrived after a later one of its conversation ·
 * astray: arrived where it does not belong · unexplained: sent again though its answer was there, or could still come ·
 * untold: twice there, and the log is silent · repeated: sent again where only a person may · ahead: sent while its
 * conversation waited for a person · held: sent while its account was paused · overlapping: sent while another message of
 * its conversation was in flight
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
  | 'held'
  | 'overlapping';

/** Calls that took more than this share of the time-out may have run into it: two processes never time alike. */
const NEARLY = 0.6;

/**
 * After the beginning of a disturbance, which is 2 s before that of its trouble, nobody takes over for so long: of a lease of
 * 15 s, renewed every 5 s, 10 s are left then. Less something for a slow machine.
 */
const LEASE_LEFT_MS = 9_000;

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
  const kept = new Set([...copies.keys(), ...waiting, ...unknown, ...dead.keys(), ...givenUpIn(evidence)]);
  const overlaps = overlapsOf(evidence);
  const overlapped: Partial<Record<Cause, number>> = {};
  for (const { cause } of overlaps) if (cause !== undefined) overlapped[cause] = (overlapped[cause] ?? 0) + 1;
  return {
    acknowledged: acknowledged.length,
    delivered: acknowledged.filter(({ id }) => copies.has(id)).length,
    duplicated,
    overlapped,
    decided: {
      confirm: countOf(decisions, 'confirm'),
      redrive: countOf(decisions, 'redrive'),
      discard: countOf(decisions, 'discard'),
    },
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
        ...storedTooOften(evidence),
      ],
      untold: duplicates
        .map(([id]) => id)
        // Stored as several messages it is several to the log, each under an id of its own.
        .filter((id) => !told.has(bridgeIds.get(id) ?? '') && !evidence.copies.has(id)),
      repeated: repeatedOf(evidence),
      ahead: aheadOf(evidence),
      held: heldOf(evidence),
      overlapping: overlaps.filter(({ cause }) => cause === undefined).map(({ id }) => id),
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

/** What a person gave up. */
function givenUpIn({ decisions, discarded }: Evidence): string[] {
  return decisions.filter(({ id, kind }) => kind === 'discard' && discarded.has(id)).map(({ id }) => id);
}

/** By its id, where it has one, a message is stored once; otherwise as often as it was sent at most. */
function storedTooOften({ acknowledged, copies }: Evidence): string[] {
  return acknowledged.flatMap(({ id, hasId, tries }) => {
    const times = copies.get(id) ?? 1;
    return times > (hasId ? 1 : tries) ? [`${id} (stored ${times} times, sent ${tries} times)`] : [];
  });
}

interface Repeat {
  readonly id: string;
  readonly call: Call;
  readonly cause: Cause | undefined;
}

/** Every call that another call for the same message came after, with what makes that right. */
function repeatsOf(evidence: Evidence): Repeat[] {
  const byMessage = Map.groupBy(evidence.calls, ({ id }) => id);
  return [...byMessage].flatMap(([id, ofMessage]) => {
    const inOrder = ofMessage.toSorted((a, b) => a.from - b.from);
    const repeats = inOrder.flatMap((call, index) => {
      const next = inOrder[index + 1];
      if (next === undefined || call.end === 'other answer') return [];
      return [{ id, call, missed: missedIn(call, evidence), disturbance: disturbanceOf(call, next, evidence) }];
    });
    // A message that is stored as several is delivered as several: first those that nothing else explains.
    const answered = repeats.filter(({ missed }) => missed === undefined);
    const several = answered
      .toSorted((a, b) => Number(a.disturbance !== undefined) - Number(b.disturbance !== undefined))
      .slice(0, (evidence.copies.get(id) ?? 1) - 1);
    return repeats.map((repeat) => {
      const { call, missed, disturbance } = repeat;
      return { id, call, cause: several.includes(repeat) ? 'sent again' : (missed ?? disturbance) };
    });
  });
}

/** Why its answer was not read, or not in time. */
function missedIn({ end, from, to }: Call, { timeoutMs }: Evidence): Cause | undefined {
  if (end === 'cut') return 'lost answer';
  return to - from >= timeoutMs * NEARLY ? 'late answer' : undefined;
}

/** Why what was answered was not written, or not known to who called next. */
function disturbanceOf(call: Call, next: Call, { disturbances, timeoutMs }: Evidence): Cause | undefined {
  return disturbances.find((disturbance) => {
    const { cause, by, from, to, losesLeases } = disturbance;
    if (isStale(next, disturbance)) return true;
    if (by !== undefined && by !== call.by) return false;
    // Nobody takes over before the lease is over, however long the trouble was.
    if (losesLeases && next.from < from + LEASE_LEFT_MS) return false;
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
