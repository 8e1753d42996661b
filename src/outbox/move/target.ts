import { conversationId, repeatKey, shortKey } from '../postgres/conversation.ts';
import { Database, type DatabaseOptions, type Parameter, type Query } from '../postgres/database.ts';
import { Contended } from '../postgres/faults.ts';
import { migrate } from '../postgres/schema.ts';
import { StoreRefused, StoreUnavailable } from '../store.ts';
import {
  type Counts,
  conversationIn,
  type MovedConversation,
  type MovedMessage,
  type MovedTable,
  type Pause,
} from './source.ts';

/** How far the move of a source has come. */
export interface Progress {
  /** All up to there are moved. */
  readonly lastSeq: number;
  /** What was moved may be delivered. */
  readonly isDone: boolean;
}

/** The columns of a message, each with its type and what is in it. */
const COLUMNS: Readonly<
  Record<string, readonly [string, (message: MovedMessage) => string | number | boolean | null]>
> = {
  seq: ['bigint', ({ seq }) => seq],
  id: ['text', ({ id }) => id],
  conversation: ['uuid', (message) => idOf(conversationIn(message))],
  state: ['text', ({ state }) => state],
  reason: ['text', ({ reason }) => reason],
  detail: ['text', ({ detail }) => detail],
  channel: ['text', ({ channel }) => channel],
  provider_id: ['text', ({ providerId }) => providerId],
  repeat_key: ['uuid', ({ channel, repeatKey: key }) => (key === null ? null : repeatKey(channel, key))],
  account: ['text', ({ delivery }) => delivery?.account ?? null],
  business_id: ['bigint', ({ delivery }) => delivery?.businessId ?? null],
  auth_id: ['text', ({ delivery }) => delivery?.authId ?? null],
  sender: ['text', ({ sender }) => sender],
  message: ['json', ({ content }) => content.message],
  delivery: ['json', ({ content }) => content.delivery],
  group_key: ['text', ({ groupKey }) => groupKey && shortKey(groupKey)],
  route: ['text', ({ route }) => route],
  table_version: ['text', ({ tableVersion }) => tableVersion],
  attempts: ['integer', ({ attempts }) => attempts],
  attempt_log: ['jsonb', ({ attemptLog }) => wellFormed(attemptLog)],
  in_doubt: ['boolean', ({ isInDoubt }) => isInDoubt],
  accepted_at: ['bigint', ({ acceptedAt }) => acceptedAt],
  since: ['bigint', ({ since }) => since],
  settled_at: ['bigint', ({ settledAt }) => settledAt],
  message_id: ['text', ({ messageId }) => messageId],
  created_at: ['text', ({ createdAt }) => createdAt],
};

/** Within one schema, whoever moves messages into it: "move" in ASCII. */
const MOVE_LOCK = 0x6d6f7665;
/** In the year 5138: a conversation is due then, until all of its messages are there. */
const ASLEEP = 100_000_000_000_000;
/** A bridge that has not been seen for so long is gone. */
const LIVE_MS = 15_000;
/** What is done batch by batch. */
const BATCH_MS = 60_000;
/** What is done to all rows at once. */
const ALL_MS = 1_800_000;

/**
 * The PostgreSQL into which messages are moved. Their conversations sleep until all are there: nothing is delivered from
 * them before.
 */
export class Target {
  readonly #database: Database;
  /** Its URL, without a password. */
  readonly address: string;

  /** @throws {StoreUnavailable | StoreRefused} */
  static async open(options: DatabaseOptions): Promise<Target> {
    const target = new Target(options);
    try {
      await migrate(target.#database);
      return target;
    } catch (error) {
      await target.close();
      throw error;
    }
  }

  private constructor(options: DatabaseOptions) {
    this.#database = new Database(options);
    this.address = withoutPassword(options.url);
  }

  /**
   * Makes room for messages up to that seq: what is accepted here from now on comes after them.
   *
   * @throws {StoreRefused} where there are others already; {StoreUnavailable} while others are at work here
   */
  begin(source: string, lastSeq: number): Promise<Progress> {
    const { schema } = this.#database;
    return this.#database.transaction(async (query) => {
      const { rows: locked } = await query('select pg_try_advisory_xact_lock($1, hashtext($2)) as is_ours', this.#lock);
      if (locked[0]?.is_ours !== true) {
        throw new Contended(`another migrate is at work on ${this.#database.place}; wait until it has ended.`);
      }
      const { rows } = await query(`select last_seq, is_done from ${schema}.moves where source = $1`, [source]);
      if (rows[0]?.is_done === true) return { lastSeq: Number(rows[0].last_seq), isDone: true };
      const begun = Number(rows[0]?.last_seq ?? 0);
      await this.#stayAlone(query, begun);
      await query(
        `select setval(seqs.id, greatest($1, coalesce(pg_sequence_last_value(seqs.id), 0), 1))
        from (select pg_get_serial_sequence($2, 'seq')::regclass as id) as seqs`,
        [lastSeq, `${schema}.messages`],
      );
      await query(
        `insert into ${schema}.moves (source, last_seq, is_done) values ($1, 0, false) on conflict do nothing`,
        [source],
      );
      return { lastSeq: begun, isDone: false };
    });
  }

