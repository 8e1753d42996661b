import { readFile } from 'node:fs/promises';
import type { Change } from '../routing/diff/change.ts';
import { diffRouting, type Written } from '../routing/diff/diff.ts';
import { loadRouting } from '../routing/load.ts';
import { readAnySenders } from '../routing/senders/file.ts';
import type { RoutingTable } from '../routing/table.ts';
import { type Environment, readRoutingSettings } from '../settings.ts';
import { providers } from '../webhook/providers/registry.ts';
import { json } from './print.ts';
import { versionsOf } from './versions.ts';

interface Options {
  readonly against?: string;
  readonly json?: boolean;
}

/** There is nothing to compare with. */
export class NothingKept extends Error {
  override readonly name = 'NothingKept';
}

/**
 * Prints what changes with a routing file, in words: against the version that was in force last, or another file.
 *
 * @throws {RoutingRefused} where it is no good one; {NothingKept}
 */
export async function diff(
  file: string | undefined,
  { against, json: asJson }: Options,
  env: Environment,
): Promise<void> {
  const path = file ?? readRoutingSettings(env).routingFile;
  const next = await loadRouting(path, env, providers);
  const before = await comparedWith(against, env);
  const changes = diffRouting(before, writtenOf(next));
  if (asJson) return console.log(json({ against: before.name, changes }));
  const told = changes.length === 0 ? ['Nothing changes.'] : changes.map(({ message }: Change) => message);
  console.log([`${path} (version ${next.version}) against ${before.name}`, '', ...told].join('\n'));
}

type Named = Written & { readonly name: string };

/** A version by the first characters of its name, or a file; what was in force last where neither is named. */
async function comparedWith(against: string | undefined, env: Environment): Promise<Named> {
  const versions = await versionsOf(env).list();
  const kept = versions.find(({ version }) => against === undefined || (against !== '' && version.startsWith(against)));
  if (against !== undefined && kept === undefined) return fileAt(against, env);
  if (kept === undefined) {
    const advice = 'name a file to compare with: --against <file>';
    throw new NothingKept(`no version is kept, since no bridge with these settings has run here; ${advice}`);
  }
  const { version, file, sendersFile } = kept;
  return {
    name: `version ${version}, in force since ${new Date(kept.at).toISOString()}`,
    source: await readFile(file, 'utf8'),
    sendersFile: sendersFile === undefined ? undefined : await readAnySenders(sendersFile),
  };
}

async function fileAt(path: string, env: Environment): Promise<Named> {
  const table = await loadRouting(path, env, providers);
  return { name: `${path} (version ${table.version})`, ...writtenOf(table) };
}

function writtenOf({ source, sendersFile }: RoutingTable): Written {
  return { source, sendersFile: sendersFile?.senders };
}
