import type { DatabaseSync, StatementSync } from 'node:sqlite';

const DELIVERED = `
  update messages set state = 'delivered', conversation = null, settled_at = ?, message_id = ?, created_at = ?, attempts = attempts + 1,
    detail = null`;
/** What the customer wrote, and who they are beyond their address. What is left says what happened, and when. */
const ERASED = `has_content = 0,
  message = json_remove(message, '$.text', '$.fields', '$.attachments', '$.name', '$.email', '$.phone'),
  delivery = json_remove(delivery, '$.text', '$.user')`;

/** Every statement of the store's daily work, prepared once. */
export function prepareStatements(database: DatabaseSync) {
  const sql = (text: string): StatementSync => database.prepare(text);
  return {
    insert: sql(`
      insert into messages (id, conversation, state, reason, detail, channel, provider_id, message, route, table_version,
        delivery, accepted_at, settled_at)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
    first: sql('select id from messages where channel = ? and provider_id = ?'),
    enqueue: sql(`
      insert into conversations (key, account, pending, ready_at, lease) values (?, ?, 1, ?, ?)
      on conflict (key) do update set pending = pending + 1
      returning id, lease`),
    due: sql(`
      select id, lease from conversations where account = ? and ready_at <= ?
      order by ready_at`),
    jumped: sql('select id, lease from conversations where account = ? and ready_at > ?'),
    nextDue: sql('select id, ready_at from conversations where account = ? order by ready_at'),
    lease: sql('update conversations set lease = ?, ready_at = ? where id = ?'),
    renew: sql('update conversations set ready_at = ? where id = ? and lease = ?'),
    holds: sql('select 1 from conversations where id = ? and lease = ?'),
    count: sql('update conversations set pending = pending - ? where id = ? returning pending'),
    release: sql('update conversations set ready_at = ?, lease = null where id = ?'),
    forget: sql('delete from conversations where id = ?'),
    forgetIdle: sql('delete from conversations where id = ? and pending = 0'),
    recount: sql(`
      update conversations set lease = null,
        pending = (select count(*) from messages where conversation = conversations.id and state = 'waiting') where id = ?`),
    head: sql(`
      select id, delivery, attempts, accepted_at from messages where conversation = ? and state = 'waiting'
      order by seq limit 1`),
    delivered: sql(`${DELIVERED} where id = ? and state = 'waiting'`),
    deliveredAndErased: sql(`${DELIVERED}, ${ERASED} where id = ? and state = 'waiting'`),
    erase: sql(`
      update messages set ${ERASED} where seq in (
        select seq from messages where state = 'delivered' and has_content = 1 and settled_at <= ?
        order by settled_at limit ?)`),
    prune: sql(`
      delete from messages where seq in (
        select seq from messages where state = 'delivered' and settled_at <= ? order by settled_at limit ?)`),
    dead: sql(`
      update messages set state = 'dead', conversation = null, settled_at = ?, reason = ?, detail = ?, attempts = attempts + 1
      where id = ? and state = 'waiting'`),
    again: sql("update messages set attempts = attempts + ?, detail = ? where id = ? and state = 'waiting'"),
    probe: sql('insert or replace into probe (id, content) values (1, zeroblob(?))'),
    endProbe: sql('delete from probe'),
  };
}

export type Statements = ReturnType<typeof prepareStatements>;
