import type { Request, Response } from 'express';
import { ipKeyGenerator, rateLimit } from 'express-rate-limit';
import { TooManyRequests } from '../errors.ts';

const WINDOW_MS = 60_000;

/** Counts one request more. @param limit of them in a minute @throws {TooManyRequests} */
export type LimitRate = (request: Request, response: Response, limit: number) => Promise<void>;

/** Per channel and address; an IPv6 network counts as one address, since one machine has it whole. */
export function rateLimiter(): LimitRate {
  const limiter = rateLimit({
    windowMs: WINDOW_MS,
    limit: (_request, response) => Number(response.locals.rateLimit),
    keyGenerator: (request) => `${request.params.channel} ${ipKeyGenerator(request.ip ?? '')}`,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    // It would print advice to the console; the proxy is ours to set (TRUST_PROXY).
    validate: false,
    handler: (_request, response, next) => {
      const limit = response.locals.rateLimit;
      next(new TooManyRequests(`More than ${limit} messages in a minute from one address; try again later.`));
    },
  });
  return (request, response, limit) => {
    response.locals.rateLimit = limit;
    return new Promise((resolve, reject) => {
      void limiter(request, response, (error?: unknown) => (error === undefined ? resolve() : reject(error)));
    });
  };
}
