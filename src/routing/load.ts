import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { z } from 'zod';
import { type Environment, type Path, readDocument, type SourceDocument } from './document.ts';
import { type Problem, RoutingRefused } from './problem.ts';
import { type RoutingFile, routingFile } from './schema.ts';
import { createTable, type RoutingTable } from './table.ts';

/**
 * Reads a routing file and makes its table.
 *
 * @throws {RoutingRefused} with every problem, each with file, line and column
 */
export async function loadRouting(file: string, env: Environment): Promise<RoutingTable> {
  let source: string;
  try {
    source = await readFile(file, 'utf8');
  } catch (error) {
    const fault = error instanceof Error && 'code' in error ? error.code : error;
    const message =
      fault === 'ENOENT'
        ? 'there is no such file; copy routing.example.yaml to begin with, or name yours in ROUTING_FILE'
        : `cannot be read: ${fault}`;
    throw new RoutingRefused([{ code: 'unreadable_file', message, file, line: 1, column: 1 }]);
  }
  return parseRouting(source, file, env);
}

/** @throws {RoutingRefused} as `loadRouting` */
export function parseRouting(source: string, file: string, env: Environment): RoutingTable {
  const document = readDocument(source, file, env);
  refuse(document.problems);
  const parsed = routingFile.safeParse(document.data ?? {}, { error: describe });
  refuse(parsed.success ? danglers(parsed.data, document) : toProblems(parsed.error, document));
  if (!parsed.success) throw parsed.error;
  return createTable(parsed.data, createHash('sha256').update(source).digest('hex').slice(0, 12));
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
      if (issue.input === undefined) return 'is missing';
      return `expected ${wordFor(issue.expected)}, not ${kindOf(issue.input)}`;
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
    int: 'a whole number',
  };
  return words[expected] ?? expected;
}

function kindOf(input: unknown): string {
  if (input === null) return 'nothing';
  if (Array.isArray(input)) return 'a list';
  if (typeof input === 'object') return 'a map';
  return typeof input === 'string' ? 'text' : `${input} (for text, put it in quotes)`;
}

function toProblems(error: z.ZodError, document: SourceDocument): Problem[] {
  return error.issues.flatMap((issue) => problemsOf(issue, [], document));
}

function problemsOf(issue: z.core.$ZodIssue, parent: Path, document: SourceDocument): Problem[] {
  const path = [...parent, ...issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step))];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => document.problem(path, 'unknown_key', `${name(path, key)}: ${issue.message}`, key));
  }
  if (issue.code === 'invalid_key') {
    const key = String(path.at(-1));
    const message = issue.issues[0]?.message ?? issue.message;
    return [document.problem(path.slice(0, -1), 'bad_name', `${name(path)}: ${message}`, key)];
  }
  if (issue.code === 'invalid_union') {
    // The branch that got further than "not this kind of thing" is the one that was meant.
    const meant = issue.errors.find((branch) => branch.some((inner) => inner.path.length > 0 || !isKindFault(inner)));
    if (meant !== undefined) return meant.flatMap((inner) => problemsOf(inner, path, document));
  }
  const missing = issue.code === 'invalid_type' && issue.message === 'is missing';
  const code = missing ? 'missing' : issue.code === 'custom' ? String(issue.params?.code ?? 'invalid') : 'invalid';
  return [document.problem(path, code, `${name(path)}: ${issue.message}`)];
}

function isKindFault(issue: z.core.$ZodIssue): boolean {
  return issue.code === 'invalid_type' || issue.code === 'invalid_value' || issue.code === 'invalid_union';
}

function name(path: Path, key?: string): string {
  const steps = key === undefined ? path : [...path, key];
  return (
    steps.reduce<string>(
      (text, step) => (typeof step === 'number' ? `${text}[${step}]` : text === '' ? step : `${text}.${step}`),
      '',
    ) || 'routing file'
  );
}

/** Names that lead nowhere, and ids that no account would accept. */
function danglers({ accounts, channels, routes, senders }: RoutingFile, document: SourceDocument): Problem[] {
  const problems: Problem[] = [];
  const accept = (of: object) => `accepted are ${Object.keys(of).join(', ') || '(none is defined)'}`;
  const add = (path: Path, code: string, message: string) =>
    problems.push(document.problem(path, code, `${name(path)}: ${message}`));
  for (const [index, route] of routes.entries()) {
    if (!Object.hasOwn(channels, route.channel)) {
      add(['routes', index, 'channel'], 'dangling', `there is no channel "${route.channel}"; ${accept(channels)}`);
    }
    if (route.account === undefined && Object.keys(accounts).length !== 1) {
      add(['routes', index], 'missing', `account is missing, and there is not just one; ${accept(accounts)}`);
    }
    if (route.account !== undefined && !Object.hasOwn(accounts, route.account)) {
      add(['routes', index, 'account'], 'dangling', `there is no account "${route.account}"; ${accept(accounts)}`);
    }
    const account = accounts[route.account ?? Object.keys(accounts)[0] ?? ''];
    const literal = route.auth_id?.literals.find((text) => text !== '' && /[^A-Za-z0-9]/.test(text));
    if (account?.auth_id_pattern.isDefault && literal !== undefined) {
      const fault = `always holds "${literal.trim() || literal}", so it can never fit ${account.auth_id_pattern.source}`;
      add(
        ['routes', index, 'auth_id'],
        'impossible_auth_id',
        `${fault}; use letters and digits, or set the account's auth_id_pattern`,
      );
    }
  }
  for (const [sender, authId] of Object.entries(senders)) {
    if (Object.values(accounts).some((account) => account.auth_id_pattern.fits(authId))) continue;
    add(
      ['senders', sender],
      'bad_auth_id',
      `"${authId}" fits no account's auth_id_pattern; Haptik wants letters and digits`,
    );
  }
  return problems;
}