  /** Stores messages, with how far that brings the move. @param after where it has come to before */
  add(source: string, after: number, messages: readonly MovedMessage[]): Promise<void> {
    const { schema } = this.#database;
    return this.#change(source, after, async (query) => {
      await query(
        insertion(schema),
        Object.values(COLUMNS).map(([, valueIn]) => messages.map(valueIn)),
      );
      const waiting = countedIn(messages);
      await query(
        `insert into ${schema}.conversations as c (id, key, account, pending, ready_at)
        select *, ${ASLEEP} from unnest($1::uuid[], $2::text[], $3::text[], $4::int[])
        on conflict (id) do update set pending = c.pending + excluded.pending`,
        [
          waiting.map(({ key }) => idOf(key)),
          waiting.map(({ key }) => shortKey(key)),
          waiting.map(({ account }) => account),
          waiting.map(({ count }) => count),
        ],
      );
      await query(`update ${schema}.moves set last_seq = $2 where source = $1`, [
        source,
        messages.at(-1)?.seq ?? after,
      ]);
    });
  }

  /** Notes what else is known of conversations. */
  note(source: string, after: number, conversations: readonly MovedConversation[]): Promise<void> {
    const { schema } = this.#database;
    return this.#change(source, after, async (query) => {
      await query(
        `insert into ${schema}.conversations as c (id, key, account, stopped_by, in_flight, given_at, pending, ready_at)
        select *, 0, ${ASLEEP} from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
        on conflict (id) do update set stopped_by = excluded.stopped_by, in_flight = excluded.in_flight,
          given_at = excluded.given_at`,
        [
          conversations.map(({ key }) => idOf(key)),
          conversations.map(({ key }) => shortKey(key)),
          conversations.map(({ account }) => account),
          conversations.map(({ stoppedBy }) => stoppedBy),
          conversations.map(({ inFlight }) => inFlight),
          conversations.map(({ givenAt }) => givenAt),
        ],
      );
    });
  }

  /** What is here now, and how many conversations are counted wrong. For the plans of what comes, all is analyzed. */
  count(): Promise<Counts & { readonly miscounted: number }> {
    const { schema } = this.#database;
    return this.#database.transaction(
      async (query) => {
        const { rows: states } = await query(`select state, count(*) as n from ${schema}.messages group by state`);
        const { rows } = await query(
          `select count(*) filter (where stopped_by is not null) as stopped,
            count(*) filter (where pending is distinct from coalesce(n, 0)) as miscounted
          from ${schema}.conversations full join (
            select conversation, count(*) as n from ${schema}.messages where state = 'waiting' group by conversation
          ) as waiting on conversation = id`,
        );
        await query(`analyze ${schema}.messages; analyze ${schema}.conversations`);
        const none = { waiting: 0, delivered: 0, unknown: 0, dead: 0, discarded: 0 };
        const found = Object.fromEntries(states.map(({ state, n }) => [String(state), Number(n)]));
        return { ...none, ...found, stopped: Number(rows[0]?.stopped), miscounted: Number(rows[0]?.miscounted) };
      },
      { withinMs: ALL_MS },
    );
  }

  /** Ends the move: what was moved is delivered from here from now on, but where an operator has paused it. */
  finish(
    source: string,
    after: number,
    { pauses, tables }: { readonly pauses: readonly Pause[]; readonly tables: readonly MovedTable[] },
  ): Promise<void> {
    const { schema, now } = this.#database;
    const work = async (query: Query) => {
      await query(`update ${schema}.conversations set ready_at = ${now} where ready_at = ${ASLEEP}`);
      await query(
        `insert into ${schema}.holds (account, cause, fingerprint, since, probe_at)
        select account, 'operator', '', since, ${now} from unnest($1::text[], $2::bigint[]) as p (account, since)
        on conflict do nothing`,
        [pauses.map(({ account }) => account), pauses.map(({ since }) => since)],
      );
      await query(
        `insert into ${schema}.tables as known (version, seq, since, channels)
        select version, place + (select coalesce(max(seq), 0) from ${schema}.tables), since,
          array(select json_array_elements_text(channels::json))
        from unnest($1::text[], $2::bigint[], $3::text[]) with ordinality as t (version, since, channels, place)
        on conflict (version) do update set seq = excluded.seq, since = greatest(known.since, excluded.since)`,
        [
          tables.map(({ version }) => version),
          tables.map(({ since }) => since),
          tables.map(({ channels }) => channels),
        ],
      );
      await query(`update ${schema}.moves set is_done = true where source = $1`, [source]);
    };
    return this.#change(source, after, work, ALL_MS);
  }

  close(): Promise<void> {
    return this.#database.close();
  }

  get #lock(): readonly Parameter[] {
    return [MOVE_LOCK, this.#database.schemaName];
  }

  /** A transaction that changes what is moved, where nobody else has since it came to `after`. */
  #change(source: string, after: number, work: (query: Query) => Promise<void>, withinMs = BATCH_MS): Promise<void> {
    const { schema, place } = this.#database;
    return this.#database.transaction(
      async (query) => {
        await query('select pg_advisory_xact_lock($1, hashtext($2))', this.#lock);
        const { rows } = await query(`select last_seq from ${schema}.moves where source = $1 and not is_done`, [
          source,
        ]);
        if (rows[0]?.last_seq !== after) throw new StoreUnavailable(`another migrate is at work on ${place}.`);
        await this.#stayAlone(query, after);
        await work(query);
      },
      { withinMs },
    );
  }

  /** Only what was moved up to there may be here: others would mix up the order, and know nothing of repeats. */
  async #stayAlone(query: Query, lastSeq: number): Promise<void> {
    const { schema, schemaName, now, place } = this.#database;
    const { rows } = await query(
      `select exists (select 1 from ${schema}.messages where seq > $1) as is_foreign,
        exists (select 1 from ${schema}.replicas where seen_at > ${now} - ${LIVE_MS}) as is_served,
        exists (select 1 from ${schema}.moves where not is_done and last_seq > $1) as is_left`,
      [lastSeq],
    );
    const { is_foreign, is_served, is_left } = rows[0] ?? {};
    if (is_served === true)
      throw new StoreUnavailable(`a bridge runs on ${place}, or did seconds ago; stop it until all is moved.`);
    if (is_foreign !== true) return;
    const fault = `${place} holds messages already, which would mix up the order of those to come`;
    const advice = 'name another database, or another schema (?schema=…)';
    const left = `They are of a move that has not come to its end; if it is given up: drop schema ${schemaName} cascade.`;
    throw new StoreRefused(`${fault}; ${advice}.${is_left === true ? ` ${left}` : ''}`);
  }
}

