import { RE2JS } from 're2js';
import type { Json } from '../message.ts';

/** Whether one value of a message fits. A list in the payload (checkboxes) fits when one of its items does. */
export type Condition = (value: Json | undefined) => boolean;

/** What a route wants, as it was written: with what values are compared is a matter of its channel. */
export type Wanted =
  | { readonly values: readonly string[] }
  | { readonly prefix: string; readonly fits: Condition }
  | { readonly pattern: string; readonly fits: Condition };

export function oneOf(values: readonly string[]): Condition {
  const set = new Set(values);
  return overText((text) => set.has(text));
}

export function startsWith(prefix: string): Condition {
  return overText((text) => text.startsWith(prefix));
}

/**
 * A search for the pattern anywhere in the value. RE2 only: operators' patterns meet strangers' text, and a backtracking
 * engine can be made to hang by it. By a matcher: RE2JS's own `test` is faster on most texts, but a text can be made for a
 * pattern that lets it keep 8 MB of states for each, and takes it ten times as long.
 *
 * @throws {Error} when the pattern is not RE2 syntax (https://github.com/google/re2/wiki/Syntax)
 */
export function matches(pattern: string): Condition {
  const compiled = RE2JS.compile(pattern);
  return overText((text) => compiled.matcher(text).find());
}

/** Like `matches`, but the pattern must fit the whole text. @throws {Error} as `matches` */
export function fullMatch(pattern: string): (text: string) => boolean {
  const compiled = RE2JS.compile(pattern);
  return (text) => compiled.matcher(text).matches();
}

function overText(fits: (text: string) => boolean): Condition {
  return (value) => {
    if (Array.isArray(value)) return value.some((item) => overText(fits)(item));
    return value !== undefined && value !== null && typeof value !== 'object' && fits(String(value));
  };
}
