import { unseenAttempt } from '../doubt.ts';
import { anyOf, type Database, type Query } from './database.ts';

/** What is kept of a message's attempts, the last ones: a probe every 30 s would otherwise fill the row. */
const LOGGED_ATTEMPTS = 100;

/** The log of a message's attempts with one more, which is given as an expression of JSON. */
export function logged(attempt: string): string {
  const kept = `case when jsonb_array_length(attempt_log) >= ${LOGGED_ATTEMPTS} then attempt_log - 0 else attempt_log end`;
  return `${kept} || (${attempt})::jsonb`;
}

/** A message that was given out, and when: what came of it is not known. */
export interface Flight {
  readonly seq: number;
  readonly givenAt: number;
}

/** Keeps the evidence with each message that still waits; whoever calls has locked their conversations. */
export async function noteDoubt(
  query: Query,
  { schema }: Pick<Database, 'schema'>,
  flights: readonly Flight[],
): Promise<void> {
  if (flights.length === 0) return;
  await query(
    `update ${schema}.messages set in_doubt = true, attempt_log = ${logged('flight.attempt')}
    from unnest($1::bigint[], $2::text[]) as flight (seq, attempt)
    where messages.seq = flight.seq and messages.seq = ${anyOf('$1::bigint[]')} and state = 'waiting'`,
    [flights.map(({ seq }) => seq), flights.map(({ givenAt }) => JSON.stringify(unseenAttempt(givenAt)))],
  );
}
