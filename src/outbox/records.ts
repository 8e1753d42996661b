import type { Json, Message, Placement } from '../message.ts';
import type { Attempt } from './store.ts';

/** The operator's side of the outbox: what became of messages, and what a person decides about those that wait for one. */
export interface Records {
  /** The newest first. A page may hold fewer than `limit` and still have a `next`: looking on is the caller's choice. */
  list(filter: MessageFilter, page: { readonly after: number | undefined; readonly limit: number }): Promise<Page>;

  get(id: string): Promise<MessageDetails | undefined>;

  /**
   * The last messages, whatever became of them, the newest first, each as it was accepted. A page may hold fewer than
   * `limit` and still have a `next`: each may be a megabyte.
   */
  recent(page: { readonly before: number | undefined; readonly limit: number }): Promise<RecentPage>;

  /** Carries out what a person decided about one message. */
  decide(id: string, decision: Decision): Promise<DecisionResult>;

  /**
   * Looks at a part of the messages set aside, conversation by conversation; or, with `state: waiting` and an account, of
   * those that wait for it.
   *
   * @param after where the part before ended
   */
  walk(filter: MessageFilter, after: Cursor | undefined): Promise<Walk>;

  /**
   * Puts all matching messages of one group back, in one commit, before what is newer. What waits is only moved, with
   * `state: waiting`, from a conversation of which nothing is in flight, and that is not stopped: it is to be rerouted.
   */
  redrive(group: string, filter: MessageFilter, routing: Routing): Promise<Redriven>;

  /** Discards all matching messages of one group. @returns how many */
  discard(group: string, filter: MessageFilter, reason: string): Promise<number>;

  /** What waits, and what is stopped, by account. */
  survey(): Promise<readonly AccountSurvey[]>;

  /** How many dead letters are of no account, since no route fitted them. */
  strays(): Promise<number>;

  /** Writes a copy of everything to a new file, while work goes on. @throws {BackupRefused} */
  backup(file: string): Promise<void>;
}

export type MessageState = 'waiting' | 'delivered' | 'unknown' | 'dead' | 'discarded';

/** All that is given must fit. Times are milliseconds since the epoch: from `since` on, before `until`. */
export interface MessageFilter {
  readonly state?: MessageState | undefined;
  readonly channel?: string | undefined;
  readonly account?: string | undefined;
  readonly authId?: string | undefined;
  readonly sender?: string | undefined;
  readonly providerId?: string | undefined;
  readonly reason?: string | undefined;
  readonly since?: number | undefined;
  readonly until?: number | undefined;
}

export interface Page {
  readonly items: readonly MessageRecord[];
  readonly next: number | undefined;
}

export interface MessageRecord {
  readonly id: string;
  readonly state: MessageState;
  /** Why it is dead, or why a person discarded it. */
  readonly reason: string | null;
  readonly channel: string;
  readonly account: string | null;
  readonly businessId: number | null;
  readonly authId: string | null;
  readonly sender: string;
  readonly providerId: string | null;
  readonly acceptedAt: number;
  readonly settledAt: number | null;
  /** How many count against it. */
  readonly attempts: number;
  readonly messageId: string | null;
  readonly createdAt: string | null;
  readonly route: string | null;
  readonly tableVersion: string;
}

/** What was accepted. */
export interface StoredMessage {
  readonly id: string;
  readonly channel: string;
  /** Undefined once its content is erased. */
  readonly message: Message | undefined;
}

export interface RecentPage {
  readonly items: readonly StoredMessage[];
  readonly next: number | undefined;
}

/** All that is known of a message: the evidence by which a person judges it. */
export interface MessageDetails extends MessageRecord {
  /** How it came to be what it is: the last fault, with what the far end said. */
  readonly detail: string | null;
  /** Its conversation waits for a person behind it. */
  readonly stops: boolean;
  /** The id of the message behind which its conversation waits for a person, where it waits so. */
  readonly waitsBehind: string | null;
  /** What Haptik is told, or what came where no route fitted; undefined once its content is erased. */
  readonly text: string | undefined;
  readonly fields: Json | undefined;
  /** The last ones, the oldest first; also those that do not count. */
  readonly attemptLog: readonly Attempt[];
}

/** By what a message is routed that goes back. */
export interface Routing {
  readonly table: {
    readonly version: string;
    /** Those that there are: nothing is put back for any other. */
    readonly accounts: ReadonlyMap<string, unknown>;
    place(channel: string, message: Message): Placement;
  };
  /** All by the table; otherwise only what no route fitted, and the rest as it was. */
  readonly reroute: boolean;
}

export type Decision =
  /** Try again. */
  | { readonly kind: 'redrive'; readonly routing: Routing }
  /** It did arrive. */
  | { readonly kind: 'confirm' }
  | { readonly kind: 'discard'; readonly reason: string };

/**
 * `unchanged`: it was so already · `unplaced`: no route fits it, or its account is gone · `leased`: it is being delivered right now ·
 * `impossible`: nothing of the kind can be done in its state
 */
export type DecisionResult = 'done' | 'unchanged' | 'unplaced' | 'leased' | 'impossible' | 'missing';

/** A place in the messages set aside: they are in the order of their groups, in each of their acceptance. */
export interface Cursor {
  readonly group: string;
  readonly seq: number;
}

export interface Walk {
  /** How many match, of the part looked at. */
  readonly count: number;
  readonly samples: readonly MessageRecord[];
  /** The conversations of those that match; what no route fitted is grouped by its channel and sender. */
  readonly groups: readonly string[];
  readonly next: Cursor | undefined;
}

export interface Redriven {
  readonly redriven: number;
  /** No route fits them, or their account is gone: they stay as they are. */
  readonly unplaced: number;
}

export interface AccountSurvey {
  readonly account: string;
  readonly waiting: number;
  readonly oldestAt: number | undefined;
  /** Conversations that wait for a person, and since when the longest does. */
  readonly stopped: number;
  readonly stoppedSince: number | undefined;
  readonly dead: number;
  readonly unknown: number;
}

/** The file cannot be written, and why. */
export class BackupRefused extends Error {
  override readonly name = 'BackupRefused';
}

/** What a message set aside is grouped by where it has no conversation. */
export function strayGroup(channel: string, message: Pick<Message, 'sender'>): string {
  return JSON.stringify([channel, message.sender]);
}
