import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { LiveTable } from './routing/live.ts';
import { formatProblem } from './routing/problem.ts';
import type { KeptVersions } from './routing/versions.ts';

interface ReloadOptions {
  readonly live: LiveTable;
  readonly kept: Pick<KeptVersions, 'keep'>;
  readonly metrics: Pick<Metrics, 'routingLoaded' | 'routingRefused'>;
  readonly log: Log;
  /** Told once another table may be in force. */
  readonly settled: () => Promise<void>;
}

/** What a table that comes in force is to the rest of the bridge: told of, kept, counted. */
export function reloadWith({ live, kept, metrics, log, settled }: ReloadOptions) {
  const keep = () =>
    kept.keep(live.table).catch((error) => {
      const consequence = 'a rollback to it will not be possible';
      log.warn(`the version in force is not kept: ${consequence}`, { version: live.table.version, error });
    });
  const reload = async (because: string): Promise<void> => {
    try {
      await live.reload();
    } catch (error) {
      metrics.routingRefused();
      const problems = live.refused?.problems.map(formatProblem);
      log.error('routing file refused: the table before stays in force', { version: live.table.version, problems });
      throw error;
    }
    metrics.routingLoaded(live.loadedAt);
    log.info('routing table in force', { version: live.table.version, because });
    await keep();
    await settled();
  };
  return { keep, reload };
}
