import type { HoldCause, Share, Sight } from '../store.ts';
import { StoreUnavailable } from '../store.ts';
import { type Database, literals } from './database.ts';

/** Who has not been seen for that long does not deliver any more: its leases have ended too. */
export const LIVE_MS = 15_000;

export interface Look extends Sight {
  /** Before it nothing of the account is due, or will be: see `FLOOR_MS`. */
  readonly floors: ReadonlyMap<string, number>;
}

/**
 * Rows that are due go to the end of the index of what is due, and leave dead entries behind at its start, which stay
 * while anybody holds an old snapshot (a long report, a backup). So a claim begins where a look has found the first that
 * lives, less the time for which a transaction of ours may be under way that began before the look. What a longer one, a
 * large redrive, has made due is found by the next look.
 */
const FLOOR_MS = 10_000;

/** What there is to do, and who shares it. @throws {StoreUnavailable} also where the database may only be read */
export async function look(database: Database, replica: string, accounts: readonly string[]): Promise<Look> {
  const { schema, now } = database;
  const rows = await database.ask(
    `select ${now} as now, current_setting('transaction_read_only') as read_only,
      (select coalesce(json_agg(json_build_array(w.account, (
        select ready_at from ${schema}.conversations c
        where c.account = w.account and stopped_by is null order by ready_at limit 1
      ))), '[]') from unnest(${literals(accounts)}) as w (account)) as due,
      (select coalesce(json_agg(h), '[]') from ${schema}.holds h) as holds,
      (select coalesce(json_agg(id order by joined_at, id), '[]') from ${schema}.replicas
        where seen_at > ${now} - ${LIVE_MS}) as replicas,
      (select joined_at from ${schema}.replicas where id = any (${literals([replica])})) as joined_at`,
  );
  const row = rows[0] ?? {};
  if (row.read_only === 'on') throw new StoreUnavailable(`${database.place} can only be read right now.`);
  const time = Number(row.now);
  const first = row.due as readonly (readonly [string, number | null])[];
  const due = first.flatMap(([account, at]) => (at === null ? [] : [[account, Math.max(0, at - time)] as const]));
  const floors = first.map(([account, at]) => [account, Math.min(at ?? time, time) - FLOOR_MS] as const);
  const holds = row.holds as readonly {
    readonly account: string;
    readonly cause: HoldCause;
    readonly fingerprint: string;
    readonly since: number;
    readonly probe_at: number;
  }[];
  return {
    due: new Map(due),
    floors: new Map(floors),
    holds: holds.map(({ probe_at, ...hold }) => ({ ...hold, probeInMs: Math.max(0, probe_at - time) })),
    share: shareOf(replica, row.replicas as readonly string[], time - Number(row.joined_at ?? time)),
  };
}

/** Until the others have seen that there is one more to share with. */
const JOINING_MS = 2_000;

function shareOf(replica: string, live: readonly string[], memberMs: number): Share {
  const others = live.filter((id) => id !== replica);
  const rank = live.indexOf(replica);
  return {
    rank: rank < 0 ? others.length : rank,
    of: others.length + 1,
    isJoining: others.length > 0 && memberMs < JOINING_MS,
  };
}
