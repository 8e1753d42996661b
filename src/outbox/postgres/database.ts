import type { Socket } from 'node:net';
import pg from 'pg';
import type { Clock } from '../../clock.ts';
import { messageOf } from '../../fault.ts';
import type { Row } from '../rows.ts';
import { StoreRefused, StoreUnavailable } from '../store.ts';
import { breaksOff, CommitUnknown, isConflict, refusalOf } from './faults.ts';

type Scalar = string | number | boolean | null;
export type Parameter = Scalar | readonly Scalar[];
export interface Rows {
  readonly rows: readonly Row[];
  readonly rowCount: number;
}
/** One statement; several without parameters. */
export type Query = (sql: string, parameters?: readonly Parameter[]) => Promise<Rows>;

export interface DatabaseOptions {
  /** `postgres://…`; `schema` names the schema of the tables, all else is as libpq has it. */
  readonly url: string;
  readonly clock: Pick<Clock, 'elapsed'>;
  /** The time in milliseconds since the epoch, as SQL. */
  readonly now?: (() => string) | undefined;
}

/** The database's own time, so that all replicas go by one clock: that of the transaction's start. */
const DATABASE_NOW = '(extract(epoch from now()) * 1000)::bigint';

/** In milliseconds. */
export interface TransactionLimits {
  /** From the first try until its commit is confirmed. */
  readonly withinMs?: number;
  /** For what others have locked; 0: as long as all of it may take. */
  readonly lockMs?: number;
}

const DEFAULT_SCHEMA = 'haptik_bridge';
/**
 * What is done gathers what arrives meanwhile, so few connections do: one that accepts, one that claims, one that settles,
 * two that look and see to leases and holds, and three for what people ask.
 */
export const POOL_SIZE = 8;
/** To be connected, or to be given a connection of ours. */
const CONNECT_MS = 1_500;
/** No transaction of ours does anything between its statements: who holds one open for longer is stopped, or cut off. */
const IDLE_MS = 2_000;
const TRANSACTION_MS = 5_000;
/** So much earlier than we do, the database itself ends what takes too long: its word costs no connection. */
const ANSWER_MS = 100;
/** What is asked once a second is not waited for much longer: whoever asks is to know soon that there is no answer. */
const ASK_MS = 2_000;
const CONFLICT_TRIES = 5;
const INT8 = 20;
/**
 * The connections to one PostgreSQL. Nothing is kept in a session: what is set is set within a transaction, so that a
 * pooler in between may give each transaction another connection.
 */
export class Database {
  readonly #config: pg.PoolConfig;
  readonly #clock: Pick<Clock, 'elapsed'>;
  readonly #now: () => string;
  #pool: pg.Pool;
  readonly schemaName: string;
  /** The same as it stands in statements. */
  readonly schema: string;
  /** For people; without the password. */
  readonly place: string;

