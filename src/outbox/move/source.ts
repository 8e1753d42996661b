import { statSync } from 'node:fs';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { conversationOf, type Delivery } from '../../message.ts';
import type { MessageState } from '../records.ts';
import { type Row, textOf } from '../rows.ts';
import { openToMove, refusalOf } from '../sqlite/file.ts';
import { type Move, moveOf } from '../sqlite/move.ts';
import { deliveryIn, messageIn } from '../sqlite/rows.ts';
import { FileInUse, StoreRefused } from '../store.ts';

/** A message, with its columns as every store has them. */
export interface MovedMessage {
  readonly seq: number;
  readonly id: string;
  readonly state: MessageState;
  readonly reason: string | null;
  readonly detail: string | null;
  readonly channel: string;
  readonly providerId: string | null;
  /** By what its channel recognises it when it comes again. */
  readonly repeatKey: string | null;
  readonly sender: string;
  /** What is told to Haptik, and to whom; undefined where no route fitted. Without its text, once that is erased. */
  readonly delivery: Delivery | undefined;
  /** JSON; null once it is erased. */
  readonly content: { readonly message: string | null; readonly delivery: string | null };
  readonly groupKey: string | null;
  readonly route: string | null;
  readonly tableVersion: string;
  readonly attempts: number;
  /** JSON. */
  readonly attemptLog: string;
  readonly isInDoubt: boolean;
  readonly acceptedAt: number;
  readonly since: number;
  readonly settledAt: number | null;
  readonly messageId: string | null;
  readonly createdAt: string | null;
}

/** What is known of a conversation beside what waits in it. */
export interface MovedConversation {
  readonly key: string;
  readonly account: string;
  /** The seq of the message behind which it waits for a person. */
  readonly stoppedBy: number | null;
  /** The seq of a message that was given out, and when: nobody has seen what came of it. */
  readonly inFlight: number | null;
  readonly givenAt: number | null;
}

export interface Pause {
  readonly account: string;
  readonly since: number;
}

/** A routing table that was in force. */
export interface MovedTable {
  readonly version: string;
  readonly since: number;
  /** JSON. */
  readonly channels: string;
}

/** How many messages there are in each state, and how many conversations wait for a person. */
export type Counts = Readonly<Record<MessageState | 'stopped', number>>;

/** A batch ends with the one that reaches either. */
const BATCH_MESSAGES = 1_000;
const BATCH_CHARS = 8_000_000;
const BATCH_CONVERSATIONS = 1_000;

/** The SQLite file from which messages are moved, and which nobody changes meanwhile. */
export class Source {
  readonly #database: DatabaseSync;
  readonly #sql: ReturnType<typeof prepare>;
  readonly file: string;

  /** @throws {FileInUse | StoreUnavailable | StoreRefused} also when there is no such file: none is made */
  constructor(file: string) {
    this.file = file;
    if (!statSync(file, { throwIfNoEntry: false })?.isFile()) {
      throw new StoreRefused(`${file}: there is no such file; name the one in which the messages are.`);
    }
    try {
      this.#database = openToMove(file);
    } catch (error) {
      if (!(error instanceof FileInUse)) throw error;
      const advice = 'stop the bridge that runs on it, and run this again';
      throw new FileInUse(`${file} is in use by another process; ${advice}.`, { cause: error });
    }
    this.#sql = prepare(this.#database);
  }

