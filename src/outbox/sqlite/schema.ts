import type { DatabaseSync } from 'node:sqlite';
import { StoreRefused } from '../store.ts';

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
  `
  alter table messages add column account text;
  -- From when its age counts: its acceptance, or the last time that it was put back.
  alter table messages add column since integer not null default 0;
  -- Of a message set aside (dead, unknown): its conversation's key, else its channel and sender.
  alter table messages add column group_key text;
  alter table messages add column attempt_log text not null default '[]';
  -- It was in flight when a lease ended without a settle.
  alter table messages add column in_doubt integer not null default 0;
  update messages set since = accepted_at, account = json_extract(delivery, '$.account'),
    delivery = json_set(delivery, '$.onUnknown', 'retry', '$.onDead', 'continue');
  update messages set group_key = iif(delivery is null, json_array(channel, json_extract(message, '$.sender')),
      json_array(account, json_extract(delivery, '$.businessId'), json_extract(delivery, '$.authId')))
    where state = 'dead';
  create index messages_oldest on messages (account, seq) where state = 'waiting';
  create index messages_aside on messages (seq) where state in ('dead', 'unknown');
  create index messages_aside_by_group on messages (group_key, seq) where state in ('dead', 'unknown');
  create index messages_aside_by_account on messages (account, state) where state in ('dead', 'unknown');
  drop index messages_to_erase;
  drop index messages_to_prune;
  create index messages_to_erase on messages (settled_at) where state in ('delivered', 'discarded') and has_content = 1;
  create index messages_to_prune on messages (settled_at) where state in ('delivered', 'discarded');

  -- The seq of the message behind which a conversation waits for a person. Such a row stays also when nothing waits in it.
  alter table conversations add column stopped_by integer;
  -- The seq of the message that was given out under the lease: others may be put in front of it, or it discarded.
  alter table conversations add column in_flight integer;
  -- When it was given out, in milliseconds since the epoch.
  alter table conversations add column given_at integer;
  -- Leases lasted 15 s.
  update conversations set given_at = ready_at - 15000, in_flight =
      (select min(seq) from messages where conversation = conversations.id and state = 'waiting')
    where lease is not null;
  drop index conversations_ready;
  create index conversations_ready on conversations (account, ready_at) where stopped_by is null;
  create unique index conversations_stopped on conversations (stopped_by) where stopped_by is not null;

  create table holds (
    account text not null,
    cause text not null,
    fingerprint text not null,
    since integer not null,
    primary key (account, cause)
  ) strict;
  `,
  `
  -- One of each credentials that were refused, with the time from which they may be tried again.
  alter table holds rename to holds_before;
  create table holds (
    account text not null,
    cause text not null,
    fingerprint text not null,
    since integer not null,
    probe_at integer not null,
    primary key (account, cause, fingerprint)
  ) strict;
  insert into holds select account, cause, fingerprint, since, 0 from holds_before;
  drop table holds_before;
  `,
  `
  -- Of a file whose messages are moved to another database, or were: one row.
  create table move (
    -- By which the other database knows this file, wherever it is put.
    source text not null,
    -- Where to, without a password; null until all messages are there.
    target text,
    -- When it came to its end, in milliseconds since the epoch.
    moved_at integer
  ) strict;
  `,
  `
  -- By what its channel recognises a message when it comes again: so far that was the provider's id. That is in the message
  -- as well, also once its content is erased. So no row is written anew: a file of millions is brought here in seconds.
  alter table messages rename column provider_id to repeat_key;
  alter table messages add column provider_id text generated always as (json_extract(message, '$.providerId')) virtual;
  drop index messages_by_provider_id;
  create unique index messages_by_repeat_key on messages (channel, repeat_key) where repeat_key is not null;

  -- What is recognised for a while only, since nothing names it: the first message that had the key, which may be gone.
  create table repeats (
    channel text not null,
    key text not null,
    id text not null,
    until integer not null,
    primary key (channel, key)
  ) strict;
  create index repeats_until on repeats (until);
  `,
  `
  -- Routing tables that were in force.
  create table tables (
    -- The greater, the later it came in force: whatever the clock said, or the time of its file.
    seq integer primary key,
    version text not null unique,
    -- The youngest time at which it came in force, or its file was written, in milliseconds since the epoch.
    since integer not null,
    -- The names of its channels: JSON.
    channels text not null
  ) strict;
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
