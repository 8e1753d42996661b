import { Router } from 'express';
import { Invalid, NotFound, Refusal } from '../errors.ts';
import type { Question } from '../explain.ts';
import { messageOf, propertyOf } from '../fault.ts';
import type { LiveTable } from '../routing/live.ts';
import { emptyBody, explainBody, problemsOf, read, routingView } from './shapes.ts';

export interface RoutingOptions {
  readonly live: Pick<LiveTable, 'table' | 'loadedAt' | 'refused'>;
  /** @throws {RoutingRefused} when the file is refused */
  readonly reload: () => Promise<void>;
  /** @throws {UnknownChannel}; {Refusal} as the channel would refuse it */
  readonly explain: (question: Question) => Promise<object>;
}

/** The routing table in force, and the file that is to be the next. */
export function routing({ live, reload, explain }: RoutingOptions): Router {
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
