import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { CLOCKS_DIFFER_MS } from '../repeat.ts';

/** What is kept of a message's attempts, the last ones: a probe every 30 s would otherwise fill the row. */
const LOGGED_ATTEMPTS = 100;
/** Mostly it is the first, and nothing has to be parsed. */
const LOGGED = `attempt_log = case
    when :attempt is null then attempt_log
    when attempt_log = '[]' then '[' || :attempt || ']'
    else json_insert(
      iif(json_array_length(attempt_log) >= ${LOGGED_ATTEMPTS}, json_remove(attempt_log, '$[0]'), attempt_log),
      '$[#]', json(:attempt))
    end`;
const DELIVERED = `
  update messages set state = 'delivered', conversation = null, settled_at = :now, message_id = :messageId, created_at = :createdAt,
    attempts = attempts + 1, detail = null, ${LOGGED}`;
/** What the customer wrote, and who they are beyond their address. What is left says what happened, and when. */
const ERASED = `has_content = 0, detail = null,
  message = json_remove(message, '$.text', '$.fields', '$.attachments', '$.name', '$.email', '$.phone'),
  delivery = json_remove(delivery, '$.text', '$.user')`;
/** Of a window: it is not over, and was not opened before the clock was set back. */
const OPEN = `until > :now and until <= excluded.until + ${CLOCKS_DIFFER_MS}`;
const THIS_ONE = "where id = :id and state = 'waiting'";

/** Every statement of the store's daily work, prepared once. */
export function prepareStatements(database: DatabaseSync) {
  const sql = (text: string): StatementSync => database.prepare(text);
  return {
    insert: sql(`
      insert into messages (seq, id, conversation, state, reason, detail, channel, repeat_key, message, route, table_version,
        delivery, accepted_at, settled_at, account, since, group_key)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
    first: sql('select id from messages where channel = ? and repeat_key = ?'),
    openWindow: sql(`
      insert into repeats (channel, key, id, until) values (:channel, :key, :id, :now + :withinMs)
      on conflict (channel, key) do update set
        id = iif(${OPEN}, id, excluded.id), until = iif(${OPEN}, max(until, excluded.until), excluded.until)
      returning id`),
    closeWindows: sql(`
      delete from repeats where rowid in (select rowid from repeats where until <= ? order by until limit ?)`),
    enqueue: sql(`
      insert into conversations (key, account, pending, ready_at, lease, in_flight, given_at) values (?, ?, 1, ?, ?, ?, ?)
      on conflict (key) do update set pending = pending + 1
      returning id, lease`),
    due: sql(`
      select id, in_flight, given_at from conversations where account = ? and ready_at <= ? and stopped_by is null
      order by ready_at`),
    nextDue: sql(`
      select id, ready_at from conversations where account = ? and stopped_by is null order by ready_at`),
    lease: sql('update conversations set lease = ?, ready_at = ?, in_flight = ?, given_at = ? where id = ?'),
    renew: sql('update conversations set ready_at = ? where id = ? and lease = ?'),
    hasLease: sql('select 1 from conversations where id = ? and lease = ?'),
    count: sql('update conversations set pending = pending - ? where id = ? returning pending'),
    giveBack: sql('update conversations set ready_at = ?, lease = null, in_flight = null where id = ?'),
    stop: sql(`
      update conversations set lease = null, in_flight = null,
        stopped_by = (select seq from messages where id = ?) where id = ?`),
    // Whatever was counted: a conversation of which something waits never goes, since its number is used again.
    forget: sql(`
      delete from conversations where id = :id and pending = 0 and stopped_by is null
        and not exists (select 1 from messages where conversation = :id and state = 'waiting')`),
    head: sql(`
      select seq, id, delivery, attempts, since, accepted_at, in_doubt from messages where conversation = ? and state = 'waiting'
      order by seq limit 1`),
    doubt: sql(`update messages set in_doubt = 1, ${LOGGED} where seq = :seq and state = 'waiting'`),
    delivered: sql(`${DELIVERED} ${THIS_ONE}`),
    deliveredAndErased: sql(`${DELIVERED}, ${ERASED} ${THIS_ONE}`),
    aside: sql(`
      update messages set state = :state, conversation = null, settled_at = :now, reason = :reason, detail = :detail,
        attempts = attempts + 1, in_doubt = 0, group_key = :group, ${LOGGED} ${THIS_ONE}`),
    again: sql(
      `update messages set attempts = attempts + :spent, detail = :detail,
        in_doubt = iif(:attempt is null, in_doubt, 0), ${LOGGED} ${THIS_ONE}`,
    ),
    erase: sql(`
      update messages set ${ERASED} where seq in (
        select seq from messages indexed by messages_to_erase
        where state in ('delivered', 'discarded') and has_content = 1 and settled_at <= ?
        order by settled_at limit ?)`),
    prune: sql(`
      delete from messages where seq in (
        select seq from messages where state in ('delivered', 'discarded') and settled_at <= ?
        order by settled_at limit ?)`),
    freePages: sql('select freelist_count, page_count from pragma_freelist_count, pragma_page_count'),
    counted: sql(`
      select id, account, pending,
        (select count(*) from messages where conversation = conversations.id and state = 'waiting') as waiting
      from conversations where id > ? order by id limit ?`),
    recount: sql('update conversations set pending = ? where id = ?'),
    hold: sql(
      'insert into holds (account, cause, fingerprint, since, probe_at) values (?, ?, ?, ?, ?) on conflict do nothing',
    ),
    release: sql('delete from holds where account = ? and cause = ? and fingerprint = ?'),
    listHolds: sql('select account, cause, fingerprint, since, probe_at from holds'),
    dueProbe: sql(`
      select 1 from holds where account = ? and cause = 'unauthorized' and fingerprint = ? and probe_at <= ?`),
    probed: sql(`
      update holds set probe_at = ? where account = ? and cause = 'unauthorized' and fingerprint = ?`),
    probe: sql('insert or replace into probe (id, content) values (1, zeroblob(?))'),
    endProbe: sql('delete from probe'),
  };
}

export type Statements = ReturnType<typeof prepareStatements>;
