import type { Server } from '../support/server.ts';
import { type Kept, keptOf, type Row } from './kept.ts';

type Tables = Pick<Server, 'query'>;

/** What the tables of several replicas say. Asked of the server itself, whatever became of their networks. */
export async function readTables(server: Tables): Promise<Kept> {
  const rows = await server.query<Row>(
    `select coalesce(provider_id, message ->> 'text') as id, state, reason from haptik_bridge.messages order by seq`,
  );
  return keptOf(rows, await miscounted(server));
}

/** What is wrong at this moment; nothing where the server is down. */
export async function auditTables(server: Tables): Promise<readonly string[]> {
  return miscounted(server).catch(() => []);
}

/** In one statement, and so as of one moment: what is counted always is what waits, and what waits has its conversation. */
async function miscounted(server: Tables): Promise<readonly string[]> {
  const rows = await server.query<{ conversation: string; pending: number | null; waiting: number; stopped: boolean }>(
    `select coalesce(c.key, w.conversation::text) as conversation, c.pending, coalesce(w.waiting, 0) as waiting,
      coalesce(c.stopped_by is not null, false) as stopped
    from haptik_bridge.conversations c full join (
      select conversation, count(*)::integer as waiting from haptik_bridge.messages where state = 'waiting'
      group by conversation
    ) w on w.conversation = c.id
    where c.id is null or c.pending <> coalesce(w.waiting, 0) or (c.pending = 0 and c.stopped_by is null)`,
  );
  return rows.map(({ conversation, pending, waiting, stopped }) => {
    const counted = pending === null ? 'has no row' : `counts ${pending}`;
    return `conversation ${conversation} ${counted}, ${waiting} wait${stopped ? ', and it is stopped' : ''}`;
  });
}
