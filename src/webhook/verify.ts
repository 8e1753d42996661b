import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { MIMEType } from 'node:util';
import { NotVerified } from '../errors.ts';
import type { Verify } from '../routing/schema.ts';

/** A request as it came: nothing decoded, nothing trusted. */
export interface RawRequest {
  readonly headers: IncomingHttpHeaders;
  readonly type: MIMEType;
  readonly query: URLSearchParams;
  readonly body: Buffer;
}

declare const verified: unique symbol;

/** A request that passed its channel's `verify`. Only `verify` below makes one, and only one of these can be parsed. */
export type VerifiedRequest = RawRequest & { readonly [verified]: true };

type Schemes = Exclude<Verify, 'none'>;
type Hmac = NonNullable<Schemes['hmac']>;

/**
 * Checks a request by its channel's scheme, over the raw bytes, in constant time.
 *
 * @param report called instead of refusing where the channel's mode is `report`
 * @throws {NotVerified} saying what is missing or wrong, never what would have been right
 */
export function verify(
  config: Verify,
  request: RawRequest,
  now: number,
  report: (why: string) => void,
): VerifiedRequest {
  if (config !== 'none') {
    const fault = faultOf(config, request, now);
    if (fault !== undefined && config.mode === 'enforce') {
      throw new NotVerified(fault, config.basic ? { headers: { 'WWW-Authenticate': 'Basic realm="webhooks"' } } : {});
    }
    if (fault !== undefined) report(fault);
  }
  return request as VerifiedRequest;
}

function faultOf(config: Schemes, request: RawRequest, now: number): string | undefined {
  if (config.header) return headerFault(config.header, request);
  if (config.query) return queryFault(config.query, request);
  if (config.basic) return basicFault(config.basic, request);
  if (config.hmac) return hmacFault(config.hmac, request, now);
  throw new Error('verify has no scheme');
}

function headerFault({ name, secret }: NonNullable<Schemes['header']>, request: RawRequest): string | undefined {
  const given = headerOf(request, name);
  if (given === undefined) return `The header ${name} is missing.`;
  return matchesAny(secret, given) ? undefined : `The header ${name} does not hold the secret of this channel.`;
}

function queryFault({ name, secret }: NonNullable<Schemes['query']>, request: RawRequest): string | undefined {
  const [given, ...more] = request.query.getAll(name);
  if (given === undefined) return `The query parameter ${name} is missing.`;
  if (more.length === 0 && matchesAny(secret, given)) return undefined;
  return `The query parameter ${name} does not hold the secret of this channel.`;
}

/** RFC 7617. */
function basicFault({ username, password }: NonNullable<Schemes['basic']>, request: RawRequest): string | undefined {
  const given = /^Basic +([A-Za-z0-9+/=_-]+)$/i.exec(headerOf(request, 'authorization') ?? '')?.[1];
  if (given === undefined) return 'The header Authorization: Basic is missing.';
  const credentials = Buffer.from(given, 'base64').toString('utf8');
  const accepted = password.map((secret) => `${username}:${secret}`);
  return matchesAny(accepted, credentials) ? undefined : 'The user name or password is not that of this channel.';
}

function hmacFault(hmac: Hmac, request: RawRequest, now: number): string | undefined {
  const given = headerOf(request, hmac.header);
  if (given === undefined) return `The signature header ${hmac.header} is missing.`;
  const timestamp = hmac.timestamp_header === undefined ? '' : headerOf(request, hmac.timestamp_header);
  if (timestamp === undefined) return `The header ${hmac.timestamp_header} is missing.`;
  const accepted = hmac.secret.map((secret) => hmac.prefix + signature(hmac, secret, timestamp, request.body));
  // Hex is written in both cases, and only the digits are the signature.
  const comparable = hmac.encoding === 'hex' ? hmac.prefix + given.slice(hmac.prefix.length).toLowerCase() : given;
  if (!given.startsWith(hmac.prefix) || !matchesAny(accepted, comparable)) {
    return `The signature in ${hmac.header} does not fit the body as it arrived.`;
  }
  if (hmac.timestamp_header === undefined) return undefined;
  const ageSeconds = Math.abs(now - secondsOrMilliseconds(timestamp)) / 1_000;
  return ageSeconds <= hmac.tolerance_seconds
    ? undefined
    : `The time in ${hmac.timestamp_header} is more than ${hmac.tolerance_seconds} s away from ours.`;
}

function signature(hmac: Hmac, secret: string, timestamp: string, body: Buffer): string {
  const mac = createHmac(hmac.algorithm, secret);
  for (const part of hmac.signed) mac.update(part === '{body}' ? body : part === '{timestamp}' ? timestamp : part);
  return mac.digest(hmac.encoding);
}

/** Unix time; milliseconds when it is too large to be seconds of this millennium. NaN, which no tolerance admits, if neither. */
function secondsOrMilliseconds(text: string): number {
  if (!/^\d{1,15}$/.test(text)) return Number.NaN;
  const value = Number(text);
  return value > 99_999_999_999 ? value : value * 1_000;
}

function headerOf(request: RawRequest, name: string): string | undefined {
  const value = request.headers[name.toLowerCase()];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** Digests first, so that neither content nor length of the secret can be read off the clock; no early exit. */
function matchesAny(accepted: readonly string[], given: string): boolean {
  const digest = sha256(given);
  return accepted.reduce((found, candidate) => timingSafeEqual(sha256(candidate), digest) || found, false);
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
