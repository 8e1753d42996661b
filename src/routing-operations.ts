import { coalesced } from './coalesce.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { recentMessages } from './outbox/recent.ts';
import type { Records } from './outbox/records.ts';
import type { Tables } from './outbox/tables.ts';
import { type Draft, type DryRun, rehearse } from './routing/dry-run.ts';
import type { LiveTable } from './routing/live.ts';
import { complete, parseRouting, readRouting } from './routing/load.ts';
import { formatProblem } from './routing/problem.ts';
import { sendersFileOf } from './routing/senders/file.ts';
import type { RoutingTable } from './routing/table.ts';
import { type RollbackOptions, rollBack } from './routing/versions/rollback.ts';

export interface RoutingOperationsOptions extends Omit<RollbackOptions, 'env'> {
  readonly live: LiveTable;
  readonly tables: Tables;
  readonly records: Pick<Records, 'recent'>;
  readonly env: () => RollbackOptions['env'];
  readonly metrics: Pick<Metrics, 'routingLoaded' | 'routingRefused'>;
  readonly log: Log;
  /** Told once another table may be in force. */
  readonly onReloaded: () => Promise<void>;
}

/** What is wrong is not in the file. */
const OUTSIDE = new Set(['unset_variable', 'empty_secret', 'failed']);

function sizeOf({ channels, file, senders }: RoutingTable): Readonly<Record<string, number>> {
  return { channels: channels.size, routes: file.routes.length, senders: senders.size };
}

/** What operators do with the routing table of a running bridge. */
export function routingOperations(options: RoutingOperationsOptions) {
  const { live, kept, tables, records, routingFile, providers, metrics, log, onReloaded } = options;
  const tablesInSight = coalesced(() => tables.look());

  let keeping: Promise<unknown> = Promise.resolve();
  /** One after the other: the next table may be there before a long senders file is copied. */
  const keep = () => {
    const { table } = live;
    keeping = keeping
      .then(() => kept.keep(table))
      .catch((error) => {
        log.warn('the version in force is not kept: no rollback to it', { version: table.version, error });
      });
    return keeping;
  };

  /** @throws what keeps the file from being read; the table in force stays */
  const reload = async (because: string): Promise<void> => {
    const before = sizeOf(live.table);
    try {
      await live.reload();
    } catch (error) {
      metrics.routingRefused();
      const faults = live.refused?.problems ?? [];
      // A change of the file is seen; one of .env is not.
      const advice = faults.some(({ code }) => OUTSIDE.has(code))
        ? { advice: 'haptik-bridge reload, once .env is mended' }
        : {};
      const told = { version: live.table.version, problems: faults.map(formatProblem), ...advice };
      log.error('routing file refused: the table before stays in force', told);
      throw error;
    }
    metrics.routingLoaded(live.loadedAt);
    const after = sizeOf(live.table);
    // Half a file may be a good one: whoever sees the log should see that half of it is gone.
    const hasShrunk = Object.entries(before).some(([part, size]) => (after[part] ?? 0) * 2 < size);
    const told = { version: live.table.version, because, ...after, ...(hasShrunk && { before }) };
    log[hasShrunk ? 'warn' : 'info']('routing table in force', told);
    await keep();
    await onReloaded();
    const { isBehind, newest } = await tablesInSight().catch(() => ({ isBehind: false, newest: undefined }));
    if (isBehind) log.warn('another process has a newer routing table in force', { newest: newest?.version });
  };

  const tried = async (draft: Draft | undefined, last: number): Promise<DryRun> => {
    const before = live.table;
    const read = draft
      ? parseRouting(draft.source, draft.name, options.env(), providers, before.source)
      : await readRouting(routingFile, options.env(), providers);
    const after = await complete({ ...read, sendersFile: sendersFileOf(routingFile, read.file) });
    const rehearsal = await rehearse({ before, after }, recentMessages(records, last));
    return { version: after.version, against: before.version, rehearsal };
  };
  // One at a time: each reads a file, which others wait for.
  let turn: Promise<unknown> = Promise.resolve();

  return {
    /** Of the table with which the bridge starts. */
    async begin(): Promise<void> {
      const to = await kept.brokenOff();
      if (to !== undefined) {
        log.warn('a rollback was broken off: the routing file and its senders may be of two versions', { to });
      }
      await keep();
    },
    reload,
    tablesInSight,
    versions: () => kept.list(),

    /** Whether a channel that the table does not have was one before, may be one elsewhere, or nobody can tell. */
    mayBeChannel: (name: string): Promise<boolean> =>
      tablesInSight().then(
        ({ isBehind, channels }) => isBehind || channels.has(name),
        () => true,
      ),

    /** @throws {RollbackRefused | RoutingRefused} and nothing is written */
    async rollBack(version: string): Promise<void> {
      const done = await rollBack(version, { ...options, env: options.env() });
      log.warn('routing file rolled back', { from: live.table.version, to: done.version, written: done.written });
      await reload('a rollback');
    },

    /**
     * @param draft the file as it is where left out
     * @param last how many messages, at most
     * @throws {RoutingRefused}
     */
    dryRun(draft: Draft | undefined, last: number): Promise<DryRun> {
      const rehearsing = turn.then(() => tried(draft, last));
      turn = rehearsing.catch(() => undefined);
      return rehearsing;
    },
  };
}
