import { Router } from 'express';
import { Conflict, Invalid, NotFound, Refusal } from '../errors.ts';
import type { Question } from '../explain.ts';
import { messageOf, propertyOf } from '../fault.ts';
import type { TablesInSight } from '../outbox/tables.ts';
import type { Draft, DryRun } from '../routing/dry-run.ts';
import type { LiveTable } from '../routing/live.ts';
import type { Problem } from '../routing/problem.ts';
import type { KeptVersion } from '../routing/versions/versions.ts';
import {
  dryRunBody,
  emptyBody,
  explainBody,
  problemsOf,
  read,
  rehearsalView,
  rollbackBody,
  routingView,
  versionView,
} from './shapes.ts';

export interface RoutingOptions {
  readonly live: Pick<LiveTable, 'table' | 'loadedAt' | 'refused'>;
  /** @throws {StoreUnavailable} */
  readonly tablesInSight: () => Promise<TablesInSight>;
  readonly versions: () => Promise<readonly KeptVersion[]>;
  /** @throws {RollbackRefused | RoutingRefused} */
  readonly rollBack: (version: string) => Promise<void>;
  /** @throws {RoutingRefused} when the file is refused */
  readonly reload: () => Promise<void>;
  /** @throws {RoutingRefused} */
  readonly dryRun: (draft: Draft | undefined, last: number) => Promise<DryRun>;
  /** @throws {UnknownChannel}; {Refusal} as the channel would refuse it */
  readonly explain: (question: Question) => Promise<object>;
}

/** The routing table in force, and the file that is to be the next. */
export function routing(options: RoutingOptions): Router {
  const { live, tablesInSight, versions, rollBack, reload, dryRun, explain } = options;
  const router = Router();
  // Where the database is not reached, what is known here is told all the same.
  const view = async () => routingView(live, await tablesInSight().catch(() => undefined));

  router.get('/routing', async (_request, response) => {
    response.json(await view());
  });

  router.post('/routing/reload', async (request, response) => {
    read(emptyBody, request.body);
    await reload().catch((error: unknown) => {
      throw live.refused ? new Invalid(problemsOf(live.refused.problems)) : error;
    });
    response.json(await view());
  });

  router.get('/routing/versions', async (_request, response) => {
    const items = (await versions()).map((kept) => versionView(kept, live.table.version));
    response.json({ items, next: null });
  });

  router.post('/routing/rollback', async (request, response) => {
    const { version } = read(rollbackBody, request.body);
    await rollBack(version).catch((error: unknown) => {
      if (propertyOf(error, 'name') === 'RollbackRefused') throw new Conflict(messageOf(error), { cause: error });
      throw asInvalid(error);
    });
    response.json(await view());
  });

  router.post('/routing/dry-run', async (request, response) => {
    const { source, name, last } = read(dryRunBody, request.body);
    const draft = source === undefined ? undefined : { source, name };
    const done = await dryRun(draft, last).catch((error: unknown) => {
      throw asInvalid(error);
    });
    response.json(rehearsalView(done));
  });

  router.post('/routing/explain', async (request, response) => {
    const explanation = await explain(read(explainBody, request.body)).catch((error: unknown) => {
      if (propertyOf(error, 'name') === 'UnknownChannel') throw new NotFound(`${messageOf(error)}.`, { cause: error });
      if (!(error instanceof Refusal)) throw error;
      throw new Invalid([{ path: 'payload', message: `would be answered ${error.status}: ${error.message}` }]);
    });
    response.json(explanation);
  });
  return router;
}

/** A routing file's problems as those of the request that is about it. */
function asInvalid(error: unknown): unknown {
  if (propertyOf(error, 'name') !== 'RoutingRefused') return error;
  return new Invalid(problemsOf(propertyOf(error, 'problems') as readonly Problem[]));
}
