import { z } from 'zod';
import type { Environment } from '../settings.ts';
import { Admin } from './admin.ts';
import { json } from './print.ts';

interface Options {
  readonly json?: boolean;
}

const state = z.looseObject({ version: z.string(), loaded_at: z.string() });

/** Has the running bridge read its routing file again. @throws {BridgeUnreachable | BridgeRefused} with every problem of the file */
export async function reload(options: Options, env: Environment): Promise<void> {
  const answer = state.parse(await new Admin(env).post('/api/routing/reload'));
  console.log(options.json ? json(answer) : `Version ${answer.version} is in force.`);
}
