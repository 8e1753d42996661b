import { z } from 'zod';
import type { Environment } from '../settings.ts';
import { Admin } from './admin.ts';
import { json } from './print.ts';

interface Options {
  readonly json?: boolean;
}

const state = z.looseObject({
  version: z.string(),
  loaded_at: z.string(),
  behind: z.looseObject({ version: z.string() }).nullable(),
});

/** Has the running bridge read its routing file again. @throws {BridgeUnreachable | BridgeRefused} with every problem of the file */
export async function reload(options: Options, env: Environment): Promise<void> {
  const answer = state.parse(await new Admin(env).post('/api/routing/reload'));
  if (options.json) return console.log(json(answer));
  const behind = answer.behind ? ` Another process has a newer one, ${answer.behind.version}.` : '';
  console.log(`Version ${answer.version} is in force.${behind}`);
}