function insertion(schema: string): string {
  const names = Object.keys(COLUMNS).join(', ');
  const arrays = Object.values(COLUMNS).map(([type], index) => `$${index + 1}::${type}[]`);
  return `insert into ${schema}.messages (${names}) select * from unnest(${arrays.join(', ')})`;
}

/** How many wait in each conversation. */
function countedIn(messages: readonly MovedMessage[]) {
  const counted = new Map<string, { readonly key: string; readonly account: string; readonly count: number }>();
  for (const message of messages) {
    const key = conversationIn(message);
    if (key === undefined || message.delivery === undefined) continue;
    counted.set(key, { key, account: message.delivery.account, count: (counted.get(key)?.count ?? 0) + 1 });
  }
  return [...counted.values()];
}

function idOf(key: string | undefined): string | null {
  return key === undefined ? null : conversationId(key);
}

/** jsonb takes no NUL, and no half of a pair; in JSON both are written as escapes. */
function wellFormed(json: string): string {
  if (!/\\u(0000|d[89a-f])/i.test(json)) return json;
  return JSON.stringify(JSON.parse(json), (_name, value) =>
    typeof value === 'string' ? value.toWellFormed().replaceAll('\0', '\u{fffd}') : value,
  );
}

/** As it may be shown; also libpq has some among the parameters. */
function withoutPassword(url: string): string {
  const shown = new URL(url);
  shown.password = '';
  for (const name of [...shown.searchParams.keys()].filter((name) => /password/i.test(name))) {
    shown.searchParams.delete(name);
  }
  return shown.href;
}
