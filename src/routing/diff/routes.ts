import type { Change } from './change.ts';
import { isMap, keyOf, type PlainMap } from './plain.ts';
import { differences, excerpt, type Show, word } from './words.ts';

interface Placed {
  readonly index: number;
  readonly route: PlainMap;
  /** Key by key, to see how much two have in common. */
  readonly says: ReadonlySet<string>;
}

interface Pair {
  readonly before: Placed;
  readonly after: Placed;
}

/**
 * What becomes of the routes. They have no names, so each is known again by what it says. Their order says which is tried
 * first, and only those of one channel are tried on the same message.
 */
export function routeChanges(before: readonly PlainMap[], after: readonly PlainMap[], show: Show): Change[] {
  const were = byChannel(before);
  const are = byChannel(after);
  return [...new Set([...are.keys(), ...were.keys()])]
    .flatMap((channel) => [...changesOf(channel, were.get(channel) ?? [], are.get(channel) ?? [], show)])
    .sort((a, b) => Number(isRemoved(a)) - Number(isRemoved(b)) || a.index - b.index)
    .map(({ change }) => change);
}

function byChannel(routes: readonly PlainMap[]): Map<string, Placed[]> {
  const placed = routes.map((route, index): Placed => {
    const { when, ...rest } = route;
    const keys = [...Object.entries(rest), ...(isMap(when) ? Object.entries(when) : [])];
    return { index, route, says: new Set(keys.map((key) => JSON.stringify(key))) };
  });
  return Map.groupBy(placed, ({ route }) => String(route.channel));
}

interface PlacedChange {
  readonly index: number;
  readonly change: Change;
}

/** Its index is that of the old file, so it stands at the end. */
function isRemoved({ change }: PlacedChange): boolean {
  return change.change === 'removed';
}

function* changesOf(channel: string, before: Placed[], after: Placed[], show: Show): Generator<PlacedChange> {
  const told = ({ index }: Placed, change: Change['change'], words: string): PlacedChange => {
    const name = change === 'removed' ? `was routes[${index}]` : `routes[${index}]`;
    return { index, change: { part: 'route', change, name, message: `${name} (${word(channel)}): ${words}` } };
  };
  const pairs = paired(before, after);
  const kept = inOrder(pairs);
  for (const [place, pair] of pairs.entries()) {
    for (const words of differences(pair.before.route, pair.after.route, 'route', show)) {
      yield told(pair.after, 'changed', words);
    }
    if (!kept.has(pair)) yield told(pair.after, 'moved', wordsOfMove(pairs, place, kept));
  }
  const known = new Set(pairs.flatMap((pair) => [pair.before, pair.after]));
  for (const placed of after) {
    if (!known.has(placed)) yield told(placed, 'added', `added, ${wordsOf(placed.route, show)}`);
  }
  for (const placed of before) {
    if (!known.has(placed)) yield told(placed, 'removed', `removed, ${wordsOf(placed.route, show)}`);
  }
}

/** By what a route is known again, the surest first: all of it, what it wants, where it leads. */
const KNOWN_BY: readonly ((route: PlainMap) => string)[] = [
  keyOf,
  ({ when }) => keyOf(when),
  ({ account, business_id }) => `${account} ${business_id}`,
];

/** In the order of the new file. */
function paired(before: readonly Placed[], after: readonly Placed[]): readonly Pair[] {
  const pairs = new Map<Placed, Placed>();
  const free = new Set(before);
  for (const knownBy of KNOWN_BY) {
    const candidates = Map.groupBy(free, ({ route }) => knownBy(route));
    for (const placed of after) {
      const known = pairs.has(placed) ? [] : (candidates.get(knownBy(placed.route)) ?? []);
      const [alike] = known.splice(mostAlike(placed, known), 1);
      if (alike === undefined) continue;
      pairs.set(placed, alike);
      free.delete(alike);
    }
  }
  return after.flatMap((placed) => {
    const one = pairs.get(placed);
    return one === undefined ? [] : [{ before: one, after: placed }];
  });
}

/** The place of the first that shares most with it. */
function mostAlike({ says }: Placed, candidates: readonly Placed[]): number {
  let best = { index: 0, shared: 0 };
  for (const [index, candidate] of candidates.entries()) {
    const shared = [...says].filter((key) => candidate.says.has(key)).length;
    if (shared > best.shared) best = { index, shared };
    // It cannot well be more; where one word of thousands is changed, each would be compared with each.
    if (shared >= says.size - 1) break;
  }
  return best.index;
}

interface Link {
  readonly pair: Pair;
  readonly previous: Link | undefined;
}

/** As many as can be whose order is what it was: a longest increasing subsequence. All others have moved. */
function inOrder(pairs: readonly Pair[]): ReadonlySet<Pair> {
  /** Of all runs of one length the one that ends earliest in the old file. */
  const runs: Link[] = [];
  for (const pair of pairs) {
    const longest = runs.findLastIndex((end) => end.pair.before.index < pair.before.index);
    runs[longest + 1] = { pair, previous: runs[longest] };
  }
  const kept = new Set<Pair>();
  for (let link = runs.at(-1); link !== undefined; link = link.previous) kept.add(link.pair);
  return kept;
}

function wordsOfMove(pairs: readonly Pair[], place: number, kept: ReadonlySet<Pair>): string {
  const was = pairs[place]?.before.index ?? 0;
  const next = pairs.slice(place).find((pair) => kept.has(pair));
  const previous = pairs.slice(0, place).findLast((pair) => kept.has(pair));
  const where =
    next !== undefined && next.before.index < was
      ? `up, before routes[${next.after.index}]`
      : `down, after routes[${previous?.after.index}]`;
  return `moved ${where}; was routes[${was}]`;
}

function wordsOf(route: PlainMap, show: Show): string {
  const wanted = isMap(route.when) ? Object.entries(route.when) : [];
  const conditions = wanted.map(([name, value]) => `${word(name)} ${show(value, `route.when.${name}`)}`);
  const when = conditions.length === 0 ? 'always' : excerpt(`when ${conditions.join(' and ')}`);
  return `${when} → business_id ${show(route.business_id, 'route.business_id')}`;
}
