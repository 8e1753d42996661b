import type { Delivery, Message } from '../../src/message.ts';
import type { AccountLimits } from '../../src/outbox/lanes.ts';
import type { Attempt, Entry } from '../../src/outbox/store.ts';
import type { TableInForce } from '../../src/outbox/tables.ts';

/** What tests of the outbox put in and take out, with what each test is not about filled in. */

export function delivery(authId: string, more: Partial<Delivery> = {}): Delivery {
  const usual = {
    account: 'main',
    businessId: 1,
    text: 't',
    user: {},
    onUnknown: 'retry',
    onDead: 'continue',
  } as const;
  return { ...usual, authId, ...more };
}

export function message(more: Partial<Message> = {}): Message {
  return { sender: 's', recipient: 'r', text: 't', fields: {}, attachments: [], ...more };
}

interface EntryOptions extends Partial<Entry> {
  readonly account?: string;
  readonly providerId?: string;
  readonly onUnknown?: Delivery['onUnknown'];
  readonly onDead?: Delivery['onDead'];
}

export function entry(id: string, authId: string, options: EntryOptions = {}): Entry {
  const { account = 'main', providerId, onUnknown = 'retry', onDead = 'continue', ...more } = options;
  const placement = { route: 'routes[0]', delivery: delivery(authId, { account, onUnknown, onDead }) };
  return { id, channel: 'chat', tableVersion: 'v1', placement, message: message({ providerId }), ...more };
}

/** Accepted, and fits no route. */
export function strayEntry(id: string, sender: string): Entry {
  const placement = { route: null, dead: 'unroutable', detail: 'no route fits' } as const;
  return { id, channel: 'chat', tableVersion: 'v1', placement, message: message({ sender }) };
}

export const ATTEMPT: Attempt = { at: 0, outcome: 'retry', status: 500, duration: 12, detail: 'HTTP 500' };
export const DELIVERED = { state: 'delivered', messageId: '7', createdAt: null, attempt: ATTEMPT } as const;
export const DEAD = { state: 'dead', reason: 'refused', detail: 'HTTP 400', stops: false, attempt: ATTEMPT } as const;
export const UNKNOWN = { state: 'unknown', detail: 'reset', attempt: ATTEMPT } as const;
export const AGAIN = { state: 'waiting', dueInMs: 1_000, isSpent: true, detail: 'HTTP 500', attempt: ATTEMPT } as const;

export function limits(more: Partial<AccountLimits> = {}): AccountLimits {
  return { maxConcurrency: undefined, maxPerSecond: undefined, fingerprint: 'f', ...more };
}

/** A routing table that comes in force. */
export function table(version: string, channels: readonly string[] = ['chat'], ageMs = 0): TableInForce {
  return { version, channels, ageMs };
}

/** The accounts of a routing table that has all that tests speak of. */
export const EVERY_ACCOUNT: ReadonlyMap<string, unknown> = new Map(['main', 'other', 'gone'].map((name) => [name, {}]));
