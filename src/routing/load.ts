import { createHash } from 'node:crypto';
import { propertyOf, reasonOf } from '../fault.ts';
import type { Catalog } from './catalog.ts';
import { contradictions } from './contradictions.ts';
import { readDocument, type SourceDocument } from './document/document.ts';
import type { Environment } from './document/references.ts';
import { nameOf, type Problem, RoutingRefused } from './problem.ts';
import { readRegularFile } from './regular-file.ts';
import { describe, toProblems } from './schema/problems.ts';
import { type RoutingFile, routingFile } from './schema/schema.ts';
import { readSendersFile, sendersFileOf, sendersInBoth } from './senders/file.ts';
import { joinedSenders, listedSenders, rulesOf } from './senders/senders.ts';
import { createTable, type Origin, type RoutingTable } from './table.ts';
import { splitNote } from './versions/note.ts';
import { warningsOf } from './warnings.ts';

/** A table, and what its file says and probably does not mean. */
export interface Checked {
  readonly table: RoutingTable;
  readonly warnings: readonly Problem[];
}

/**
 * Reads a routing file, and its senders file, and makes its table.
 *
 * @throws {RoutingRefused} with every problem, each with file, line and column
 */
export async function loadRouting(path: string, env: Environment, providers: Catalog): Promise<RoutingTable> {
  return complete(await readRouting(path, env, providers));
}

/** @throws {RoutingRefused} as `loadRouting` */
export async function checkRouting(path: string, env: Environment, providers: Catalog): Promise<Checked> {
  const read = await readRouting(path, env, providers);
  const warnings: Problem[] = [];
  const table = await complete(read, warnings);
  return { table, warnings: [...warningsOf(read.file, read.document, providers), ...warnings] };
}

/** A routing file that is fine as far as it goes: what it refers to is not read yet. */
export interface ReadRouting {
  readonly source: string;
  /** Undefined where it has none. */
  readonly sendersFile: string | undefined;
  readonly file: RoutingFile;
  readonly document: SourceDocument;
  readonly providers: Catalog;
}

/** @throws {RoutingRefused} with every problem */
export async function readRouting(path: string, env: Environment, providers: Catalog): Promise<ReadRouting> {
  return parseRouting(sourceOf(path), path, env, providers);
}

/** Far more than 10,000 routes; senders by the million stand in a file of their own. */
const MOST_BYTES = 16 * 1024 * 1024;

function sourceOf(file: string): string {
  try {
    return readRegularFile(file, MOST_BYTES);
  } catch (error) {
    const message =
      propertyOf(error, 'code') === 'ENOENT'
        ? 'there is no such file; haptik-bridge init writes one to begin with, or name another (ROUTING_FILE)'
        : `cannot be read: ${reasonOf(error)}`;
    throw new RoutingRefused([{ code: 'unreadable_file', message, file, line: 1, column: 1 }]);
  }
}

/**
 * @param inForce where the file is a draft that anybody may have written: the source of the table in force. Secrets that do
 * not show by that one do not show by the draft
 * @throws {RoutingRefused} with every problem
 */
export function parseRouting(
  source: string,
  path: string,
  env: Environment,
  providers: Catalog,
  inForce?: string,
): ReadRouting {
  const document = readDocument(source, path, env, inForce);
  refuse(document.problems);
  if (document.isEmpty) {
    refuse([document.problem([], 'missing', 'the file is empty; it needs accounts, channels and routes')]);
  }
  const parsed = routingFile(providers).safeParse(document.data, { error: describe });
  refuse(parsed.success ? contradictions(parsed.data, document, providers) : toProblems(parsed.error, document));
  if (!parsed.success) throw parsed.error;
  const sendersFile = sendersFileOf(path, parsed.data);
  return { source, sendersFile, file: parsed.data, document, providers };
}

/**
 * Reads its senders file, where it has one, and makes the table.
 *
 * @param warnings takes what the senders file probably does not mean, where given
 * @throws {RoutingRefused} with every problem
 */
export async function complete(read: ReadRouting, warnings?: Problem[]): Promise<RoutingTable> {
  const { source, sendersFile, file, document, providers } = read;
  const { note, text } = splitNote(source);
  const rules = rulesOf(file, providers);
  const listed = listedSenders(file.senders, rules);
  const tableOf = (version: string, more: Pick<Origin, 'senders' | 'sendersFile'>) => {
    const rolledBackAt = note?.version === version ? note.at : undefined;
    return createTable(file, { version, source, rolledBackAt, ...more }, providers);
  };
  if (sendersFile === undefined) return tableOf(hashOf(text), { senders: listed });
  const found = await readSendersFile(sendersFile, file, { rules, warns: warnings !== undefined });
  if ('unreadable' in found) {
    const message = `senders_file: ${sendersFile} cannot be read: ${found.unreadable}`;
    throw new RoutingRefused([document.problem(['senders_file'], 'unreadable_file', message)]);
  }
  refuse(found.problems);
  const inBoth = sendersInBoth(file, found.senders, rules).map((sender) => {
    const message = `${nameOf(['senders', sender])}: has another auth_id in ${sendersFile}`;
    return document.problem(['senders'], 'duplicate', message, sender);
  });
  refuse(inBoth);
  warnings?.push(...found.warnings);
  return tableOf(hashOf(`${text}\n${found.hash}`), {
    senders: joinedSenders(listed, found.senders),
    sendersFile: { path: sendersFile, hash: found.hash, senders: found.senders },
  });
}

/** Of twelve digits: a person may have to tell one from another. */
function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

function refuse(problems: readonly Problem[]): void {
  if (problems.length > 0) {
    throw new RoutingRefused([...problems].sort((a, b) => a.line - b.line || a.column - b.column));
  }
}
