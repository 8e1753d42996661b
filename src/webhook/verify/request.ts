import type { KeyObject } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { MIMEType } from 'node:util';
import type { Refusal, Unavailable } from '../../errors.ts';

/** A request as it came: nothing decoded, nothing trusted. */
export interface RawRequest {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  /** Undefined where there is no body to have one: GET. */
  readonly type: MIMEType | undefined;
  /** As its sender knows it, with path and query exactly as they came. */
  readonly url: string;
  readonly query: URLSearchParams;
  readonly body: Buffer;
}

declare const verified: unique symbol;

/** A request that passed its channel's `verify`. Only `verify` makes one, and only one of these can be parsed. */
export type VerifiedRequest = RawRequest & { readonly [verified]: true };

/** What a check needs beside the request. */
export interface Surroundings {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** The public key of the certificate at a URL that has been found to be Amazon's; or why it cannot be had now. */
  readonly certificateKey: (url: string) => Promise<KeyObject | Unavailable>;
}

/** What is wrong with a request, or undefined. It says what is missing or does not fit, never what would have been right. */
export type Check = (
  request: RawRequest,
  surroundings: Surroundings,
) => Refusal | undefined | Promise<Refusal | undefined>;

/** A way of signing, waiting for the secrets of a channel: several while they are rotated, any of them will do. */
export type Scheme = (secrets: readonly string[]) => Check;

export function headerOf({ headers }: Pick<RawRequest, 'headers'>, name: string): string | undefined {
  const value = headers[name.toLowerCase()];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** For refusals of what signs its URL: which one was taken for it, without the query, which may hold secrets. */
export function assumedUrl({ url }: Pick<RawRequest, 'url'>): string {
  return `It is made over the URL, which is taken to be ${url.replace(/\?.*$/s, '?…')}: if another one is called, set PUBLIC_URL.`;
}
