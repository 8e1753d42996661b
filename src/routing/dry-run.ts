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

/** Of one table against another, by their versions. */
export interface DryRun {
  readonly version: string;
  readonly against: string;
  readonly rehearsal: Rehearsal;
}

interface Tables {
  readonly before: RoutingTable;
  readonly after: RoutingTable;
  /** Of the new table: puts references in place of what came out of them. */
  readonly conceal: (text: string) => string;
}

const EXAMPLES_OF_EACH = 5;
/** Of the text: enough to see what it is about. */
const SHOWN = 200;
const HIDDEN = '(not shown: the template holds what a reference stands for)';

/** Routes what was accepted before by another table, and compares. Nothing is stored or sent. */
export async function rehearse({ before, after, conceal }: Tables, samples: AsyncIterable<Sample>): Promise<Rehearsal> {
  const counts = { gone: 0, unroutable: 0, routable: 0, elsewhere: 0, auth_id: 0, text: 0 };
  const examples: Example[] = [];
  const renamed = new Set<string>();
  const hiding = { conceal, routes: revealing(after, conceal) };
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
        after: shown(example.after, hiding),
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

interface Hiding {
  readonly conceal: (text: string) => string;
  readonly routes: ReadonlySet<string>;
}

/**
 * Routes whose templates hold what a reference stands for. Whoever may ask for a dry run may not read secrets by it, in
 * whatever form a filter gives them.
 */
function revealing({ file }: RoutingTable, conceal: (text: string) => string): ReadonlySet<string> {
  const reveals = (template: { readonly source: string } | undefined) =>
    template !== undefined && conceal(template.source) !== template.source;
  return new Set(
    file.routes.flatMap(({ auth_id, message_body }, index) =>
      reveals(auth_id) || reveals(message_body) ? [`routes[${index}]`] : [],
    ),
  );
}

function shown(fate: Fate, { conceal, routes }: Hiding = { conceal: String, routes: new Set() }): Fate {
  if (fate.route !== null && routes.has(fate.route)) return { ...fate, authId: HIDDEN, text: HIDDEN };
  const { authId, text } = fate;
  const isLong = text !== null && text.length > SHOWN;
  const excerpt = isLong ? `${Array.from(text).slice(0, SHOWN).join('')}…` : text;
  return { ...fate, authId: authId && conceal(authId), text: excerpt && conceal(excerpt) };
}

function readingOf({ provider, fields, senders }: Channel): string {
  return JSON.stringify([provider, fields, senders]);
}
