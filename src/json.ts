import type { Json } from './message.ts';

/**
 * Parses JSON and keeps all digits: a whole number that a JavaScript number would round comes out as text, since two ids
 * must not become one.
 *
 * @throws {SyntaxError} when it is not JSON
 */
export function parseJson(text: string): Json {
  // The reviver costs, and only a number of 16 digits or more can need it.
  return /\d{16}/.test(text) ? JSON.parse(text, keepDigits) : JSON.parse(text);
}

function keepDigits(_key: string, value: unknown, { source }: { source?: string } = {}): unknown {
  const isRounded =
    typeof value === 'number' && source !== undefined && /^-?\d+$/.test(source) && !Number.isSafeInteger(value);
  return isRounded ? source : value;
}
