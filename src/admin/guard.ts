import { createHash, timingSafeEqual } from 'node:crypto';
import express, { type RequestHandler } from 'express';
import { HostNotAllowed, NotVerified, OriginNotAllowed, UnsupportedContent } from '../errors.ts';

/** A routing file with ten thousand routes. More would keep the process from all else for seconds. */
const BODY_LIMIT = '2mb';
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i;

/**
 * Who may operate: whoever has the token. Without one the listener is reached from this machine alone, and what is left
 * to keep out are web pages in a browser on it: they come under a name of their own (DNS rebinding) or with an Origin,
 * and without asking first they can send forms, but no JSON.
 */
export function guard(token: string | undefined): RequestHandler {
  return (request, _response, next) => {
    if (token !== undefined) {
      const [, given = ''] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
      if (!isSame(given, token)) {
        const headers = { 'WWW-Authenticate': 'Bearer' };
        throw new NotVerified('Send "Authorization: Bearer" with the ADMIN_TOKEN.', { headers });
      }
      return next();
    }
    const { host = '', origin } = request.headers;
    if (!LOOPBACK.test(host)) throw new HostNotAllowed(`"${host}" is not this machine; set ADMIN_TOKEN to allow it.`);
    if (origin !== undefined && !LOOPBACK.test(origin.replace(/^https?:\/\//, ''))) {
      throw new OriginNotAllowed(`Pages of ${origin} may not do this; set ADMIN_TOKEN to allow it.`);
    }
    if (request.method !== 'GET' && request.method !== 'HEAD' && !isJson(request.headers['content-type'])) {
      throw new UnsupportedContent('Send it as application/json, or set ADMIN_TOKEN.');
    }
    next();
  };
}

/** The body of a change: JSON, or nothing at all. */
export const readJson: RequestHandler[] = [
  (request, _response, next) => {
    const isEmpty = request.headers['transfer-encoding'] === undefined && !Number(request.headers['content-length']);
    if (!isEmpty && !isJson(request.headers['content-type']))
      throw new UnsupportedContent('Send it as application/json.');
    if (request.headers['content-encoding'] !== undefined) throw new UnsupportedContent('Send the body uncompressed.');
    next();
  },
  express.json({ limit: BODY_LIMIT, inflate: false }),
];

function isJson(type: string | undefined): boolean {
  return /^application\/json\s*(;|$)/i.test(type ?? '');
}

/** In constant time, whatever the lengths. */
function isSame(given: string, wanted: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}
