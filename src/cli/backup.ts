import { resolve } from 'node:path';
import type { Environment } from '../settings.ts';
import { Admin } from './admin.ts';

/** Has the running bridge write a copy of its database. @throws {BridgeUnreachable | BridgeRefused} */
export async function backup(file: string, env: Environment): Promise<void> {
  const path = resolve(file);
  await new Admin(env).post('/api/backup', { file: path });
  console.log(`Written: ${path}`);
}
