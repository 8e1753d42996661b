import { type Request, type Response, Router } from 'express';
import type { Clock } from '../clock.ts';
import { Conflict, NotFound } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Decision, Records, Routing } from '../outbox/records.ts';
import { discardAll, preview, redriveAll } from '../outbox/redrive.ts';
import {
  detailsView,
  discardBody,
  discardOneBody,
  listQuery,
  messageView,
  read,
  redriveBody,
  redriveOneBody,
  toFilter,
} from './shapes.ts';

export interface MessagesOptions {
  readonly records: Records;
  /** The routing table in force. */
  readonly table: () => Routing['table'];
  /** Messages wait again. */
  readonly wake: () => void;
  readonly clock: Clock;
  readonly log: Log;
  /** Aborts when we must go: long work ends then, and may be asked for again. */
  readonly stopping: AbortSignal;
}

const NDJSON = 'application/x-ndjson';

/** Messages, and what a person decides about those that wait for one. */
export function messages({ records, table, wake, clock, log, stopping }: MessagesOptions): Router {
  const router = Router();

  router.get('/messages', async (request, response) => {
    const { limit, after, ...filter } = read(listQuery, query(request));
    const { items, next } = await records.list(toFilter(filter), { limit, after });
    response.json({ items: items.map(messageView), next: next === undefined ? null : String(next) });
  });

  router.get('/messages/:id', async (request, response) => {
    response.json(await found(request.params.id));
  });

  router.post('/messages/:id/redrive', async (request, response) => {
    const { reroute } = read(redriveOneBody, request.body);
    await decide(request, response, { kind: 'redrive', routing: { table: table(), reroute } });
    wake();
  });

  router.post('/messages/:id/confirm', async (request, response) => {
    await decide(request, response, { kind: 'confirm' });
    wake();
  });

  router.post('/messages/:id/discard', async (request, response) => {
    const { reason } = read(discardOneBody, request.body);
    await decide(request, response, { kind: 'discard', reason });
    wake();
  });

  router.post('/redrive', async (request, response) => {
    const { filter, rate, reroute, preview: isPreview } = read(redriveBody, request.body);
    const signal = AbortSignal.any([closing(response), stopping]);
    if (isPreview) {
      const { samples, ...counts } = await preview(records, filter, signal);
      return void response.json({ ...counts, samples: samples.map(messageView) });
    }
    const routing: Routing = { table: table(), reroute };
    const work = redriveAll(records, filter, { routing, rate, clock, signal });
    const done = await report(request, response, work, { redriven: 0, conversations: 0, unplaced: 0 }, wake);
    log.info('redriven by an operator', { ...done, filter, reroute, request_id: response.locals.requestId });
  });

  router.post('/discard', async (request, response) => {
    const { filter, reason } = read(discardBody, request.body);
    const signal = AbortSignal.any([closing(response), stopping]);
    const work = discardAll(records, filter, reason, signal);
    const done = await report(request, response, work, { discarded: 0 }, wake);
    log.info('discarded by an operator', { ...done, filter, reason, request_id: response.locals.requestId });
  });

  async function found(id: string) {
    const details = await records.get(id);
    if (details === undefined) throw new NotFound(`There is no message ${id}.`);
    return detailsView(details);
  }

  async function decide(request: Request<{ id: string }>, response: Response, decision: Decision): Promise<void> {
    const { id } = request.params;
    const result = await records.decide(id, decision);
    const details = await found(id);
    const { state, reason, detail } = details;
    const { kind } = decision;
    switch (result) {
      case 'leased':
        throw new Conflict(`Message ${id} is being delivered right now.`);
      case 'impossible':
        throw new Conflict(`Message ${id} is ${state}; there is nothing to ${kind}.`);
      case 'unplaced':
        throw new Conflict(`Message ${id} stays dead: ${reason}: ${detail}.`);
      default: {
        const fields = { id, decision: kind, result, request_id: response.locals.requestId };
        log.info('decided by an operator', kind === 'discard' ? { ...fields, reason: decision.reason } : fields);
        response.json(details);
      }
    }
  }

  return router;
}

/**
 * Answers with what the work came to; who asks for lines is told of each step, so that they see it go on. Who hangs up
 * ends it, and may ask again: what is done is not done twice.
 */
async function report<T extends object>(
  request: Request,
  response: Response,
  work: AsyncIterable<T>,
  none: T,
  onStep: () => void,
): Promise<T> {
  const isStream = request.accepts(['json', NDJSON]) === NDJSON;
  if (isStream) response.type(NDJSON);
  let last = none;
  for await (const progress of work) {
    last = progress;
    onStep();
    if (isStream) response.write(`${JSON.stringify(progress)}\n`);
  }
  if (isStream) response.end(`${JSON.stringify({ ...last, done: true })}\n`);
  else response.json(last);
  return last;
}

/** Aborts when the caller has hung up. */
function closing(response: Response): AbortSignal {
  const closed = new AbortController();
  response.once('close', () => closed.abort());
  return closed.signal;
}

function query(request: Request): Record<string, string> {
  const start = request.url.indexOf('?');
  return Object.fromEntries(new URLSearchParams(start < 0 ? '' : request.url.slice(start)));
}
