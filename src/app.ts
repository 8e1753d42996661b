import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import helmet from 'helmet';
import { MethodNotAllowed, NotFound, Refusal, toProblem, Unavailable } from './errors.ts';
import { propertyOf } from './fault.ts';
import type { Log } from './log.ts';
import { type ReceiveOptions, receive } from './webhook/receive.ts';

export interface AppOptions extends ReceiveOptions {
  readonly trustProxy: string | number | false;
  readonly newRequestId: () => string;
  /** Whether a webhook could be stored right now. */
  readonly isReady: () => Promise<boolean>;
}

/** The public Express app, built from its parts. It never listens. */
export function createApp(options: AppOptions): Express {
  const app = express();
  app.set('trust proxy', options.trustProxy);
  app.set('query parser', false);
  app.set('etag', false);
  app.use(identify(options.newRequestId));
  app.use(helmet());
  app.all('/webhooks/:channel', receive(options));
  app.all(
    '/livez',
    status(async () => true),
  );
  app.all('/readyz', status(options.isReady));
  app.use((request) => {
    throw new NotFound(`There is nothing at ${request.path}; webhooks go to /webhooks/<channel>.`);
  });
  app.use(refuse(options.log));
  return app;
}

/** What an id may be made of, so that it can be put into a header and a log line. */
const REQUEST_ID = /^[\x21-\x7e]{1,200}$/;
/** https://www.w3.org/TR/trace-context/#traceparent-header */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/;

/** Keeps the caller's X-Request-Id, else the trace id of its traceparent, else gives a new one; always sends it back. */
function identify(newRequestId: () => string): RequestHandler {
  return (request, response, next) => {
    const given = request.get('x-request-id');
    const trace = TRACEPARENT.exec(request.get('traceparent') ?? '')?.[1];
    const id = given !== undefined && REQUEST_ID.test(given) ? given : (trace ?? newRequestId());
    response.locals.requestId = id;
    response.set('X-Request-Id', id);
    next();
  };
}

/** Says yes or no, and nothing else to strangers. */
function status(isUp: () => Promise<boolean>): RequestHandler {
  return async (request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD')
      throw new MethodNotAllowed(request.method, ['GET', 'HEAD']);
    const up = await isUp();
    response.set('Cache-Control', 'no-store').status(up ? 200 : 503);
    if (!up) response.set('Retry-After', '5');
    response.json({ status: up ? 'ok' : 'unavailable' });
  };
}

/** The one place where errors become answers: a refusal tells the caller, anything else is whole in the log only. */
function refuse(log: Log): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    const refusal = error instanceof Refusal ? error : toRefusal(error);
    const fields = {
      status: refusal.status,
      method: request.method,
      path: request.path,
      request_id: response.locals.requestId,
      detail: refusal.message,
    };
    if (refusal.status >= 500)
      log.error('refused', { ...fields, error: error instanceof Refusal ? error.cause : error });
    else log.warn('refused', fields);
    if (response.headersSent) return next(error);
    response.status(refusal.status).set(refusal.headers).type('application/problem+json');
    response.send(JSON.stringify(toProblem(refusal)));
  };
}

/** Express's own refusals carry a status (a path that cannot be decoded: 400). All else is our trouble. */
function toRefusal(error: unknown): Refusal {
  if (propertyOf(error, 'status') === 400) return new NotFound('The path cannot be decoded.');
  return new Unavailable('Something went wrong here; send it again later.');
}
