import type { FieldError } from '../errors.ts';
import type { Json } from '../message.ts';
import { isList } from './payload.ts';

/** Who sends more than this has made one mistake many times. What they send must not decide how much we answer. */
export const MAX_PROBLEMS = 20;
const MAX_PATH_LENGTH = 200;

/**
 * What JSON can carry and a message must not: NUL, lone surrogates (neither is text to a database or to Haptik) and
 * `__proto__` as a key. The first places are told.
 */
export function illFormed(data: Json): FieldError[] {
  const errors: FieldError[] = [];
  const visit = (value: Json, path: string): void => {
    if (typeof value === 'string') {
      const message = faultOf(value);
      if (message !== undefined) errors.push({ path, message });
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value)) {
        if (errors.length >= MAX_PROBLEMS) return;
        const message = key === '__proto__' ? 'is not accepted as a name' : faultOf(key);
        const place = under(path, key, Array.isArray(value));
        if (message !== undefined) errors.push({ path: place, message });
        else visit(inner, place);
      }
    }
  };
  visit(data, '');
  return errors;
}

function under(path: string, key: string, isList: boolean): string {
  const step = key.slice(0, MAX_PATH_LENGTH).toWellFormed().replaceAll('\0', '');
  return `${path}${isList ? `[${step}]` : path === '' ? step : `.${step}`}`.slice(0, MAX_PATH_LENGTH);
}

function faultOf(text: string): string | undefined {
  if (text.includes('\0')) return 'must not hold the character NUL';
  if (!text.isWellFormed()) return 'must not hold half of a surrogate pair';
  return undefined;
}

/** The same without any of it: NUL is left out, a lone surrogate becomes U+FFFD. For senders who cannot be told. */
export function wellFormed(data: Json): Json {
  if (illFormed(data).length === 0) return data;
  if (typeof data === 'string') return data.replaceAll('\0', '').toWellFormed();
  if (typeof data !== 'object' || data === null) return data;
  if (isList(data)) return data.map(wellFormed);
  return Object.fromEntries(
    Object.entries(data)
      .filter(([key]) => key !== '__proto__')
      .map(([key, value]) => [String(wellFormed(key)), wellFormed(value)]),
  );
}
