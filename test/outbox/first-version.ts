import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { temporaryFolder } from '../support/fixtures.ts';
import { delivery, message } from './samples.ts';

/** Schema version 1, as released. */
const FIRST_SCHEMA = `
  create table messages (
    seq integer primary key,
    id text not null unique,
    conversation integer,
    state text not null,
    reason text,
    detail text,
    channel text not null,
    provider_id text,
    message text not null,
    route text,
    table_version text not null,
    delivery text,
    has_content integer not null default 1,
    attempts integer not null default 0,
    accepted_at integer not null,
    settled_at integer,
    message_id text,
    created_at text
  ) strict;
  create unique index messages_by_provider_id on messages (channel, provider_id) where provider_id is not null;
  create index messages_waiting on messages (conversation, seq) where state = 'waiting';
  create index messages_to_erase on messages (settled_at) where state = 'delivered' and has_content = 1;
  create index messages_to_prune on messages (settled_at) where state = 'delivered';
  create table probe (id integer primary key, content blob not null) strict;
  create table conversations (
    id integer primary key,
    key text not null unique,
    account text not null,
    pending integer not null,
    ready_at integer not null,
    lease text
  ) strict;
  create index conversations_ready on conversations (account, ready_at);
  pragma application_id = 0x68617074;
  pragma user_version = 1;
`;

/** As the first release made it: with a message that waits, a delivered, a dead, and one that no route fitted. */
export async function firstVersion(authId: string): Promise<string> {
  const path = join(await temporaryFolder(), 'bridge.db');
  const { onUnknown, onDead, ...usual } = delivery(authId);
  const key = JSON.stringify([usual.account, usual.businessId, usual.authId]);
  const database = new DatabaseSync(path);
  database.exec(FIRST_SCHEMA);
  database.prepare("insert into conversations values (1, ?, 'main', 1, 0, null)").run(key);
  const insert = database.prepare(`
    insert into messages (id, conversation, state, reason, detail, channel, provider_id, message, route, table_version,
      delivery, attempts, accepted_at, settled_at)
    values (?, ?, ?, ?, ?, 'chat', ?, ?, ?, 'v1', ?, 0, 1000, ?)`);
  const add = (id: string, conversation: number | null, state: string, settledAt: number | null, reason?: string) => {
    const isStray = reason === 'unroutable';
    const texts = [id, JSON.stringify(message({ providerId: id })), isStray ? null : 'routes[0]'];
    const [detail, delivered] = [reason ? 'a fault' : null, isStray ? null : JSON.stringify(usual)];
    insert.run(id, conversation, state, reason ?? null, detail, ...texts, delivered, settledAt);
  };
  add('delivered', null, 'delivered', 2_000);
  add('dead', null, 'dead', 2_000, 'refused');
  add('stray', null, 'dead', 1_000, 'unroutable');
  add('waiting', 1, 'waiting', null);
  database.close();
  return path;
}
