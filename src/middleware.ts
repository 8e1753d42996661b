import type { ErrorRequestHandler, RequestHandler } from 'express';
import { Malformed, NotFound, Refusal, TooLarge, toProblem, Unavailable } from './errors.ts';
import { messageOf, propertyOf } from './fault.ts';
import type { Log } from './log.ts';

/** What the public listener and the operator's have in common. */

/** What an id may be made of, so that it can be put into a header and a log line. */
const REQUEST_ID = /^[\x21-\x7e]{1,200}$/;
/** https://www.w3.org/TR/trace-context/#traceparent-header */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/;

/** Keeps the caller's X-Request-Id, else the trace id of its traceparent, else gives a new one; always sends it back. */
export function identify(newRequestId: () => string): RequestHandler {
  return (request, response, next) => {
    const given = request.get('x-request-id');
    const trace = TRACEPARENT.exec(request.get('traceparent') ?? '')?.[1];
    const id = given !== undefined && REQUEST_ID.test(given) ? given : (trace ?? newRequestId());
    response.locals.requestId = id;
    response.set('X-Request-Id', id);
    next();
  };
}

/** The one place where errors become answers: a refusal tells the caller, anything else is whole in the log only. */
export function refuse(log: Log, count: (status: number) => void = () => {}): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    const refusal = error instanceof Refusal ? error : toRefusal(error);
    const fields = {
      status: refusal.status,
      method: request.method,
      path: request.path,
      request_id: response.locals.requestId,
      detail: refusal.message,
    };
    count(refusal.status);
    if (refusal.status >= 500)
      log.error('refused', { ...fields, error: error instanceof Refusal ? error.cause : error });
    else log.warn('refused', fields);
    if (response.headersSent) return next(error);
    response.status(refusal.status).set(refusal.headers).type('application/problem+json');
    response.send(JSON.stringify(toProblem(refusal)));
  };
}

/** Express's own refusals carry a type (of a body) or a status (a path that cannot be decoded: 400). All else is our trouble. */
function toRefusal(error: unknown): Refusal {
  switch (propertyOf(error, 'type')) {
    case 'entity.parse.failed':
    case 'encoding.unsupported':
    case 'charset.unsupported':
    case 'request.aborted':
      return new Malformed(`The body is not understood: ${messageOf(error)}.`);
    case 'entity.too.large':
      return new TooLarge('The body is too large.');
  }
  if (propertyOf(error, 'status') === 400) return new NotFound('The path cannot be decoded.');
  return new Unavailable('Something went wrong here; send it again later.');
}
