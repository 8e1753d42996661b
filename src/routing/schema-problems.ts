import type { z } from 'zod';
import type { SourceDocument } from './document.ts';
import { nameOf, type Path, type Problem } from './problem.ts';

/** What the schema itself does not word. */
export function describe(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'unrecognized_keys':
      return `unknown key; accepted are ${Object.keys(shapeOf(issue.inst)).join(', ')}`;
    case 'invalid_type':
      return `expected ${wordFor(issue.expected)}${issue.input === undefined ? '' : `, not ${kindOf(issue)}`}`;
    case 'invalid_value':
      return `accepted are ${issue.values.map(String).join(', ')}`;
    default:
      return undefined;
  }
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
  return error.issues.flatMap((issue) => problemsOf(issue, [], document));
}

function problemsOf(issue: z.core.$ZodIssue, parent: Path, document: SourceDocument): Problem[] {
  const path = [...parent, ...issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step))];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) =>
      document.problem(path, 'unknown_key', `${nameOf([...path, key])}: ${issue.message}`, key),
    );
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
    const meant = issue.errors.find((branch) => branch.some((inner) => inner.path.length > 0 || !isKindFault(inner)));
    if (meant !== undefined) return meant.flatMap((inner) => problemsOf(inner, path, document));
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
