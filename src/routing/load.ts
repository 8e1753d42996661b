import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { z } from 'zod';
import { messageOf, propertyOf } from '../fault.ts';
import type { Catalog } from './catalog.ts';
import { contradictions } from './contradictions.ts';
import { readDocument, type SourceDocument } from './document.ts';
import { nameOf, type Path, type Problem, RoutingRefused } from './problem.ts';
import type { Environment } from './references.ts';
import { routingFile } from './schema.ts';
import { createTable, type RoutingTable } from './table.ts';
import { warningsOf } from './warnings.ts';

/**
 * Reads a routing file and makes its table.
 *
 * @throws {RoutingRefused} with every problem, each with file, line and column
 */
export async function loadRouting(file: string, env: Environment, providers: Catalog): Promise<RoutingTable> {
  return parseRouting(await sourceOf(file), file, env, providers);
}

/** A table, and what its file says and probably does not mean. */
export interface Checked {
  readonly table: RoutingTable;
  readonly warnings: readonly Problem[];
}

/** @throws {RoutingRefused} as `loadRouting` */
export async function checkRouting(path: string, env: Environment, providers: Catalog): Promise<Checked> {
  const source = await sourceOf(path);
  const { file, document } = read(source, path, env, providers);
  return { table: createTable(file, versionOf(source), providers), warnings: warningsOf(file, document, providers) };
}

/** @throws {RoutingRefused} as `loadRouting` */
export function parseRouting(source: string, file: string, env: Environment, providers: Catalog): RoutingTable {
  return createTable(read(source, file, env, providers).file, versionOf(source), providers);
}

async function sourceOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const fault = propertyOf(error, 'code') ?? messageOf(error);
    const message =
      fault === 'ENOENT'
        ? 'there is no such file; copy routing.example.yaml to begin with, or name another (ROUTING_FILE)'
        : `cannot be read: ${fault}`;
    throw new RoutingRefused([{ code: 'unreadable_file', message, file, line: 1, column: 1 }]);
  }
}

function versionOf(source: string): string {
  return createHash('sha256').update(source).digest('hex').slice(0, 12);
}

function read(source: string, path: string, env: Environment, providers: Catalog) {
  const document = readDocument(source, path, env);
  refuse(document.problems);
  if (document.isEmpty) {
    refuse([document.problem([], 'missing', 'the file is empty; it needs accounts, channels and routes')]);
  }
  const parsed = routingFile(providers).safeParse(document.data, { error: describe });
  refuse(parsed.success ? contradictions(parsed.data, document, providers) : toProblems(parsed.error, document));
  if (!parsed.success) throw parsed.error;
  return { file: parsed.data, document };
}

function refuse(problems: readonly Problem[]): void {
  if (problems.length > 0) {
    throw new RoutingRefused([...problems].sort((a, b) => a.line - b.line || a.column - b.column));
  }
}

/** What the schema itself does not word. */
function describe(issue: z.core.$ZodRawIssue): string | undefined {
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

function toProblems(error: z.ZodError, document: SourceDocument): Problem[] {
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
