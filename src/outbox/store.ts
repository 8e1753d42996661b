import type { DeadReason, Delivery, Message, Placement } from '../message.ts';

/**
 * The durable side of the outbox. Conversations are leased, not messages: whoever holds the lease of a conversation is
 * the only one to deliver from it, one message at a time, oldest first. That alone carries order and fairness.
 *
 * Every method is durable when it resolves. Times are given as delays, because each store has a clock of its own.
 */
export interface Store {
  /**
   * Stores messages in the order given, all or none. A message whose `providerId` the channel has stored before is a
   * duplicate and changes nothing. `lease`, where given, takes an idle conversation in the same commit.
   *
   * @throws {BacklogFull} when too many messages of an account wait already
   */
  accept(entries: readonly Entry[]): Promise<readonly Acceptance[]>;

  /** Leases up to `limit` conversations of the account that are due, and gives the oldest waiting message of each. */
  claim(request: ClaimRequest): Promise<ClaimResult>;

  /**
   * Ends an attempt. With `keepLease` and more messages waiting, the lease goes on and the next message comes back;
   * otherwise it ends. Where the lease is not held any more nothing changes, and the result is `stale`.
   */
  settle(
    claim: Claim,
    settlement: Settlement,
    keepLease: { readonly leaseMs: number } | undefined,
  ): Promise<SettleResult>;

  /** Prolongs leases that are still held. */
  renew(claims: readonly Claim[], leaseMs: number): Promise<void>;

  /**
   * Erases what customers wrote from messages that were delivered longer than `contentMs` ago, and forgets those delivered
   * longer than `rowsMs` ago, with their ids: a repeat is then a new message. At most `limit` of each, so that nobody waits.
   *
   * @returns how many messages it changed; fewer than `limit` means that it is done for now
   */
  prune(age: { readonly contentMs: number; readonly rowsMs: number; readonly limit: number }): Promise<number>;

  /** Whether a write succeeds right now. */
  isWritable(): Promise<boolean>;

  close(): Promise<void>;
}

/** A message on its way in. */
export interface Entry {
  readonly id: string;
  readonly channel: string;
  readonly message: Message;
  readonly placement: Placement;
  readonly tableVersion: string;
  readonly lease?: LeaseOffer | undefined;
}

/** A free slot: the conversation may be leased under this token, if nothing of it waits. */
export interface LeaseOffer {
  readonly token: string;
  readonly leaseMs: number;
}

export interface Acceptance {
  /** The first one's id, for a duplicate. */
  readonly id: string;
  readonly isDuplicate: boolean;
  readonly claim: Claim | undefined;
}

export interface ClaimRequest {
  readonly account: string;
  readonly limit: number;
  readonly leaseMs: number;
  /**
   * Conversations that this process is still delivering from: never given, whatever their leases say. What is in flight
   * is known from memory, since clocks jump and processes sleep.
   */
  readonly busy: ReadonlySet<number>;
}

export interface ClaimResult {
  readonly claims: readonly Claim[];
  /** How long until the account's next conversation is due, 0 when as many were due as asked for; undefined when none waits. */
  readonly nextDueMs: number | undefined;
}

/** A leased conversation, and its oldest waiting message. */
export interface Claim {
  /** The store's own number of it. */
  readonly conversation: number;
  readonly account: string;
  readonly lease: string;
  /** The lease before this one ended without a settle: the message may have been sent already. */
  readonly isInDoubt: boolean;
  readonly message: WaitingMessage;
}

export interface WaitingMessage {
  readonly id: string;
  readonly delivery: Delivery;
  /** How many attempts were made before this one. */
  readonly attempts: number;
  /** Age since it was accepted, when it was claimed. */
  readonly ageMs: number;
}

export type Settlement =
  | { readonly state: 'delivered'; readonly messageId: string; readonly createdAt: string | null }
  | { readonly state: 'dead'; readonly reason: DeadReason; readonly detail: string }
  /** Due again; `isSpent` says whether the attempt counts. */
  | { readonly state: 'waiting'; readonly dueInMs: number; readonly isSpent: boolean; readonly detail: string };

export type SettleResult = 'stale' | { readonly next: Claim | undefined; readonly hasMore: boolean };

/** More messages of an account wait than are to be kept waiting. */
export class BacklogFull extends Error {
  override readonly name = 'BacklogFull';
}

/** The database file is another process's. */
export class FileInUse extends Error {
  override readonly name = 'FileInUse';
}

/** The database cannot be used as it is, and waiting does not help. */
export class StoreRefused extends Error {
  override readonly name = 'StoreRefused';
}
