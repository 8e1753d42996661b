import { reasonOf } from '../../fault.ts';
import { readRegularFile } from '../regular-file.ts';

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

/** The names of the references of a text in disguise. */
export function referencesIn(text: string): readonly string[] {
  const names: string[] = [];
  replaceDisguised(text, (name) => {
    names.push(name);
    return '';
  });
  return names;
}

type Resolved = { readonly value: string } | { readonly code: string; readonly fault: string };

/** No secret is longer, and what has no end is not read to it. */
const MOST_SECRET_BYTES = 1024 * 1024;

/** What references stand for. Each is looked up once: a file that is written meanwhile has one value, not two. */
export class References {
  readonly #env: Environment;
  readonly #found = new Map<string, Resolved>();

  constructor(env: Environment) {
    this.#env = env;
  }

  resolve(name: string): Resolved {
    const found = this.#found.get(name) ?? lookUp(name, this.#env);
    this.#found.set(name, found);
    return found;
  }

  /** What came out of a reference goes into no message: the reference itself tells an operator more. */
  concealing(): (message: string) => string {
    return concealing(
      [...this.#found].flatMap(([name, found]) => ('value' in found ? [[found.value, `\${${name}}`] as const] : [])),
    );
  }
}

function lookUp(name: string, env: Environment): Resolved {
  if (name.startsWith('file:')) {
    try {
      // Secret files mostly end in a newline that is not part of the secret.
      const text = readRegularFile(name.slice('file:'.length), MOST_SECRET_BYTES);
      return nonEmpty(text.replace(/\r?\n$/, ''), 'the file');
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

/**
 * Puts something else in the place of secrets: of the longest first, which others may be parts of. A secret is told by any
 * of its lines too, and without the blanks around it.
 */
export function concealing(secrets: Iterable<readonly [secret: string, instead: string]>): (text: string) => string {
  const parts = [...secrets].flatMap(([secret, instead]) =>
    [secret, secret.trim(), ...secret.split(/\r?\n/).map((line) => line.trim())].map(
      (part) => [part, instead] as const,
    ),
  );
  const longestFirst = [...new Map(parts)]
    .filter(([part]) => part.length >= SHORTEST_SECRET)
    .sort(([a], [b]) => b.length - a.length);
  return (text) => longestFirst.reduce((shown, [part, instead]) => shown.replaceAll(part, () => instead), text);
}
