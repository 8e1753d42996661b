import { z } from 'zod';
import type { Environment } from '../settings.ts';
import { Admin } from './admin.ts';
import { columns, json } from './print.ts';

const account = z.looseObject({ name: z.string(), state: z.string() });
const list = z.object({ items: z.array(account) });

/** Shows the accounts. @throws {BridgeUnreachable | BridgeRefused} */
export async function listAccounts(options: { readonly json?: boolean }, env: Environment): Promise<void> {
  const { items } = list.parse(await new Admin(env).get('/api/accounts'));
  console.log(options.json ? json({ items }) : columns(items));
}

/** Pauses or resumes one. @throws {BridgeUnreachable | BridgeRefused} */
export async function changeAccount(action: 'pause' | 'resume', name: string, env: Environment): Promise<void> {
  const answer = await new Admin(env).post(`/api/accounts/${encodeURIComponent(name)}/${action}`);
  console.log(columns([account.parse(answer)]));
}
