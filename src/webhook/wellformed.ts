import type { FieldError } from '../errors.ts';
import type { Json } from '../message.ts';

/**
 * What JSON can carry and a message must not: NUL, lone surrogates (neither is text to a database or to Haptik) and
 * `__proto__` as a key. Every place is told.
 */
export function illFormed(data: Json): FieldError[] {
  const errors: FieldError[] = [];
  const visit = (value: Json, path: string) => {
    if (typeof value === 'string') {
      const fault = faultOf(value);
      if (fault !== undefined) errors.push({ path, message: fault });
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value)) {
        const place = Array.isArray(value) ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`;
        const fault = key === '__proto__' ? 'is not accepted as a name' : faultOf(key);
        if (fault !== undefined) errors.push({ path: place.toWellFormed().replaceAll('\0', ''), message: fault });
        else visit(inner, place);
      }
    }
  };
  visit(data, '');
  return errors;
}

function faultOf(text: string): string | undefined {
  if (text.includes('\0')) return 'must not hold the character NUL';
  if (!text.isWellFormed()) return 'must not hold half of a surrogate pair';
  return undefined;
}
