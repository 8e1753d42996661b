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
  type Scalar,
  visit,
  type YAMLError,
  type YAMLMap,
} from 'yaml';
import { type Path, type Problem, visible } from './problem.ts';
import {
  conceal,
  disguise,
  type Environment,
  HOW_TO_REFER,
  replaceDisguised,
  resolve,
  UNCLOSED,
  undisguise,
} from './references.ts';
import { inWords } from './yaml-words.ts';

/** A routing file as data, and the way back from a place in the data to a place in the file. */
export interface SourceDocument {
  readonly data: unknown;
  /** Nothing stands in it, or nothing but comments. */
  readonly isEmpty: boolean;
  /** Whatever is wrong before a meaning is looked for: YAML faults, `${…}` that cannot be replaced. */
  readonly problems: readonly Problem[];
  /** `key`: the place of this key of the map at `path`, rather than of the value. */
  problem(path: Path, code: string, message: string, key?: string): Problem;
  /** The text with references in place of what came out of them. */
  conceal(text: string): string;
}

// Our own check of the keys finds more: `+91…` is the same key as `"+91…"`.
const PARSING = { prettyErrors: false, uniqueKeys: false };
const UNFOLDING = { maxAliasCount: 100 };

type At = (offset: number, code: string, message: string) => Problem;

/**
 * Parses YAML and replaces `${VAR}` and `${file:…}` in values, after parsing: a secret with `#` or `:` in it cannot
 * change the file.
 */
export function readDocument(source: string, file: string, env: Environment): SourceDocument {
  const lines = new LineCounter();
  const document = parseDocument(disguise(source), { ...PARSING, lineCounter: lines });
  const secrets = new Map<string, string>();
  const at: At = (offset, code, message) => {
    const { line, col } = lines.linePos(offset);
    return { code, message: visible(conceal(message, secrets)), file, line, column: col };
  };
  const place: Omit<SourceDocument, 'data' | 'problems'> = {
    isEmpty: document.contents === null,
    problem: (path, code, message, key) => at(offsetOf(document, path, key), code, message),
    conceal: (text) => conceal(text, secrets),
  };

  // After the first fault of syntax the parser guesses, and what it says next misleads.
  const broken = [...document.errors, ...document.warnings][0];
  if (broken !== undefined) return { data: undefined, problems: [syntaxProblem(broken, source, at)], ...place };
  const problems = resolveNodes({ document, source }, env, secrets, at);
  if (problems.length > 0) return { data: undefined, problems, ...place };
  try {
    return { data: document.toJS(UNFOLDING), problems, ...place };
  } catch {
    const message = 'its aliases (*name) stand for too much, or for themselves; write the values out';
    return { data: undefined, problems: [at(0, 'yaml', message)], ...place };
  }
}

/** The data of a good file with its references as they are written: nothing is looked up, so no secret comes out. */
export function dataAsWritten(source: string): unknown {
  const document = parseDocument(disguise(source), PARSING);
  visit(document, {
    Scalar(_, node) {
      keepDigits(node);
      if (typeof node.value === 'string') node.value = undisguise(node.value);
    },
  });
  return document.toJS(UNFOLDING);
}

function syntaxProblem(error: YAMLError, source: string, at: At): Problem {
  const [offset] = error.pos;
  if (source.slice(offset - 1, offset + 1) === '${') {
    return at(offset - 1, 'bad_reference', `this \${ has no }; ${HOW_TO_REFER}`);
  }
  return at(offset, 'yaml', inWords(error));
}

/** Replaces the references, and finds what YAML allows but no routing file means. */
function resolveNodes(
  { document, source }: { readonly document: Document; readonly source: string },
  env: Environment,
  secrets: Map<string, string>,
  at: At,
): Problem[] {
  const problems: Problem[] = [];
  const add = (node: unknown, code: string, message: string) => problems.push(at(startOf(node) ?? 0, code, message));
  visit(document, {
    Alias(_, node) {
      if (node.resolve(document) !== undefined) return;
      add(node, 'yaml', 'an alias (*name) has no anchor (&name) before it; text that begins with * needs quotes');
    },
    Map(_, map) {
      for (const { key, fault } of badKeys(map, source)) add(key, fault.code, fault.message);
    },
    Scalar(role, node) {
      keepDigits(node);
      if (typeof node.value !== 'string') return;
      if (role === 'key') {
        node.value = undisguise(node.value);
        return;
      }
      if (UNCLOSED.test(node.value)) add(node, 'bad_reference', `a \${ has no }; ${HOW_TO_REFER}`);
      node.value = replaceDisguised(node.value, (name) => {
        const found = resolve(name, env);
        if ('fault' in found) add(node, found.code, `\${${name}} ${found.fault}`);
        else secrets.set(name, found.value);
        return 'fault' in found ? '' : found.value;
      });
    },
  });
  return problems;
}

/** YAML reads +919820012345 and 007 as numbers and would drop what makes them phone numbers and ids. */
function keepDigits(node: Scalar): void {
  if (typeof node.value === 'number' && String(node.value) !== node.source) node.value = asWritten(node);
}

function asWritten({ value, source }: Scalar): string {
  return typeof value === 'number' && source !== undefined ? source : String(value);
}

function* badKeys(map: YAMLMap, source: string) {
  const seen = new Set<string>();
  for (const { key } of map.items) {
    if (!isScalar(key) || key.value === null) {
      const start = startOf(key) ?? 0;
      const isTemplate = source.slice(start - 1, start + 1) === '{{';
      const message = isTemplate
        ? 'a template, {{ … }}, needs quotes around it'
        : 'a name is expected here, not a list, a map, an alias or nothing';
      yield { key, fault: { code: isTemplate ? 'bad_template' : 'bad_name', message } };
      continue;
    }
    const text = asWritten(key);
    if (seen.has(text)) {
      const message = 'this name stands twice; the second would silently replace the first';
      yield { key, fault: { code: 'duplicate', message } };
    }
    // The key that means something else to JavaScript, and would be left out without a word.
    if (text === '__proto__') yield { key, fault: { code: 'bad_name', message: '__proto__ is not a name to use' } };
    seen.add(text);
  }
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