  constructor({ url, clock, now = () => DATABASE_NOW }: DatabaseOptions) {
    const parsed = new URL(url);
    this.#clock = clock;
    this.#now = now;
    this.schemaName = parsed.searchParams.get('schema') ?? DEFAULT_SCHEMA;
    this.schema = pg.escapeIdentifier(this.schemaName);
    parsed.searchParams.delete('schema');
    this.place = `${parsed.host || parsed.searchParams.get('host') || 'localhost'}${parsed.pathname}`;
    this.#config = {
      connectionString: parsed.href,
      max: POOL_SIZE,
      connectionTimeoutMillis: CONNECT_MS,
      keepAlive: true,
      fallback_application_name: 'haptik-bridge',
      types: { getTypeParser: (oid, format) => (oid === INT8 ? Number : pg.types.getTypeParser(oid, format)) },
    };
    this.#pool = this.#open();
    this.#refuseFaults();
  }

  /** A certificate that is not there, for one, is found out when it is read: for the first connection. */
  #refuseFaults(): void {
    try {
      new pg.Client(this.#config);
    } catch (cause) {
      throw new StoreRefused(`DATABASE_URL cannot be used (${messageOf(cause)}).`, { cause });
    }
  }

  /** The time in milliseconds since the epoch, as it stands in statements. */
  get now(): string {
    return this.#now();
  }

  /** A connection of its own, outside of the pool, over a socket that is not connected yet. */
  client(socket: Socket): pg.Client {
    return new pg.Client({ ...this.#config, stream: () => socket });
  }

  /**
   * Statements, without parameters, that are asked often: a transaction in one request.
   *
   * @returns what the last of them gives
   * @throws {CommitUnknown | StoreUnavailable}
   */
  ask(sql: string): Promise<readonly Row[]> {
    const deadline = this.#clock.elapsed() + ASK_MS;
    return this.#within(deadline, async (query, client) => {
      const all = `${this.#begin(ASK_MS - ANSWER_MS, 0)}; ${sql}; ${COMMIT}`;
      try {
        return (await withoutWarning(client, () => query(all))).rows;
      } catch (error) {
        await query('rollback').catch(() => undefined);
        throw error;
      }
    });
  }

  /**
   * A statement by itself; in a transaction, since only so has it a time limit of its own on the other side.
   *
   * @throws {StoreUnavailable}
   */
  query: Query = (sql, parameters) => this.transaction((query) => query(sql, parameters));

  /**
   * Statements that take effect together, and durably, once it resolves. Run again where others were in the way (40001,
   * 40P01), so `work` may only touch the database.
   *
   * @throws {CommitUnknown} when whether they took effect is not known; {StoreUnavailable} when they did not
   */
  async transaction<T>(work: (query: Query) => Promise<T>, limits: TransactionLimits = {}): Promise<T> {
    const { withinMs = TRANSACTION_MS, lockMs = 0 } = limits;
    const deadline = this.#clock.elapsed() + withinMs;
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#try(work, deadline, lockMs);
      } catch (error) {
        if (!isConflict(error) || tries === CONFLICT_TRIES) throw error;
      }
    }
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  #try<T>(work: (query: Query) => Promise<T>, deadline: number, lockMs: number): Promise<T> {
    return this.#within(deadline, async (query, client) => {
      const ms = Math.max(1, Math.ceil(deadline - this.#clock.elapsed() - ANSWER_MS));
      await query(this.#begin(ms, lockMs));
      let result: T;
      try {
        result = await work(query);
      } catch (error) {
        await query('rollback').catch(() => undefined);
        throw error;
      }
      await commit(query, client);
      return result;
    });
  }

  /**
   * What is relied on is said, whatever the role's or the database's defaults are: that a statement sees what was
   * committed before it, and that a commit warns.
   */
  #begin(statementMs: number, lockMs: number): string {
    return `begin isolation level read committed; set local statement_timeout = ${statementMs};
      set local idle_in_transaction_session_timeout = ${IDLE_MS}; set local lock_timeout = ${lockMs};
      set local synchronous_commit = on; set local client_min_messages = warning`;
  }

  /** Lends a connection until the deadline; what is not done by then is cut off, and so not committed. */
  async #within<T>(deadline: number, work: (query: Query, client: pg.PoolClient) => Promise<T>): Promise<T> {
    const pool = this.#pool;
    const client = await this.#borrow(pool, deadline);
    let broken: Error | undefined;
    const breakOff = (why: string) => {
      broken ??= new StoreUnavailable(`${this.place} cannot be used right now (${why}).`);
    };
    const late = setTimeout(
      () => {
        breakOff('no answer in time');
        void client.end();
      },
      Math.max(0, deadline - this.#clock.elapsed()),
    );
    const onError = (error: Error) => breakOff(error.message);
    client.on('error', onError);
    const query: Query = async (sql, parameters) => {
      try {
        return lastOf(await client.query(sql, parameters?.map(clean)));
      } catch (cause) {
        if (breaksOff(cause)) breakOff(messageOf(cause));
        throw broken ?? refusalOf(cause, this.place);
      }
    };
    try {
      return await work(query, client);
    } finally {
      clearTimeout(late);
      client.off('error', onError);
      client.release(broken);
      // Others of the same time are no better: mostly the database has gone elsewhere, or may not be written any more.
      if (broken !== undefined && pool === this.#pool) {
        this.#pool = this.#open();
        void pool.end();
      }
    }
  }

  /** A connection that is there by the deadline; one that comes later goes back unused. */
  async #borrow(pool: pg.Pool, deadline: number): Promise<pg.PoolClient> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const ms = Math.max(0, deadline - this.#clock.elapsed());
    const timer = setTimeout(() => reject(new Error('no connection in time')), ms);
    const connecting = pool.connect();
    try {
      return await Promise.race([connecting, late]);
    } catch (cause) {
      connecting.then(
        (client) => client.release(),
        () => undefined,
      );
      throw refusalOf(cause, this.place);
    } finally {
      clearTimeout(timer);
    }
  }

  #open(): pg.Pool {
    const pool = new pg.Pool(this.#config);
    // An idle connection that breaks is replaced when it is needed.
    pool.on('error', () => undefined);
    return pool;
  }
}

/** Of several statements, what the last one gives that gives anything. */
function lastOf(results: pg.QueryResult | readonly pg.QueryResult[]): Rows {
  const all = Array.isArray(results) ? results : [results];
  const { rows, rowCount } = all.findLast(({ fields }) => fields.length > 0) ?? all.at(-1) ?? { rows: [], rowCount: 0 };
  return { rows, rowCount: rowCount ?? 0 };
}

/**
 * Beside a join by it, what makes the planner take the index by which rows are found. After a quiet night it believes that
 * hardly any rows are there, and would read all of them, for each that is asked for, until the table is looked at again.
 * An array that it does not know the length of it takes for a short one.
 */
export function anyOf(array: string): string {
  return `any (array(select unnest(${array})))`;
}

/** As they stand in a statement. */
export function literals(values: readonly string[]): string {
  return `array[${values.map((value) => pg.escapeLiteral(value)).join(', ')}]::text[]`;
}

/** PostgreSQL's text holds no NUL, and what a far end says may. */
function clean(parameter: Parameter): unknown {
  if (typeof parameter === 'string') return parameter.replaceAll('\0', '\u{fffd}');
  return typeof parameter === 'object' && parameter !== null ? parameter.map(clean) : parameter;
}

/**
 * A time-out in a commit that waits for a standby would not undo it: it would be told of as made, though a failover may
 * lose it. So the commit has none, and a warning with it counts as not knowing.
 */
const COMMIT = 'set local statement_timeout = 0; commit';

async function commit(query: Query, client: pg.PoolClient): Promise<void> {
  try {
    await withoutWarning(client, () => query(COMMIT));
  } catch (cause) {
    if (isConflict(cause) || cause instanceof CommitUnknown) throw cause;
    throw new CommitUnknown(`whether it was stored is not known (${messageOf(cause)}).`, { cause });
  }
}

/** @throws {CommitUnknown} */
async function withoutWarning<T>(client: pg.PoolClient, work: () => Promise<T>): Promise<T> {
  let warning: string | undefined;
  const onNotice = (notice: { readonly message?: string | undefined }) => {
    warning = notice.message ?? 'a warning';
  };
  client.on('notice', onNotice);
  try {
    const result = await work();
    if (warning !== undefined) throw new CommitUnknown(`whether it was stored is not known (${warning}).`);
    return result;
  } finally {
    client.off('notice', onNotice);
  }
}
