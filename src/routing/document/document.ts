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
import { type Path, type Problem, visible, withoutQuotes } from '../problem.ts';
import { asWritten, dataOf, linked, type Targets } from './aliases.ts';
import { closedUses } from './drafts.ts';
import {
  disguise,
  type Environment,
  HOW_TO_REFER,
  References,
  replaceDisguised,
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
}

// Our own check of the keys finds more: `+91…` is the same key as `"+91…"`. One schema, whatever %YAML says.
const PARSING = { prettyErrors: false, uniqueKeys: false, schema: 'core' } as const;

type At = (offset: number, code: string, message: string) => Problem;

/**
 * Parses YAML and replaces `${VAR}` and `${file:…}` in values, after parsing: a secret with `#` or `:` in it cannot
 * change the file.
 *
 * @param inForce where the file is a draft: the source of the table in force
 */
export function readDocument(source: string, file: string, env: Environment, inForce?: string): SourceDocument {
  const lines = new LineCounter();
  const document = parseDocument(disguise(source), { ...PARSING, lineCounter: lines });
  const at: At = (offset, code, message) => {
    const { line, col } = lines.linePos(offset);
    return { code, message: visible(message), file, line, column: col };
  };
  const isEmpty = document.contents === null;
  const broken = (problems: readonly Problem[]): SourceDocument => {
    return { data: undefined, isEmpty, problems, problem: (_, code, message) => at(0, code, message) };
  };

  // After the first fault of syntax the parser guesses, and what it says next misleads.
  const fault = [...document.errors, ...document.warnings][0];
  if (fault !== undefined) return broken([syntaxProblem(fault, source, at)]);
  const { targets, loose, endless } = linked(document);
  if (endless !== undefined) return broken([at(startOf(endless.node) ?? 0, 'yaml', endless.message)]);

  const problems: Problem[] = [];
  const add: Add = (node, code, message) => problems.push(at(startOf(node) ?? 0, code, message));
  for (const alias of loose) add(alias, 'yaml', LOOSE);
  const unread = new Set<unknown>();
  for (const { name, text, at } of inForce === undefined ? [] : closedUses({ document, targets }, written(inForce))) {
    add(at, 'closed_reference', `\${${name}} ${CLOSED}`);
    unread.add(text);
  }
  const references = new References(env);
  const filled = resolveNodes({ document, source, unread, references }, add);
  // A draft may be full of guesses, and the one that is not repeated would be right. Where it reads a secret, none is quoted.
  const conceal = inForce === undefined ? references.concealing() : String;
  return {
    data: problems.length === 0 ? dataOf(document, targets) : undefined,
    isEmpty,
    problems,
    problem(path, code, message, key) {
      const { offset, node } = locate(document, targets, path, key);
      const isOpen = key !== undefined || !filled.has(node);
      return at(offset, code, conceal(isOpen ? message : withoutQuotes(path, code, message)));
    },
  };
}

const LOOSE = 'an alias (*name) has no anchor (&name) before it; text that begins with * needs quotes';

function written(source: string) {
  const document = parseDocument(disguise(source), PARSING);
  return { document, targets: linked(document).targets };
}

/** The data of a good file with its references as they are written: nothing is looked up, so no secret comes out. */
export function dataAsWritten(source: string): unknown {
  const { document, targets } = written(source);
  visit(document, {
    Scalar(_, node) {
      keepDigits(node);
      if (typeof node.value === 'string') node.value = undisguise(node.value);
    },
  });
  return dataOf(document, targets);
}

function syntaxProblem(error: YAMLError, source: string, at: At): Problem {
  const [offset] = error.pos;
  if (source.slice(offset - 1, offset + 1) === '${') {
    return at(offset - 1, 'bad_reference', `this \${ has no }; ${HOW_TO_REFER}`);
  }
  return at(offset, 'yaml', inWords(error));
}

type Add = (node: unknown, code: string, message: string) => void;

const CLOSED =
  'is not read here by a dry run, whose answer could show what it stands for; the routing file itself can be tried, with no source given (dry-run without a file)';

interface Unresolved {
  readonly document: Document;
  readonly source: string;
  /** Texts that are left as they are. */
  readonly unread: ReadonlySet<unknown>;
  readonly references: References;
}

/**
 * Replaces the references, and finds what YAML allows but no routing file means.
 *
 * @returns the texts in which one is replaced
 */
function resolveNodes({ document, source, unread, references }: Unresolved, add: Add): ReadonlySet<unknown> {
  const filled = new Set<unknown>();
  visit(document, {
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
      if (unread.has(node)) return;
      node.value = replaceDisguised(node.value, (name) => {
        const found = references.resolve(name);
        filled.add(node);
        if ('fault' in found) add(node, found.code, `\${${name}} ${found.fault}`);
        return 'fault' in found ? '' : found.value;
      });
    },
  });
  return filled;
}

/** YAML reads +919820012345 and 007 as numbers and would drop what makes them phone numbers and ids. */
function keepDigits(node: Scalar): void {
  if (typeof node.value === 'number' && String(node.value) !== node.source) node.value = asWritten(node);
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
function locate(document: Document, targets: Targets, path: Path, key?: string) {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const step of key === undefined ? path : [...path, key]) {
    const holder: unknown = isAlias(node) ? targets.get(node) : node;
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
  return { offset, node: isAlias(node) ? targets.get(node) : node };
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}
