import { z } from 'zod';
import type { Environment } from '../settings.ts';
import { Admin } from './admin.ts';
import { columns, json } from './print.ts';

interface Options {
  readonly json?: boolean;
}

const account = z.looseObject({ name: z.string(), state: z.string() });
const list = z.looseObject({ items: z.array(account) });

/** Shows the accounts. @throws {BridgeUnreachable | BridgeRefused} */
export async function listAccounts(options: Options, env: Environment): Promise<void> {
  const answer = list.parse(await new Admin(env).get('/api/accounts'));
  console.log(options.json ? json(answer) : columns(answer.items));
}

/** Pauses or resumes one. @throws {BridgeUnreachable | BridgeRefused} */
export async function changeAccount(
  action: 'pause' | 'resume',
  name: string,
  options: Options,
  env: Environment,
): Promise<void> {
  const answer = account.parse(await new Admin(env).post(`/api/accounts/${encodeURIComponent(name)}/${action}`));
  console.log(options.json ? json(answer) : columns([answer]));
}
