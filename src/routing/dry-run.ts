import { setImmediate } from 'node:timers/promises';
import type { Message, Placement } from '../message.ts';
import type { Channel, RoutingTable } from './table.ts';

/** A message that was accepted before. */
export interface Sample {
  readonly id: string;
  readonly channel: string;
  /** Undefined once what was said is erased. */
  readonly message: Message | undefined;
}

/** What becomes of a message by a table, as far as the far end notices. */
export interface Fate {
  readonly route: string | null;
  /** Null where it is a dead letter; then `reason` says why. */
  readonly account: string | null;
  readonly businessId: number | null;
  readonly authId: string | null;
  readonly text: string | null;
  readonly reason: string | null;
}

/** How a message fares otherwise: several may be true of one. */
export const DIFFERENCES = ['gone', 'unroutable', 'routable', 'elsewhere', 'auth_id', 'text'] as const;
export type Difference = (typeof DIFFERENCES)[number];

export interface Example {
  readonly id: string;
  readonly channel: string;
  readonly sender: string;
  readonly differences: readonly Difference[];
  readonly before: Fate;
  readonly after: Fate;
}

export interface Rehearsal {
  /** How many messages were looked at. */
  readonly count: number;
  /** Of those, how many are erased: what would become of them nobody knows. */
  readonly erased: number;
  readonly unchanged: number;
  /** How many senders have another auth_id: to the far end they are new people. */
  readonly renamed: number;
  /**
   * `gone`: their channel is gone, and they would not be stored · `unroutable`: delivered by the table before, a dead letter by the new one · `routable`: the other way round ·
   * `elsewhere`: to another account or business_id
   */
  readonly differences: Readonly<Record<Difference, number>>;
  /** Some of each. */
  readonly examples: readonly Example[];
  /** Channels that read payloads otherwise: what was accepted was read as the table before says, and is taken as it is. */
  readonly readOtherwise: readonly string[];
}

/** A routing file that is only tried. */
export interface Draft {
  readonly source: string;
  /** By which its problems are told. */
  readonly name: string;
}

/** Of one table against another, by their versions. */
export interface DryRun {
  readonly version: string;
  readonly against: string;
  readonly rehearsal: Rehearsal;
}

interface Compared {
  readonly before: RoutingTable;
  readonly after: RoutingTable;
}

const EXAMPLES_OF_EACH = 5;
/** Of the text: enough to see what it is about. */
const SHOWN = 200;

/** Routes what was accepted before by another table, and compares. Nothing is stored or sent. */
export async function rehearse({ before, after }: Compared, samples: AsyncIterable<Sample>): Promise<Rehearsal> {
  const counts = { gone: 0, unroutable: 0, routable: 0, elsewhere: 0, auth_id: 0, text: 0 };
  const examples: Example[] = [];
  const renamed = new Set<string>();
  let [count, erased, unchanged] = [0, 0, 0];
  for await (const { id, channel, message } of samples) {
    count += 1;
    if (message === undefined) {
      erased += 1;
      continue;
    }
    // Templates take their time, and others wait.
    await setImmediate();
    const isGone = before.channels.has(channel) && !after.channels.has(channel);
    const example = compare(before.place(channel, message), after.place(channel, message), isGone);
    if (example.differences.length === 0) unchanged += 1;
    const isNew = example.differences.some((one) => counts[one] < EXAMPLES_OF_EACH);
    for (const one of example.differences) counts[one] += 1;
    if (example.differences.includes('auth_id')) renamed.add(JSON.stringify([channel, message.sender]));
    if (isNew) {
      examples.push({
        id,
        channel,
        sender: message.sender,
        differences: example.differences,
        before: shown(example.before),
        after: shown(example.after),
      });
    }
  }
  const readOtherwise = [...after.channels.values()].flatMap((channel) => {
    const was = before.channels.get(channel.name);
    return was !== undefined && readingOf(was) !== readingOf(channel) ? [channel.name] : [];
  });
  return { count, erased, unchanged, renamed: renamed.size, differences: counts, examples, readOtherwise };
}

type Comparison = Pick<Example, 'differences' | 'before' | 'after'>;

function compare(was: Placement, is: Placement, isGone: boolean): Comparison {
  const before = fateOf(was);
  if (isGone) return { differences: ['gone'], before, after: GONE };
  const after = fateOf(is);
  return { differences: [...differencesOf(before, after)], before, after };
}

const GONE: Fate = { route: null, account: null, businessId: null, authId: null, text: null, reason: 'gone' };

function* differencesOf(before: Fate, after: Fate): Generator<Difference> {
  if (before.reason === null && after.reason !== null) yield 'unroutable';
  if (before.reason !== null && after.reason === null) yield 'routable';
  if (before.reason !== null || after.reason !== null) return;
  if (before.account !== after.account || before.businessId !== after.businessId) yield 'elsewhere';
  if (before.authId !== after.authId) yield 'auth_id';
  if (before.text !== after.text) yield 'text';
}

function fateOf(placement: Placement): Fate {
  const { route } = placement;
  if ('dead' in placement) {
    return { route, account: null, businessId: null, authId: null, text: null, reason: placement.dead };
  }
  const { account, businessId, authId, text } = placement.delivery;
  return { route, account, businessId, authId, text, reason: null };
}

function shown(fate: Fate): Fate {
  const { text } = fate;
  const isLong = text !== null && text.length > SHOWN;
  return { ...fate, text: isLong ? `${Array.from(text).slice(0, SHOWN).join('')}…` : text };
}

function readingOf({ provider, fields, senders }: Channel): string {
  return JSON.stringify([provider, fields, senders]);
}
