import { concealing } from '../document/references.ts';
import { at, isMap, keyOf, namesOf, type Plain } from './plain.ts';

/** A value as an operator reads it: short, on one line, and without secrets. */
export type Show = (value: Plain | undefined, place: string) => string;

const NOT_SHOWN = '(not shown)';
const REFERENCE = /^\$\{(file:[^{}]+|[A-Za-z_][A-Za-z0-9_]*)\}$/;
/** What may be shown of `verify`. All else is taken for a secret, also what the schema does not know yet. */
const OPEN_IN_VERIFY =
  /\.(mode|topic_arn|header|name|username|algorithm|encoding|prefix|signed|timestamp_header|tolerance_seconds)$/;

function isSecret(place: string): boolean {
  return place === 'account.token' || (place.startsWith('channel.verify.') && !OPEN_IN_VERIFY.test(place));
}

/** The secrets that are written out, rather than referred to. */
export function* secretsIn(value: Plain, place: string): Generator<string> {
  if (typeof value === 'string') {
    if (isSecret(place) && !REFERENCE.test(value)) yield value;
    return;
  }
  const parts = isMap(value) ? Object.entries(value) : value.map((item) => [undefined, item] as const);
  for (const [name, part] of parts) yield* secretsIn(part, name === undefined ? place : `${place}.${name}`);
}

/** @param secrets are shown nowhere: by an alias, or as part of a URL, they also stand where nobody looks for one */
export function showing(secrets: Iterable<string>): Show {
  const conceal = concealing([...secrets].map((secret) => [secret, NOT_SHOWN]));

  const show: Show = (value, place) => {
    if (value === undefined) return '(not set)';
    if (typeof value === 'string') {
      if (isSecret(place)) return REFERENCE.test(value) ? value : NOT_SHOWN;
      const open = conceal(value);
      return place.startsWith('route.when.') ? quoted(open) : word(open);
    }
    if (!isMap(value)) return value.map((item) => show(item, place)).join(', ');
    const shown = Object.entries(value).map(([name, part]) => [word(name), show(part, `${place}.${name}`)] as const);
    if (place.startsWith('route.when.')) return shown.map((pair) => pair.join(' ')).join(' ');
    return shown.length === 0 ? '{}' : `{ ${shown.map((pair) => pair.join(': ')).join(', ')} }`;
  };
  return show;
}

/** What differs, each place a line: `fields.sender from.phone → contact.phone`. */
export function* differences(
  before: Plain | undefined,
  after: Plain | undefined,
  place: string,
  show: Show,
): Generator<string> {
  if (keyOf(before) === keyOf(after)) return;
  // A condition is told whole: prefix "a" → matches "b".
  if (isMap(before) && isMap(after) && !place.startsWith('route.when.')) {
    for (const name of namesOf(before, after)) {
      yield* differences(at(before, name), at(after, name), `${place}.${name}`, show);
    }
    return;
  }
  yield `${nameOf(place)} ${arrow(show(before, place), show(after, place))}`;
}

/** The place without the part of the file that it is in. */
function nameOf(place: string): string {
  return word(place.slice(place.indexOf('.') + 1));
}

/** A value that cannot be taken for anything else stands as it is; all other are quoted, and so cannot steer a terminal. */
export function word(text: string): string {
  return /^[^\s\p{C}"→]+$/u.test(text) ? text : quoted(text);
}

function quoted(text: string): string {
  // JSON leaves these as they are, and terminals obey them.
  return JSON.stringify(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => {
    return `\\u{${char.codePointAt(0)?.toString(16)}}`;
  });
}

const LONGEST = 80;
/** So much of what is the same stands before a difference that lies deep in a long text. */
const LEAD = 20;

/** From one to the other; of long ones that stretch where they begin to differ. */
export function arrow(before: string, after: string): string {
  if (before === after) return 'changed';
  const isLong = Math.max(before.length, after.length) > LONGEST;
  const start = isLong ? Math.max(0, sameUntil(before, after) - LEAD) : 0;
  return `${excerpt(before, start)} → ${excerpt(after, start)}`;
}

function sameUntil(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length += 1;
  return length;
}

export function excerpt(text: string, start = 0): string {
  const stretch = text.slice(start, start + LONGEST).toWellFormed();
  return `${start > 0 ? '…' : ''}${stretch}${start + LONGEST < text.length ? '…' : ''}`;
}
