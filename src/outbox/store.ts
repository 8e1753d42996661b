import type { DeadReason, Delivery, Message, Outcome, Placement } from '../message.ts';

/**
 * The durable side of the outbox. Conversations are leased, not messages: whoever holds the lease of a conversation is
 * the only one to deliver from it, one message at a time, oldest first. That alone carries order and fairness.
 *
 * Every method is durable when it resolves. Times are given as delays, because each store has a clock of its own.
 */
export interface Store {
  /**
   * Stores messages in the order given, all or none. What the channel has stored before is a duplicate, and changes
   * nothing but how long it is recognised (`Repeat`). `lease`, where given, takes an idle conversation in the same commit.
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
  renew(claims: readonly Claim[], leaseMs: number): Promise<Renewed>;

  /** What there is to do, for a process that delivers for these accounts. */
  look(accounts: readonly string[]): Promise<Sight>;

  /** Something of the account waits that this process has no slot for. A hint, which may get lost. */
  announce(account: string): void;

  /** Hands on what other processes announce. */
  listen(onAnnounced: (account: string) => void): void;

  /**
   * Erases what customers wrote from messages that were delivered or discarded longer than `contentMs` ago, and forgets
   * those settled so longer than `rowsMs` ago, with their ids: a repeat is then a new message. So are windows that are
   * over. Gives back the space. At most `limit` of each, so that nobody waits.
   *
   * @returns whether there is nothing left to do for now
   */
  prune(age: { readonly contentMs: number; readonly rowsMs: number; readonly limit: number }): Promise<boolean>;

  /**
   * Compares `limit` conversations, from `after` on, with the messages that wait in them, and mends what differs.
   *
   * @returns where to go on, undefined at the end, and how many were counted wrong: any at all is a fault of ours
   */
  recount(
    after: ConversationRef | undefined,
    limit: number,
  ): Promise<{ readonly next: ConversationRef | undefined; readonly mended: readonly ConversationRef[] }>;

  /** Puts an account on hold, to be probed then for the first time; where it is so already, nothing changes. */
  hold(hold: Hold, probeInMs: number): Promise<void>;
  /** Ends a hold, where it is in force. */
  release(hold: Omit<Hold, 'since'>): Promise<void>;

  /** Whether a write succeeds right now. */
  isWritable(): Promise<boolean>;

  close(): Promise<void>;
}

/** The store's own name of a conversation. */
export type ConversationRef = number | string;

/** What one look at the outbox shows. */
export interface Sight {
  /** How long until the next conversation of an account is due, in milliseconds; accounts of which none waits are not in it. */
  readonly due: ReadonlyMap<string, number>;
  /** Those in force, of all accounts. */
  readonly holds: readonly StandingHold[];
  /** Which of the processes that deliver this is, from 0, and how many there are. */
  readonly share: Share;
}

export interface Share {
  readonly rank: number;
  readonly of: number;
  /** The others do not know of it yet: what is divided is still theirs. */
  readonly isJoining: boolean;
}

export type HoldCause = 'unauthorized' | 'operator';

/** An account waits; this outlives the process. */
export interface Hold {
  readonly account: string;
  readonly cause: HoldCause;
  /** Of the URLs and credentials that were refused: others are not on hold. Empty where an operator has paused the account. */
  readonly fingerprint: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** A hold in force. Where credentials were refused, they may be tried again after that many milliseconds. */
export interface StandingHold extends Hold {
  readonly probeInMs: number;
}

/** A message on its way in. */
export interface Entry {
  readonly id: string;
  readonly channel: string;
  readonly message: Message;
  readonly placement: Placement;
  readonly tableVersion: string;
  /** By what it is recognised when it comes again; the provider's id where not given. */
  readonly repeat?: Repeat | undefined;
  readonly lease?: LeaseOffer | undefined;
}

/** By what a channel recognises what it has stored before. */
export interface Repeat {
  /**
   * It means the same as a provider's id of that text. It stays when what customers wrote is erased: of that it holds a
   * digest at most.
   */
  readonly key: string;
  /**
   * A window, in milliseconds: what comes within that time of the key's last appearance is a repeat, and prolongs it; what
   * comes later is new. Without it, the key is known for as long as the message is. Neither kind knows the other's keys.
   */
  readonly withinMs?: number | undefined;
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
  readonly busy: ReadonlySet<ConversationRef>;
  /**
   * What is claimed is to try credentials that were refused: nothing is given where they are not due to be tried, or are
   * not held for refused any more. Whoever is given something has `everyMs` to himself.
   */
  readonly probe?: { readonly fingerprint: string; readonly everyMs: number } | undefined;
}

export interface ClaimResult {
  readonly claims: readonly Claim[];
  /** How long until the account's next conversation is due, 0 when as many were due as asked for; undefined when none waits. */
  readonly nextDueMs: number | undefined;
}

/** A leased conversation, and its oldest waiting message. */
export interface Claim {
  readonly conversation: ConversationRef;
  readonly account: string;
  readonly lease: string;
  /** The lease before this one ended without a settle: the message may have been sent already. */
  readonly isInDoubt: boolean;
  readonly message: WaitingMessage;
}

/** What became of leases. One that could not be prolonged right now is neither. */
export interface Renewed {
  readonly renewed: readonly Claim[];
  /** Not held any more. */
  readonly lost: readonly Claim[];
}

export interface WaitingMessage {
  readonly id: string;
  readonly delivery: Delivery;
  /** How many attempts were made before this one. */
  readonly attempts: number;
  /** Age since it was accepted, or last redriven, when it was claimed. */
  readonly ageMs: number;
  readonly acceptedAt: number;
}

/** What is kept of an attempt, for whoever has to judge it later. */
export interface Attempt {
  /** When it began, in milliseconds since the epoch. */
  readonly at: number;
  readonly outcome: Outcome['kind'];
  /** The HTTP status that decided, where there was an answer. */
  readonly status: number | null;
  /** Milliseconds; null where nobody saw its end. */
  readonly duration: number | null;
  readonly detail: string | null;
}

/** What becomes of a message after an attempt. */
export type Verdict =
  | { readonly state: 'delivered'; readonly messageId: string; readonly createdAt: string | null }
  /** `stops`: its conversation waits behind it for a person. */
  | { readonly state: 'dead'; readonly reason: DeadReason; readonly detail: string; readonly stops: boolean }
  /** It may have arrived; its conversation waits behind it for a person. */
  | { readonly state: 'unknown'; readonly detail: string }
  /** Due again; `isSpent` says whether the attempt counts. */
  | { readonly state: 'waiting'; readonly dueInMs: number; readonly isSpent: boolean; readonly detail: string };

/** `attempt` is undefined where none was made: the one before is in doubt, and noted. */
export type Settlement = Verdict & { readonly attempt: Attempt | undefined };

export type SettleResult = 'stale' | { readonly next: Claim | undefined; readonly hasMore: boolean };

/** More messages of an account wait than are to be kept waiting. */
export class BacklogFull extends Error {
  override readonly name = 'BacklogFull';
}

/** The database file is another process's. */
export class FileInUse extends Error {
  override readonly name = 'FileInUse';
}

/** The database cannot be used right now: it is not reached, or takes nothing. */
export class StoreUnavailable extends Error {
  override readonly name: string = 'StoreUnavailable';
}

/** The database cannot be used as it is, and waiting does not help. */
export class StoreRefused extends Error {
  override readonly name = 'StoreRefused';
}
