import { normaliseSender } from '../../sender.ts';
import { dataAsWritten } from '../document/document.ts';
import { joinedLists, type SenderList } from '../senders/senders.ts';
import type { Change } from './change.ts';
import { accountChanges, channelChanges, type Named } from './named.ts';
import { keyOf, type Plain, type PlainMap, plain, plainMap } from './plain.ts';
import { routeChanges } from './routes.ts';
import { senderChanges } from './senders.ts';
import { arrow, type Show, secretsIn, showing } from './words.ts';

/** A good routing file. */
export interface Written {
  readonly source: string;
  /** What stands in its senders file, where it has one. */
  readonly sendersFile?: SenderList | undefined;
}

/**
 * What changes when one file takes the place of another. They are compared as they are written: nothing is looked up, and
 * secrets that are written into a file are not shown.
 */
export function diffRouting(before: Written, after: Written): readonly Change[] {
  const was = partsOf(before);
  const now = partsOf(after);
  const show = showing([...secretsOf(was), ...secretsOf(now)]);
  return [
    ...accountChanges(was.accounts, now.accounts, show),
    ...channelChanges(was.channels, now.channels, show),
    ...routeChanges(was.routes, now.routes, show),
    ...fileChanges(was.others, now.others, show),
    ...senderChanges(was.senders, now.senders, (authId) => show(authId, 'senders')),
  ];
}

interface Parts {
  readonly accounts: Named;
  readonly channels: Named;
  readonly routes: readonly PlainMap[];
  /** Of both files. */
  readonly senders: SenderList;
  /** What else stands at the root. */
  readonly others: ReadonlyMap<string, Plain>;
}

function partsOf({ source, sendersFile }: Written): Parts {
  const { accounts, channels, routes, senders, ...others } = mapOf(dataAsWritten(source));
  const [first, second] = Object.keys(mapOf(accounts));
  const listed = new Map(Object.entries(mapOf(senders)).map(([sender, id]) => [normaliseSender(sender), String(id)]));
  // A route that names no account leads to the only one there is.
  const only = second === undefined ? { account: first } : {};
  return {
    accounts: named(accounts, 'account'),
    channels: named(channels, 'channel'),
    routes: Array.isArray(routes) ? routes.map((route) => plainMap({ ...only, ...mapOf(route) }, 'route')) : [],
    senders: joinedLists(listed, sendersFile ?? new Map()),
    others: new Map(Object.entries(others).map(([name, value]) => [name, plain(value, name)])),
  };
}

function named(map: unknown, place: string): Named {
  return new Map(Object.entries(mapOf(map)).map(([name, config]) => [name, plainMap(mapOf(config), place)]));
}

function mapOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

function* secretsOf({ accounts, channels }: Parts): Generator<string> {
  for (const account of accounts.values()) yield* secretsIn(account, 'account');
  for (const channel of channels.values()) yield* secretsIn(channel, 'channel');
}

function* fileChanges(before: Parts['others'], after: Parts['others'], show: Show): Generator<Change> {
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    const [was, now] = [before.get(name), after.get(name)];
    if (keyOf(was) === keyOf(now)) continue;
    const change = was === undefined ? 'added' : now === undefined ? 'removed' : 'changed';
    yield { part: 'file', change, name, message: `${name}: ${arrow(show(was, name), show(now, name))}` };
  }
}
