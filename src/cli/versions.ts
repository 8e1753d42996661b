import { randomUUID } from 'node:crypto';
import { rollBack } from '../routing/versions/rollback.ts';
import { KeptVersions } from '../routing/versions/versions.ts';
import { type Environment, readRoutingSettings } from '../settings.ts';
import { providers } from '../webhook/providers/registry.ts';
import { columns, json } from './print.ts';

interface Options {
  readonly json?: boolean;
}

/** Those that a bridge with these settings had in force. @throws {SettingsRefused} */
export function versionsOf(env: Environment): KeptVersions {
  return new KeptVersions({ ...readRoutingSettings(env), now: Date.now });
}

/** Lists the last good versions of the routing file, also where no bridge runs. */
export async function listVersions(options: Options, env: Environment): Promise<void> {
  const kept = await versionsOf(env).list();
  const rows = kept.map(({ version, at, file }) => ({ version, in_force_since: new Date(at).toISOString(), file }));
  if (options.json) return console.log(json(rows));
  console.log(rows.length > 0 ? columns(rows) : 'No version is kept: no bridge with these settings has run here.');
}

/**
 * Writes a version back to the routing file, also where no bridge runs.
 *
 * @throws {RollbackRefused | RoutingRefused} and nothing is written
 */
export async function rollback(version: string, env: Environment): Promise<void> {
  const { routingFile } = readRoutingSettings(env);
  const kept = versionsOf(env);
  const done = await rollBack(version, { kept, routingFile, env, providers, now: Date.now, newName: randomUUID });
  const written = done.written.map(({ file, before }) =>
    before === undefined ? `  ${file}` : `  ${file}, which is now ${before}`,
  );
  console.log(
    `Version ${done.version} is written back, and a bridge that runs reads it at once, over:\n${written.join('\n')}`,
  );
}
