import { z } from 'zod';
import { messageOf } from '../../fault.ts';
import { parsePath } from '../../path.ts';
import { fullMatch } from '../condition.ts';
import { createTemplates } from '../templates.ts';

/** What the parts of the routing file's schema are made of. */
const template = createTemplates();

const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const REFERENCE = '^\\$\\{[^{}]+\\}$';
export const DEFAULT_AUTH_ID_PATTERN = '[A-Za-z0-9]+';

export const name = z.string().regex(NAME, 'a name is 1 to 64 of A-Z, a-z, 0-9, "_" and "-"');
/** Text that may look like a number; the document has kept its digits as they were written. */
const textLike = z.union([z.string(), z.number().transform(String)], 'expected text');
export const text = textLike.pipe(z.string().min(1, 'must not be empty'));
const secret = textLike.pipe(z.string().regex(/\S/, 'is empty, and anyone can sign with an empty secret'));
export const secrets = z
  .union([secret, z.array(secret).min(1, 'must hold at least one secret')], 'expected a secret or a list of secrets')
  .transform((value) => (typeof value === 'string' ? [value] : value));
export const headerValue = text.pipe(
  z.string().regex(/^[\x21-\x7e]+( +[\x21-\x7e]+)*$/, 'must be printable ASCII: it is sent in a header'),
);
export const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'is not a header name');
export const positive = wholeNumber(1, 'expected a whole number of at least 1');
const A_PACE = 'expected a number above 0, such as 20 or 0.5';
export const pace = orText(z.number(A_PACE).gt(0, A_PACE), /^\d{1,15}(\.\d{1,6})?$/, A_PACE);

export function wholeNumber(min: number, expected: string) {
  return orText(z.int(expected).min(min, expected), /^\d{1,15}$/, expected);
}

/** A number that came out of `${VAR}` is text. Editors see the reference itself. */
function orText(number: z.ZodNumber, written: RegExp, expected: string) {
  const pattern = `${written.source}|${REFERENCE}`;
  const text = z.string().regex(written, expected).meta({ pattern });
  return z.union([number, text.transform(Number).pipe(number)], expected);
}

/**
 * For rules about several keys together: they speak only where each key is known and fine in itself. A misspelt one
 * would make them mislead.
 */
export const WHEN_KEYS_ARE_FINE = {
  when: ({ issues }: { readonly issues: readonly unknown[] }) => issues.length === 0,
};

/** A string that is turned into something by code that throws an Error when it cannot be. */
export function compiled<T>(code: string, compile: (source: string) => T) {
  return z.string().transform((source, context): T => {
    try {
      return compile(source);
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error), params: { code } });
      return z.NEVER;
    }
  });
}

export const path = compiled('bad_path', parsePath);
export const liquid = compiled('bad_template', template);
export const pattern = compiled('bad_pattern', (source) => ({
  source,
  fits: fullMatch(source),
  isDefault: source === DEFAULT_AUTH_ID_PATTERN,
}));