  /** Under which name its messages are moved, and how far that has come. Named so the first time. */
  move(newName: () => string): Move {
    const begun = moveOf(this.#database);
    if (begun !== undefined) return begun;
    const source = newName();
    this.#write(() => this.#sql.name.run(source));
    return { source, target: null, movedAt: null };
  }

  /** From now on, and for good, nothing is delivered from the file. @throws {StoreUnavailable | StoreRefused} */
  leaveTo(target: string): void {
    this.#write(() => this.#sql.leave.run(target));
  }

  /** @throws {StoreUnavailable | StoreRefused} */
  moved(target: string, at: number): void {
    this.#write(() => this.#sql.moved.run(target, at));
  }

  get lastSeq(): number {
    return Number(this.#sql.last.get()?.seq ?? 0);
  }

  /** How many messages there are up to there. */
  countUntil(seq: number): number {
    return Number(this.#sql.until.get(seq)?.n);
  }

  counts(): Counts {
    const counts = { waiting: 0, delivered: 0, unknown: 0, dead: 0, discarded: 0 };
    const found = this.#sql.counts.all().map(({ state, n }) => [String(state), Number(n)]);
    return { ...counts, ...Object.fromEntries(found), stopped: Number(this.#sql.stopped.get()?.n) };
  }

  /** Some of the messages, in their order; none at the end. */
  messages(after: number): readonly MovedMessage[] {
    const batch: MovedMessage[] = [];
    let chars = 0;
    // One by one, since each may be a megabyte, and so may be the one behind the last.
    for (const row of this.#sql.messages.iterate(after)) {
      batch.push(toMessage(row));
      chars += String(row.message).length + String(row.delivery).length;
      if (batch.length === BATCH_MESSAGES || chars >= BATCH_CHARS) break;
    }
    return batch;
  }

  /** Those of which there is more to know than what waits in them, in parts. */
  *conversations(): Generator<readonly MovedConversation[]> {
    for (let after = 0; ; ) {
      const rows = this.#sql.conversations.all(after, BATCH_CONVERSATIONS);
      if (rows.length === 0) return;
      yield rows.map((row) => ({
        key: String(row.key),
        account: String(row.account),
        stoppedBy: numberOf(row.stopped_by),
        inFlight: numberOf(row.in_flight),
        givenAt: numberOf(row.given_at),
      }));
      after = Number(rows.at(-1)?.id);
    }
  }

  /** The accounts that an operator has paused. */
  pauses(): readonly Pause[] {
    return this.#sql.pauses.all().map(({ account, since }) => ({ account: String(account), since: Number(since) }));
  }

  /** The routing tables that are remembered, in the order in which they came in force. */
  tables(): readonly MovedTable[] {
    return this.#sql.tables
      .all()
      .map((row) => ({ version: String(row.version), since: Number(row.since), channels: String(row.channels) }));
  }

  close(): void {
    this.#database.close();
  }

  #write(work: () => unknown): void {
    try {
      work();
    } catch (error) {
      throw refusalOf(error, this.file);
    }
  }
}

function toMessage(row: Row): MovedMessage {
  const hasContent = row.has_content === 1;
  return {
    seq: Number(row.seq),
    id: String(row.id),
    state: row.state as MessageState,
    reason: textOf(row.reason),
    detail: textOf(row.detail),
    channel: String(row.channel),
    providerId: textOf(row.provider_id),
    repeatKey: textOf(row.repeat_key),
    sender: messageIn(row).sender,
    delivery: row.delivery === null ? undefined : deliveryIn(row),
    content: hasContent
      ? { message: String(row.message), delivery: textOf(row.delivery) }
      : { message: null, delivery: null },
    groupKey: textOf(row.group_key),
    route: textOf(row.route),
    tableVersion: String(row.table_version),
    attempts: Number(row.attempts),
    attemptLog: String(row.attempt_log),
    isInDoubt: row.in_doubt === 1,
    acceptedAt: Number(row.accepted_at),
    since: Number(row.since),
    settledAt: numberOf(row.settled_at),
    messageId: textOf(row.message_id),
    createdAt: textOf(row.created_at),
  };
}

/** The conversation in which it waits; undefined where it waits in none. */
export function conversationIn({ state, delivery }: MovedMessage): string | undefined {
  return state === 'waiting' && delivery !== undefined ? conversationOf(delivery) : undefined;
}

function numberOf(value: unknown): number | null {
  return value === null ? null : Number(value);
}

function prepare(database: DatabaseSync) {
  const sql = (text: string): StatementSync => database.prepare(text);
  return {
    name: sql('insert into move (source) values (?)'),
    leave: sql('update move set target = ?'),
    moved: sql('update move set target = ?, moved_at = coalesce(moved_at, ?)'),
    last: sql('select max(seq) as seq from messages'),
    until: sql('select count(*) as n from messages where seq <= ?'),
    counts: sql('select state, count(*) as n from messages group by state'),
    stopped: sql('select count(*) as n from conversations where stopped_by is not null'),
    messages: sql('select * from messages where seq > ? order by seq'),
    conversations: sql(`
      select id, key, account, stopped_by, in_flight, given_at from conversations
      where id > ? and (stopped_by is not null or (in_flight is not null and exists (
        select 1 from messages where conversation = conversations.id and state = 'waiting')))
      order by id limit ?`),
    tables: sql('select version, since, channels from tables order by seq'),
    pauses: sql("select account, since from holds where cause = 'operator' order by account"),
  };
}
