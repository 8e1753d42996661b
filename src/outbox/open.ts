import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Records } from './records.ts';
import type { openFile } from './sqlite/file.ts';
import type { Store } from './store.ts';
import type { Tables } from './tables.ts';

export interface StoreOptions {
  readonly clock: Clock;
  readonly newToken: () => string;
  readonly log: Log;
  /** Waiting messages per account, above which no more are accepted. */
  readonly maxBacklog: number;
  /** The content of a delivered message is not kept at all. */
  readonly eraseAtOnce: boolean;
  /** Told of each conversation that was counted wrong, once it is mended: any at all is a fault of ours. */
  readonly onMended: () => void;
  readonly openFile?: typeof openFile | undefined;
}

type Address = { readonly kind: 'sqlite'; readonly file: string } | { readonly kind: 'postgres'; readonly url: string };

export interface OpenStore {
  readonly store: Store;
  /** The operator's side of it. */
  readonly records: Records;
  /** What is done by one process at a time; undefined where there is but one. */
  readonly turns: Turns | undefined;
  /** Which routing tables are in force, in all processes that share it. */
  readonly tables: Tables;
  /** What is known of it, for the log. */
  readonly facts: object;
}

/**
 * What is to be done by one process at a time, and not again by those who waited for it: such as the registration of a
 * user. A process that dies over it gives its turn up before long.
 */
export interface Turns {
  /**
   * `done`: others have done it, not longer than `sinceMs` ago · `mine`: nobody else does it until it is finished ·
   * `busy`: others are at it
   */
  begin(key: string, sinceMs: number): Promise<'done' | 'mine' | 'busy'>;
  /** Ends a turn of ours. */
  finish(key: string, isDone: boolean): Promise<void>;
}

/**
 * Opens the outbox, made where there is none, and brought to today's schema. What only the other kind needs is not loaded.
 *
 * @throws {FileInUse | StoreUnavailable | StoreRefused} when it cannot be used
 */
export async function openStore(address: Address, options: StoreOptions): Promise<OpenStore> {
  if (address.kind === 'postgres') {
    const { PostgresStore } = await import('./postgres/store.ts');
    const store = await PostgresStore.open({ ...options, url: address.url });
    const { records, turns, tables, place } = store;
    return { store, records, turns, tables, facts: { database: place } };
  }
  const { SqliteStore } = await import('./sqlite/store.ts');
  const store = new SqliteStore({ ...options, file: address.file });
  const facts = { database: address.file, commit_ms: store.measureCommit(() => performance.now()) };
  return { store, records: store.records, turns: undefined, tables: store.tables, facts };
}
