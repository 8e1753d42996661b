import type { Change } from './change.ts';
import { at, isMap, namesOf, type Plain, type PlainMap } from './plain.ts';
import { differences, type Show } from './words.ts';

/** Accounts or channels, by name. */
export type Named = ReadonlyMap<string, PlainMap>;

export function accountChanges(before: Named, after: Named, show: Show): Generator<Change> {
  return changesOf('account', before, after, {
    removed: (name) =>
      `removed; what waits for it waits until it is back, or is moved by redrive --state waiting --account ${name} --reroute`,
    changed: (was, now) => differences(was, now, 'account', show),
    added: ({ base_url, message_url }) => `added, ${show(base_url ?? message_url, 'account.base_url')}`,
  });
}

export function channelChanges(before: Named, after: Named, show: Show): Generator<Change> {
  return changesOf('channel', before, after, {
    removed: () => 'removed; what comes to it is answered 503',
    changed: (was, now) => channelDifferences(was, now, show),
    added: ({ provider, verify }) => {
      const check = checkOf(verify, show);
      return `added, ${show(provider, 'channel.provider')}, ${check === 'none' ? 'not verified' : `verified by ${check}`}`;
    },
  });
}

interface Words {
  removed(name: string): string;
  changed(before: PlainMap, after: PlainMap): Iterable<string>;
  added(config: PlainMap): string;
}

function* changesOf(part: 'account' | 'channel', before: Named, after: Named, words: Words): Generator<Change> {
  const told = (name: string, change: Change['change'], text: string): Change => {
    return { part, change, name, message: `${part} ${name}: ${text}` };
  };
  for (const [name, was] of before) {
    const now = after.get(name);
    if (now === undefined) yield told(name, 'removed', words.removed(name));
    else for (const text of words.changed(was, now)) yield told(name, 'changed', text);
  }
  for (const [name, now] of after) {
    if (!before.has(name)) yield told(name, 'added', words.added(now));
  }
}

function* channelDifferences(before: PlainMap, after: PlainMap, show: Show): Generator<string> {
  for (const name of namesOf(before, after)) {
    if (name === 'verify') yield* verifyDifferences(before.verify, after.verify, show);
    else yield* differences(at(before, name), at(after, name), `channel.${name}`, show);
  }
}

/** What stands beside the scheme in `verify`; all that is left is the scheme. */
const BESIDE = ['verify_token', 'certificate'];
const MODE = 'mode';

function* verifyDifferences(before: Plain | undefined, after: Plain | undefined, show: Show): Generator<string> {
  const [was, now] = [checkOf(before, show), checkOf(after, show)];
  if (was !== now) yield `verify ${was} → ${now}${consequenceOf(after)}`;
  if (!isMap(before) || !isMap(after)) return;
  // The keys of two schemes have nothing to do with each other.
  const scheme = schemeOf(before);
  for (const name of scheme === schemeOf(after) ? [scheme, ...BESIDE] : BESIDE) {
    yield* differences(at(before, name), at(after, name), `channel.verify.${name}`, show);
  }
}

function schemeOf(verify: PlainMap): string {
  return Object.keys(verify).find((name) => name !== MODE && !BESIDE.includes(name)) ?? 'none';
}

function checkOf(verify: Plain | undefined, show: Show): string {
  if (!isMap(verify)) return show(verify, 'channel.verify');
  return `${schemeOf(verify)}${verify.mode === 'enforce' ? '' : ` (mode ${show(verify.mode, 'channel.verify.mode')})`}`;
}

/** What lets strangers in deserves to stand out. */
function consequenceOf(verify: Plain | undefined): string {
  if (verify === 'none') return '; nobody is checked any more';
  return isMap(verify) && verify.mode === 'report' ? '; what fails the check is let in all the same' : '';
}
