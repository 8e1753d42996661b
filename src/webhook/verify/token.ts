import { createHmac } from 'node:crypto';
import { NotVerified } from '../../errors.ts';
import { isObject, jsonIn } from '../payload.ts';
import { hash, matchesAny } from './compare.ts';
import { headerOf, type RawRequest, type Scheme } from './request.ts';

type Claims = { readonly [name: string]: unknown };

export interface TokenTemplate {
  readonly header: string;
  /** Stands before the token: `Bearer `. */
  readonly prefix?: string;
  /** What the token must say of the request, beside being signed: the fault, or undefined. `now` in milliseconds. */
  readonly judge: (claims: Claims, request: RawRequest, now: number) => string | undefined;
}

/** RFC 7519, signed by RFC 7515 with HS256 alone: what another token says of its own algorithm is not believed. */
export function token({ header, prefix = '', judge }: TokenTemplate): Scheme {
  return (secrets) =>
    (request, { now }) => {
      const given = headerOf(request, header);
      if (given === undefined) return new NotVerified(`The header ${header} is missing.`);
      const bare = given.toLowerCase().startsWith(prefix.toLowerCase()) ? given.slice(prefix.length).trim() : '';
      const [head = '', payload = '', signature = '', ...more] = bare.split('.');
      const accepted = secrets.map((secret) =>
        createHmac('sha256', secret).update(`${head}.${payload}`).digest('base64url'),
      );
      const isSigned = more.length === 0 && matchesAny(accepted, signature) && decode(head)?.alg === 'HS256';
      const claims = isSigned ? decode(payload) : undefined;
      if (claims === undefined)
        return new NotVerified(`The token in ${header} is not signed with a secret of this channel.`);
      const fault = judge(claims, request, now);
      return fault === undefined ? undefined : new NotVerified(`The token in ${header} ${fault}`);
    };
}

function decode(part: string): Claims | undefined {
  const value = jsonIn(Buffer.from(part, 'base64url').toString('utf8'));
  return isObject(value) ? value : undefined;
}

/** Whether a claim is the SHA-256 of this, in hex. */
export function isDigestOf(claim: unknown, content: string | Buffer): boolean {
  return typeof claim === 'string' && matchesAny([hash('sha256', content).toString('hex')], claim.toLowerCase());
}

/** Seconds since the epoch, as tokens have them; NaN, which is never in time, for anything else. */
export function seconds(claim: unknown): number {
  return typeof claim === 'number' ? claim : Number.NaN;
}
