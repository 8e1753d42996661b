import { randomUUID } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { systemClock } from '../../src/clock.ts';
import { SqliteStore } from '../../src/outbox/sqlite/store.ts';
import type { Backup } from './acts.ts';
import { type Kept, keptOf } from './kept.ts';

/** What a file says once nobody has it open. */
export function readDatabase(file: string): Kept & { readonly ids: ReadonlySet<string> } {
  using database = new DatabaseSync(file);
  const rows = database
    .prepare('select provider_id, state, reason from messages order by seq')
    .all()
    .map(({ provider_id, state, reason }) => ({
      id: String(provider_id),
      state: String(state),
      reason: reason === null ? null : String(reason),
    }));
  const { integrity_check: integrity } = database.prepare('pragma integrity_check').get() ?? {};
  const damage = integrity === 'ok' ? [] : [`${file} is damaged: ${integrity}`];
  return { ...keptOf(rows, damage), ids: new Set(rows.map(({ id }) => id)) };
}

const ignore = () => undefined;

/** @returns what is wrong with a copy: it has to be whole, to hold what was there, and to be taken by a bridge */
export async function inspect({ file, holds }: Backup): Promise<readonly string[]> {
  const { ids, damage, waiting } = readDatabase(file);
  const missing = holds.filter((id) => !ids.has(id));
  const store = new SqliteStore({
    file,
    clock: systemClock,
    newToken: randomUUID,
    log: { error: ignore, warn: ignore, info: ignore, debug: ignore },
    maxBacklog: Number.POSITIVE_INFINITY,
    eraseAtOnce: false,
  });
  const counted = [...store.waiting.accounts].reduce((sum, account) => sum + store.waiting.of(account), 0);
  await store.close();
  return [
    ...damage,
    ...missing.map((id) => `${id} is not in the backup`),
    ...(counted === waiting.length ? [] : [`in the backup ${waiting.length} wait, and ${counted} are counted`]),
  ];
}
