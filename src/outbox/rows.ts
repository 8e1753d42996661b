import type { Message } from '../message.ts';
import type { MessageRecord, MessageState, RecentPage } from './records.ts';

/** A row as a database gives it; of messages the columns are called the same in all of them. */
export type Row = Readonly<Record<string, unknown>>;

export function toRecord(row: Row): MessageRecord {
  return {
    id: String(row.id),
    state: row.state as MessageState,
    reason: textOf(row.reason),
    channel: String(row.channel),
    account: textOf(row.account),
    businessId: row.business_id === null ? null : Number(row.business_id),
    authId: textOf(row.auth_id),
    sender: String(row.sender),
    providerId: textOf(row.provider_id),
    acceptedAt: Number(row.accepted_at),
    settledAt: row.settled_at === null ? null : Number(row.settled_at),
    attempts: Number(row.attempts),
    messageId: textOf(row.message_id),
    createdAt: textOf(row.created_at),
    route: textOf(row.route),
    tableVersion: String(row.table_version),
  };
}

/** So many messages are read at once with what was said in them: each may be a megabyte. */
export const MESSAGES_AT_ONCE = 20;

/** The page that rows make up of which so many were asked for; `messageIn` reads a message that is not null. */
export function toRecent(rows: readonly Row[], asked: number, messageIn: (row: Row) => Message): RecentPage {
  const items = rows.map((row) => ({
    id: String(row.id),
    channel: String(row.channel),
    message: row.message === null ? undefined : messageIn(row),
  }));
  return { items, next: rows.length < asked ? undefined : Number(rows.at(-1)?.seq) };
}

export function textOf(value: unknown): string | null {
  return value === null ? null : String(value);
}
