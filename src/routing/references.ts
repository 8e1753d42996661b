import { readFileSync } from 'node:fs';
import { reasonOf } from '../fault.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * YAML takes the braces of an unquoted `{ secret: ${TOKEN} }` for a map, and a `,` in a file's name for its end. So
 * references go through the parser in disguise: private-use characters, as many as they stand for, so that every place
 * in the file keeps its line and column. A quote ends what is not closed: the next `}` is not its own.
 */
const REFERENCE = /\$\{([^{}"'\r\n]*)\}/g;
const DISGUISED = /\uE000\uE001([^\uE000-\uE002]*)\uE002/g;
const VEIL = 0xe100;
/** A `${` that no `}` ends. `${{` is a dollar sign before a template's value. */
export const UNCLOSED = /\$\{(?!\{)/;
export const HOW_TO_REFER = `write \${NAME}, or \${file:/run/secrets/name}`;

export function disguise(source: string): string {
  const veil = (name: string) => name.replace(/[\t -~]/g, (char) => String.fromCharCode(VEIL + char.charCodeAt(0)));
  return source.replace(REFERENCE, (_, name: string) => `\uE000\uE001${veil(name)}\uE002`);
}

export function replaceDisguised(text: string, replacement: (name: string) => string): string {
  const unveil = (char: string) => String.fromCharCode(char.charCodeAt(0) - VEIL);
  return text.replace(DISGUISED, (_, name: string) => replacement(name.replace(/[\uE100-\uE17F]/g, unveil)));
}

export function undisguise(text: string): string {
  return replaceDisguised(text, (name) => `\${${name}}`);
}

type Resolved = { readonly value: string } | { readonly code: string; readonly fault: string };

export function resolve(name: string, env: Environment): Resolved {
  if (name.startsWith('file:')) {
    try {
      // Secret files mostly end in a newline that is not part of the secret.
      return nonEmpty(readFileSync(name.slice('file:'.length), 'utf8').replace(/\r?\n$/, ''), 'the file');
    } catch (error) {
      return { code: 'unreadable_file', fault: `cannot be read: ${reasonOf(error)}` };
    }
  }
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    return { code: 'bad_reference', fault: `is not a reference; ${HOW_TO_REFER}` };
  const value = Object.hasOwn(env, name) ? env[name] : undefined;
  if (value === undefined) return { code: 'unset_variable', fault: 'is not set; set it in the environment or in .env' };
  return nonEmpty(value, 'the variable');
}

function nonEmpty(value: string, what: string): Resolved {
  return value === '' ? { code: 'empty_secret', fault: `is empty; give ${what} a value` } : { value };
}

/** Short values are no secrets, and are parts of too many words. */
const SHORTEST_SECRET = 6;

/** What came out of a reference goes into no message: the reference itself tells an operator more. */
export function conceal(message: string, secrets: ReadonlyMap<string, string>): string {
  return [...secrets]
    .filter(([, value]) => value.length >= SHORTEST_SECRET)
    .sort(([, a], [, b]) => b.length - a.length)
    .reduce((text, [name, value]) => text.replaceAll(value, () => `\${${name}}`), message);
}
