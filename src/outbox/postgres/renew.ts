import type { Row } from '../rows.ts';
import type { Claim, Renewed } from '../store.ts';
import { anyOf, type Database } from './database.ts';
import { Contended } from './faults.ts';

/** What others hold for longer is not waited for: all the other leases would run out meanwhile. */
const LOCK_MS = 500;

export async function renew(database: Database, claims: readonly Claim[], leaseMs: number): Promise<Renewed> {
  try {
    return await prolong(database, claims, leaseMs, '');
  } catch (error) {
    if (!(error instanceof Contended)) throw error;
    return await prolong(database, claims, leaseMs, 'skip locked');
  }
}

async function prolong(
  database: Database,
  claims: readonly Claim[],
  leaseMs: number,
  mode: '' | 'skip locked',
): Promise<Renewed> {
  const { schema, now } = database;
  const ours = `${schema}.conversations c join unnest($1::uuid[], $2::text[]) as w (id, lease) on c.id = w.id and c.lease = w.lease
    where c.id = ${anyOf('$1::uuid[]')}`;
  const parameters = [claims.map(({ conversation }) => String(conversation)), claims.map(({ lease }) => lease)];
  return database.transaction(
    async (query) => {
      const { rows: prolonged } = await query(
        `with held as (select c.id from ${ours} order by c.id for update of c ${mode})
        update ${schema}.conversations c set ready_at = ${now} + $3 from held where c.id = held.id and c.id = ${anyOf('$1::uuid[]')} returning c.id, c.lease`,
        [...parameters, leaseMs],
      );
      // In a statement of its own, which waits for nobody: what is locked may be ours all the same.
      const { rows: held } = await query(`select c.id, c.lease from ${ours}`, parameters);
      const isIn = (rows: readonly Row[]) => {
        const leases = new Map(rows.map(({ id, lease }) => [id, lease]));
        return ({ conversation, lease }: Claim) => leases.get(conversation) === lease;
      };
      const isHeld = isIn(held);
      return { renewed: claims.filter(isIn(prolonged)), lost: claims.filter((claim) => !isHeld(claim)) };
    },
    { lockMs: LOCK_MS },
  );
}
