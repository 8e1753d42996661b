import type { SQLInputValue } from 'node:sqlite';
import type { Delivery, Message } from '../../message.ts';
import type { MessageDetails, MessageFilter } from '../records.ts';
import { type Row, textOf, toRecord } from '../rows.ts';
import type { Attempt } from '../store.ts';

/** How rows of messages are chosen and read, for what operators look at and decide. */

export const ASIDE = "state in ('dead', 'unknown')";
/** What a filter asks for, bound by `bound`. */
export const FITS = `(:state is null or state = :state) and (:channel is null or channel = :channel)
  and (:account is null or account = :account) and (:reason is null or reason = :reason)
  and (:providerId is null or provider_id = :providerId)
  and (:authId is null or json_extract(delivery, '$.authId') = :authId)
  and (:sender is null or json_extract(message, '$.sender') = :sender)
  and (:since is null or accepted_at >= :since) and (:until is null or accepted_at < :until)`;
/** Without what customers wrote: that may be a megabyte a message. */
export const SUMMARY = `seq, id, state, reason, channel, account, json_extract(delivery, '$.businessId') as business_id,
  json_extract(delivery, '$.authId') as auth_id, json_extract(message, '$.sender') as sender, provider_id, accepted_at,
  settled_at, attempts, message_id, created_at, route, table_version`;

export function bound(filter: MessageFilter): Record<string, SQLInputValue> {
  const { state, channel, account, authId, sender, providerId, reason, since, until } = filter;
  const given = { state, channel, account, authId, sender, providerId, reason, since, until };
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name, value ?? null]));
}

export function messageIn(row: Row): Message {
  return JSON.parse(String(row.message));
}

export function deliveryIn(row: Row): Delivery {
  return JSON.parse(String(row.delivery));
}

export function toDetails(row: Row): MessageDetails {
  return {
    ...toRecord(row),
    detail: textOf(row.detail),
    stops: row.stops === 1,
    waitsBehind: textOf(row.waits_behind),
    text: row.delivery === null ? messageIn(row).text : deliveryIn(row).text,
    fields: messageIn(row).fields,
    attemptLog: JSON.parse(String(row.attempt_log)) as readonly Attempt[],
  };
}
