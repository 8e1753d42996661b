import type { MessageRecord, MessageState } from './records.ts';

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

export function textOf(value: unknown): string | null {
  return value === null ? null : String(value);
}
