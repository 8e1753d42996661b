import { type Request, type Response, Router } from 'express';
import type { Clock } from '../clock.ts';
import { Conflict, NotFound, Unavailable } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Decision, MessageFilter, Records, Routing } from '../outbox/records.ts';
import { discardAll, preview, redriveAll } from './redrive.ts';
import {
  detailsView,
  discardBody,
  discardOneBody,
  emptyBody,
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
    read(emptyBody, request.body);
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
    if (filter.state === 'waiting') movable(filter.account, reroute);
    const signal = AbortSignal.any([closing(response), stopping]);
    if (isPreview) {
      const { samples, ...counts } = await preview(records, filter, signal);
      refuseHalves(response);
      return void response.json({ ...counts, samples: samples.map(messageView) });
    }
    const routing: Routing = { table: table(), reroute };
    const work = redriveAll(records, filter, { routing, rate, clock, signal });
    const done = await report(
      request,
      response,
      work,
      { redriven: 0, conversations: 0, unplaced: 0 },
      { signal, wake },
    );
    log.info('redriven by an operator', {
      ...done,
      filter: withoutSender(filter),
      reroute,
      request_id: response.locals.requestId,
    });
    refuseHalves(response);
  });

  router.post('/discard', async (request, response) => {
    const { filter, reason } = read(discardBody, request.body);
    const signal = AbortSignal.any([closing(response), stopping]);
    const work = discardAll(records, filter, reason, signal);
    const done = await report(request, response, work, { discarded: 0 }, { signal, wake });
    log.info('discarded by an operator', {
      ...done,
      filter: withoutSender(filter),
      reason,
      request_id: response.locals.requestId,
    });
    refuseHalves(response);
  });

  /** Work that our end has broken off must not look done. */
  function refuseHalves(response: Response): void {
    if (!stopping.aborted || response.headersSent) return;
    throw new Unavailable('The bridge is stopping; ask again, what is done is not done twice.');
  }

  /** What waits for an account that is there is on its way: only what waits for none can be sent elsewhere. */
  function movable(account: string | undefined, reroute: boolean): void {
    if (account !== undefined && reroute && !table().accounts.has(account)) return;
    throw new Conflict('Of what waits, only messages of an account that the routing file lacks go back, with reroute.');
  }

  async function found(id: string) {
    const details = await records.get(id);
    if (details === undefined) throw new NotFound(`There is no message ${id}.`);
    return detailsView(details);
  }

  async function decide(request: Request<{ id: string }>, response: Response, decision: Decision): Promise<void> {
    const { id } = request.params;
    const result = await records.decide(id, decision);
    const details = await found(id);
    const { state } = details;
    const { kind } = decision;
    switch (result) {
      case 'leased':
        throw new Conflict(`Message ${id} is being delivered right now.`);
      case 'impossible':
        throw new Conflict(`Message ${id} is ${state}; there is nothing to ${kind}.`);
      case 'unplaced':
        throw new Conflict(`Message ${id} stays ${state}: ${unplacedBecause(details, table())}.`);
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
 * Answers with what the work came to; who asks for lines is told of each step, so that they see it go on, and by the last
 * one that it is done. Who hangs up ends it, and may ask again: what is done is not done twice.
 */
async function report<T extends object>(
  request: Request,
  response: Response,
  work: AsyncIterable<T>,
  none: T,
  { signal, wake }: { readonly signal: AbortSignal } & Pick<MessagesOptions, 'wake'>,
): Promise<T> {
  const isStream = request.accepts(['json', NDJSON]) === NDJSON;
  if (isStream) response.type(NDJSON);
  let last = none;
  for await (const progress of work) {
    last = progress;
    wake();
    if (isStream) response.write(`${JSON.stringify(progress)}\n`);
  }
  if (isStream) response.end(signal.aborted ? '' : `${JSON.stringify({ ...last, done: true })}\n`);
  else if (!signal.aborted) response.json(last);
  return last;
}

/** Aborts when the caller has hung up. */
function closing(response: Response): AbortSignal {
  const closed = new AbortController();
  response.once('close', () => closed.abort());
  return closed.signal;
}

/** In words that say what to do. */
function unplacedBecause({ account, reason }: ReturnType<typeof detailsView>, table: Routing['table']): string {
  if (account !== null && !table.accounts.has(account)) {
    return `its account ${account} is not in the routing file; send it elsewhere with reroute, or put the account back`;
  }
  return `no route fits it${reason === null ? '' : ` (${reason})`}; mend the routing file`;
}

/** Whom a log is not to name. */
function withoutSender({ sender, ...filter }: MessageFilter): object {
  return sender === undefined ? filter : { ...filter, sender: '[redacted]' };
}

/** A name given twice comes as a list, which no filter takes: the last of the two alone would be answered as if it were both. */
function query(request: Request): Record<string, string | readonly string[]> {
  const start = request.url.indexOf('?');
  const given = new URLSearchParams(start < 0 ? '' : request.url.slice(start));
  return Object.fromEntries(
    [...given].map(([name, value]) => [name, given.getAll(name).length > 1 ? given.getAll(name) : value]),
  );
}
