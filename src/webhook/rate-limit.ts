import type { Request, Response } from 'express';
import { ipKeyGenerator, rateLimit } from 'express-rate-limit';
import { TooManyRequests } from '../errors.ts';

const WINDOW_MS = 60_000;

/**
 * Per channel and address; an IPv6 network counts as one address, since one machine has it whole.
 *
 * @param limitOf requests a minute and address; undefined: as many as come
 */
export function rateLimiter(
  limitOf: (request: Request) => number | undefined,
): (request: Request, response: Response) => Promise<void> {
  const limiter = rateLimit({
    windowMs: WINDOW_MS,
    limit: (request) => limitOf(request) ?? 0,
    skip: (request) => limitOf(request) === undefined,
    keyGenerator: (request) => `${request.params.channel} ${ipKeyGenerator(request.ip ?? '')}`,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    // It would print advice to the console; the proxy is ours to set (TRUST_PROXY).
    validate: false,
    handler: (request, _response, next) => {
      next(
        new TooManyRequests(`More than ${limitOf(request)} messages in a minute from one address; try again later.`),
      );
    },
  });
  return (request, response) =>
    new Promise((resolve, reject) => {
      void limiter(request, response, (error?: unknown) => (error === undefined ? resolve() : reject(error)));
    });
}
