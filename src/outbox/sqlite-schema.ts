import type { DatabaseSync } from 'node:sqlite';
import { StoreRefused } from './store.ts';

/** "hapt" in ASCII: tells our files from other people's. */
const APPLICATION_ID = 0x68617074;

/** Each brings a file from the version that is its index to the next one. Never edited once released. */
const MIGRATIONS: readonly string[] = [
  `
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

  -- What is written to see whether the disk takes it.
  create table probe (id integer primary key, content blob not null) strict;

  -- Only those with waiting messages: pending counts them, and at 0 the row goes. Messages refer to them by number, since
  -- the index of what waits is the largest there is in an outage, and the key is long; numbers are used again, so that
  -- only waiting messages have one.
  create table conversations (
    id integer primary key,
    key text not null unique,
    account text not null,
    pending integer not null,
    ready_at integer not null,
    lease text
  ) strict;
  create index conversations_ready on conversations (account, ready_at);
  `,
];

/**
 * Looks at whose file it is, and changes nothing: not even another program's journal mode.
 *
 * @throws {StoreRefused} for a file of a newer version, and for one that is not ours
 */
export function identify(database: DatabaseSync, file: string): void {
  const version = pragma(database, 'user_version');
  const isEmpty = database.prepare('select count(*) as n from sqlite_schema').get()?.n === 0;
  if (pragma(database, 'application_id') !== APPLICATION_ID && !isEmpty) {
    throw new StoreRefused(`${file} is a SQLite file of another program; name another file in DATABASE_URL.`);
  }
  if (version > MIGRATIONS.length) {
    const fault = `${file} was written by a newer haptik-bridge (schema ${version}, this one knows ${MIGRATIONS.length})`;
    throw new StoreRefused(`${fault}; run that version again, or restore a backup made before the upgrade.`);
  }
}

/** Brings an identified file to today's schema, a version at a time. */
export function migrate(database: DatabaseSync): void {
  for (let from = pragma(database, 'user_version'); from < MIGRATIONS.length; from += 1) {
    database.exec('begin immediate');
    database.exec(MIGRATIONS[from] ?? '');
    database.exec(`pragma application_id = ${APPLICATION_ID}; pragma user_version = ${from + 1}; commit`);
  }
}

function pragma(database: DatabaseSync, name: string): number {
  return Number(database.prepare(`pragma ${name}`).get()?.[name]);
}
