import { readFileSync } from 'node:fs';
import {
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
} from 'yaml';
import type { Problem } from './problem.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export type Path = readonly (string | number)[];

/** A routing file as data, and the way back from a place in the data to a place in the file. */
export interface SourceDocument {
  readonly data: unknown;
  /** Whatever is wrong before a meaning is looked for: YAML faults, `${…}` that cannot be replaced. */
  readonly problems: readonly Problem[];
  /** `key`: the place of this key of the map at `path`, rather than of the value. */
  problem(path: Path, code: string, message: string, key?: string): Problem;
}

/**
 * YAML takes the braces of an unquoted `{ secret: ${TOKEN} }` for a map. So references go through the parser in disguise:
 * private-use characters, as many as they stand for, so that every place in the file keeps its line and column.
 */
const DISGUISE = { open: '\uE000\uE001', close: '\uE002' };
const REFERENCE = /\$\{([^{}\s]*)\}/g;
const DISGUISED = /\uE000\uE001([^{}\s]*?)\uE002/g;

/**
 * Parses YAML and replaces `${VAR}` and `${file:…}` in values, after parsing: a secret with `#` or `:` in it cannot
 * change the file.
 */
export function readDocument(source: string, file: string, env: Environment): SourceDocument {
  const lines = new LineCounter();
  const document = parseDocument(source.replace(REFERENCE, `${DISGUISE.open}$1${DISGUISE.close}`), {
    lineCounter: lines,
    prettyErrors: false,
  });
  const at = (offset: number, code: string, message: string): Problem => {
    const { line, col } = lines.linePos(offset);
    return { code, message, file, line, column: col };
  };
  const problem: SourceDocument['problem'] = (path, code, message, key) =>
    at(offsetOf(document, path, key), code, message);

  const duplicates = document.errors.filter((fault) => fault.code === 'DUPLICATE_KEY');
  // After the first fault of syntax the parser guesses, and what it says next misleads.
  const broken = [...document.errors, ...document.warnings].find((fault) => fault.code !== 'DUPLICATE_KEY');
  const problems =
    broken !== undefined
      ? [at(broken.pos[0], 'yaml', `not valid YAML: ${undisguise(broken.message)}`)]
      : duplicates.map((fault) =>
          at(fault.pos[0], 'duplicate', 'this name stands twice; the second would silently replace the first'),
        );
  if (problems.length === 0) problems.push(...replaceReferences(document, env, at));
  return { data: problems.length > 0 ? undefined : document.toJS({ maxAliasCount: 100 }), problems, problem };
}

function undisguise(text: string): string {
  return text.replace(DISGUISED, (_, name: string) => `\${${name}}`);
}

function replaceReferences(
  document: Document,
  env: Environment,
  at: (offset: number, code: string, message: string) => Problem,
): Problem[] {
  const problems: Problem[] = [];
  visit(document, {
    Scalar(role, node) {
      // YAML reads +919820012345 and 007 as numbers and would drop what makes them phone numbers and ids.
      if (typeof node.value === 'number' && node.source !== undefined && String(node.value) !== node.source) {
        node.value = node.source;
      }
      if (typeof node.value !== 'string') return;
      node.value =
        role === 'key'
          ? undisguise(node.value)
          : node.value.replace(DISGUISED, (_, name: string) => {
              const found = resolve(name, env);
              if ('value' in found) return found.value;
              problems.push(at(node.range?.[0] ?? 0, found.code, `\${${name}} ${found.fault}`));
              return '';
            });
    },
  });
  return problems;
}

type Resolved = { readonly value: string } | { readonly code: string; readonly fault: string };

function resolve(name: string, env: Environment): Resolved {
  if (name.startsWith('file:')) {
    try {
      // Secret files mostly end in a newline that is not part of the secret.
      return nonEmpty(readFileSync(name.slice('file:'.length), 'utf8').replace(/\r?\n$/, ''), 'the file');
    } catch (error) {
      return { code: 'unreadable_file', fault: `cannot be read: ${error instanceof Error ? error.message : error}` };
    }
  }
  const value = env[name];
  if (value === undefined) return { code: 'unset_variable', fault: 'is not set; set it in the environment or in .env' };
  return nonEmpty(value, 'the variable');
}

function nonEmpty(value: string, what: string): Resolved {
  return value === '' ? { code: 'empty_secret', fault: `is empty; give ${what} a value` } : { value };
}

/** As deep into the document as the path leads. */
function offsetOf(document: Document, path: Path, key?: string): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const step of key === undefined ? path : [...path, key]) {
    const holder: unknown = isAlias(node) ? node.resolve(document) : node;
    const found = isMap(holder)
      ? holder.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === String(step))
      : isSeq(holder) && typeof step === 'number'
        ? holder.items[step]
        : undefined;
    if (found === undefined) break;
    node = isPair(found) ? found.value : found;
    const keyOffset = isPair(found) ? startOf(found.key) : undefined;
    offset = (isScalar(node) && node.value === null ? keyOffset : startOf(node)) ?? keyOffset ?? offset;
    if (step === key && keyOffset !== undefined) offset = keyOffset;
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}
