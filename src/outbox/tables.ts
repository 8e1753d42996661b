/** Which routing tables are in force, in all processes that share the outbox, and which were, also before a restart. */
export interface Tables {
  /**
   * This process has that table in force. To be called just before it has: what the others know of it must not come later
   * than what strangers see. Where it rejects, it counts as this process' own all the same.
   *
   * @throws {StoreUnavailable} when the others are not told; they are with the next `put` or `look` that can
   */
  put(table: TableInForce): Promise<void>;

  /** @throws {StoreUnavailable} also while the others are not told of what this process has, or had, in force */
  look(): Promise<TablesInSight>;
}

/** A routing table, as those know it who do not have it in force. */
export interface TableInForce {
  /** By which tables are told apart: two of one version are the same. */
  readonly version: string;
  /** How long ago it came in force, or its file was written, in milliseconds: of two, the younger one is the newer one. */
  readonly ageMs: number;
  /** The names of its channels. */
  readonly channels: readonly string[];
}

export interface TablesInSight {
  /**
   * The newest of those that living processes have in force, this one included. A version is as new as the youngest that
   * anybody has put of it: `since` is that time, in milliseconds since the epoch, by the store's clock.
   */
  readonly newest: { readonly version: string; readonly since: number } | undefined;
  /** That is another than this process' own. */
  readonly isBehind: boolean;
  /** The names of the channels of all that are in force anywhere, and of the last ones that were. */
  readonly channels: ReadonlySet<string>;
}

/**
 * So many of those that were in force last are remembered, and all that are. No clock has a say in that: a file may be old,
 * and a clock set back.
 */
export const REMEMBERED = 20;
