import type { z } from 'zod';
import type { SourceDocument } from '../document/document.ts';
import { nameOf, type Path, type Problem } from '../problem.ts';

/** What the schema itself does not word. */
export function describe(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'unrecognized_keys':
      return `unknown key; accepted are ${Object.keys(shapeOf(issue.inst)).join(', ')}`;
    case 'invalid_type':
      return `expected ${wordFor(issue.expected)}${issue.input === undefined ? '' : `, not ${kindOf(issue)}`}`;
    case 'invalid_value':
      return `accepted are ${issue.values.map(String).join(', ')}${hintFor(issue.input, issue.values.map(String))}`;
    default:
      return undefined;
  }
}

/** Among many the one that was meant is not seen. */
function hintFor(written: unknown, accepted: readonly string[]): string {
  if (typeof written !== 'string' || accepted.length < 10) return '';
  const meant = accepted.filter((name) => lettersApart(written.toLowerCase(), name) <= 2);
  return meant.length === 0 ? '' : `; did you mean ${meant.join(' or ')}?`;
}

function shapeOf(schema: unknown): object {
  const shape = (schema as { readonly _zod?: { readonly def?: { readonly shape?: object } } } | undefined)?._zod?.def
    ?.shape;
  return shape ?? {};
}

function wordFor(expected: string): string {
  const words: Record<string, string> = {
    string: 'text',
    record: 'a map',
    object: 'a map',
    array: 'a list',
    boolean: 'true or false',
    // Nothing in the file is counted in halves.
    number: 'a whole number',
    int: 'a whole number',
  };
  return words[expected] ?? expected;
}

function kindOf({ input, expected }: z.core.$ZodRawIssue<z.core.$ZodIssueInvalidType>): string {
  if (input === null) return 'nothing';
  if (Array.isArray(input)) return 'a list';
  if (typeof input === 'object') return 'a map';
  if (typeof input === 'string') return 'text';
  return expected === 'string' ? `${input} (for text, put it in quotes)` : String(input);
}

export function toProblems(error: z.ZodError, document: SourceDocument): Problem[] {
  return problemsOfMap(error.issues, [], document);
}

/** A misspelt key is unknown, and the one that was meant is missing: one fault, told once, where it is written. */
function problemsOfMap(all: readonly z.core.$ZodIssue[], parent: Path, document: SourceDocument): Problem[] {
  const issues = all.flatMap((issue): readonly z.core.$ZodIssue[] =>
    issue.code === 'unrecognized_keys' ? issue.keys.map((key) => ({ ...issue, keys: [key] })) : [issue],
  );
  const missing = issues.filter((issue) => !holds(document.data, [...parent, ...stepsOf(issue)]));
  const meant = new Map<z.core.$ZodIssue, string>();
  const told = new Set<z.core.$ZodIssue>();
  for (const issue of issues) {
    if (issue.code !== 'unrecognized_keys') continue;
    const found = missing.find((other) => {
      const isBeside = other.path.slice(0, -1).join('.') === issue.path.join('.');
      return isBeside && !told.has(other) && isNear(String(issue.keys[0]), String(other.path.at(-1)));
    });
    if (found === undefined) continue;
    meant.set(issue, String(found.path.at(-1)));
    told.add(found);
  }
  return issues
    .filter((issue) => !told.has(issue))
    .flatMap((issue) => problemsOf(issue, parent, document, meant.get(issue)));
}

/** Some letters apart, or the beginning of it. */
function isNear(key: string, other: string): boolean {
  return other.startsWith(key) || key.startsWith(other) || lettersApart(key, other) <= 2;
}

function lettersApart(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (const [index, letter] of [...one].entries()) {
    const next = [index + 1];
    for (const [position, wanted] of [...other].entries()) {
      const [left = 0, above = 0, before = 0] = [next[position], row[position + 1], row[position]];
      next.push(Math.min(left + 1, above + 1, before + (letter === wanted ? 0 : 1)));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

function stepsOf({ path }: z.core.$ZodIssue): Path {
  return path.map((step) => (typeof step === 'symbol' ? String(step) : step));
}

/** @param meant the key that is missing beside an unknown one, and probably meant by it */
function problemsOf(issue: z.core.$ZodIssue, parent: Path, document: SourceDocument, meant?: string): Problem[] {
  const path = [...parent, ...stepsOf(issue)];
  if (issue.code === 'unrecognized_keys') {
    const message = meant === undefined ? issue.message : issue.message.replace(';', `, and ${meant} is missing;`);
    return issue.keys.map((key) => document.problem(path, 'unknown_key', `${nameOf([...path, key])}: ${message}`, key));
  }
  if (issue.code === 'invalid_key') {
    const key = String(path.at(-1));
    return issue.issues.map((inner) => {
      const code = inner.code === 'custom' ? String(inner.params?.code) : 'bad_name';
      return document.problem(path.slice(0, -1), code, `${nameOf(path)}: ${inner.message}`, key);
    });
  }
  if (issue.code === 'invalid_union') {
    // The branch that got further than "not this kind of thing" is the one that was meant.
    const branch = issue.errors.find((one) => one.some((inner) => inner.path.length > 0 || !isKindFault(inner)));
    if (branch !== undefined) return problemsOfMap(branch, path, document);
  }
  if (!holds(document.data, path))
    return [document.problem(path, 'missing', `${nameOf(path)}: is missing; ${issue.message}`)];
  const code = issue.code === 'custom' ? String(issue.params?.code ?? 'invalid') : 'invalid';
  return [document.problem(path, code, `${nameOf(path)}: ${issue.message}`)];
}

function holds(data: unknown, path: Path): boolean {
  let value = data;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return false;
    value = Reflect.get(value, step);
  }
  return true;
}

function isKindFault(issue: z.core.$ZodIssue): boolean {
  return issue.code === 'invalid_type' || issue.code === 'invalid_value' || issue.code === 'invalid_union';
}
