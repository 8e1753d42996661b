/** What a bridge's database says once nobody uses it any more. Messages are named by the id that is their text. */
export interface Kept {
  readonly waiting: readonly string[];
  readonly unknown: readonly string[];
  /** With their reasons. */
  readonly dead: ReadonlyMap<string, string>;
  readonly discarded: ReadonlyMap<string, string>;
  /** How often those are stored that are more than once: a sender that gives no ids cannot be told that it repeats. */
  readonly copies: ReadonlyMap<string, number>;
  /** What is wrong with the database itself. */
  readonly damage: readonly string[];
}

export interface Row {
  /** The message's id, by its sender. */
  readonly id: string;
  readonly state: string;
  readonly reason: string | null;
}

export function keptOf(rows: readonly Row[], damage: readonly string[]): Kept {
  const inState = (state: string) => rows.filter((row) => row.state === state);
  const reasonsIn = (state: string) => new Map(inState(state).map(({ id, reason }) => [id, reason ?? '']));
  const copies = [...Map.groupBy(rows, ({ id }) => id)].flatMap(([id, { length }]) =>
    length > 1 ? [[id, length] as const] : [],
  );
  return {
    waiting: inState('waiting').map(({ id }) => id),
    unknown: inState('unknown').map(({ id }) => id),
    dead: reasonsIn('dead'),
    discarded: reasonsIn('discarded'),
    copies: new Map(copies),
    damage,
  };
}
