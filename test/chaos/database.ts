import { randomUUID } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { systemClock } from '../../src/clock.ts';
import { SqliteStore } from '../../src/outbox/sqlite/store.ts';
import type { Backup } from './acts.ts';

/** What a bridge's database says once nobody has it open. */
export function readDatabase(file: string) {
  using database = new DatabaseSync(file);
  const rows = (state: string) =>
    database
      .prepare('select provider_id, reason from messages where state = ?')
      .all(state)
      .map(({ provider_id, reason }) => [String(provider_id), String(reason)] as const);
  const idsOf = (state: string) => rows(state).map(([id]) => id);
  const { integrity_check: integrity } = database.prepare('pragma integrity_check').get() ?? {};
  return {
    waiting: idsOf('waiting'),
    unknown: idsOf('unknown'),
    dead: new Map(rows('dead')),
    ids: new Set(
      database
        .prepare('select provider_id from messages')
        .all()
        .map((row) => String(row.provider_id)),
    ),
    damage: integrity === 'ok' ? [] : [`${file} is damaged: ${integrity}`],
  };
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
