import type { Delivery, Message } from '../../message.ts';
import type { MessageDetails, MessageFilter } from '../records.ts';
import { type Row, textOf, toRecord } from '../rows.ts';
import type { Attempt } from '../store.ts';
import type { Parameter } from './database.ts';

/** How rows of messages are chosen and read, for what operators look at and decide. */

export const ASIDE = "state in ('dead', 'unknown')";
/** Without what customers wrote: that may be a megabyte a message. */
export const SUMMARY = `seq, id, state, reason, channel, account, business_id, auth_id, sender, provider_id, accepted_at,
  settled_at, attempts, message_id, created_at, route, table_version`;

/** The conditions that a filter asks for, true where it asks for none; what they are about is added to `parameters`. */
export function fits(filter: MessageFilter, parameters: Parameter[]): string {
  const { state, channel, account, authId, sender, providerId, reason, since, until } = filter;
  const asked: readonly (readonly [string, string | number | undefined])[] = [
    ['state =', state],
    ['channel =', channel],
    ['account =', account],
    ['auth_id =', authId],
    ['sender =', sender],
    ['provider_id =', providerId],
    ['reason =', reason],
    ['accepted_at >=', since],
    ['accepted_at <', until],
  ];
  const conditions = asked.flatMap(([condition, value]) =>
    value === undefined ? [] : `${condition} $${parameters.push(value)}`,
  );
  return ['true', ...conditions].join(' and ');
}

export function messageIn(row: Row): Message {
  return row.message as Message;
}

export function deliveryIn(row: Row): Delivery {
  return row.delivery as Delivery;
}

export function toDetails(row: Row): MessageDetails {
  const message = row.message === null ? undefined : messageIn(row);
  return {
    ...toRecord(row),
    detail: textOf(row.detail),
    stops: row.stops === true,
    waitsBehind: textOf(row.waits_behind),
    text: row.delivery === null ? message?.text : deliveryIn(row).text,
    fields: message?.fields,
    attemptLog: row.attempt_log as readonly Attempt[],
  };
}
