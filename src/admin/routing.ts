import { Router } from 'express';
import { Invalid } from '../errors.ts';
import { propertyOf } from '../fault.ts';
import type { LiveTable } from '../routing/live.ts';
import { emptyBody, problemsOf, read, routingView } from './shapes.ts';

export interface RoutingOptions {
  readonly live: Pick<LiveTable, 'table' | 'loadedAt' | 'refused'>;
  /** @throws {RoutingRefused} when the file is refused */
  readonly reload: () => Promise<void>;
}

/** The routing table in force, and the file that is to be the next. */
export function routing({ live, reload }: RoutingOptions): Router {
  const router = Router();

  router.get('/routing', (_request, response) => {
    response.json(routingView(live));
  });

  router.post('/routing/reload', async (request, response) => {
    read(emptyBody, request.body);
    await reload().catch((error: unknown) => {
      throw propertyOf(error, 'name') === 'RoutingRefused' && live.refused
        ? new Invalid(problemsOf(live.refused))
        : error;
    });
    response.json(routingView(live));
  });
  return router;
}
