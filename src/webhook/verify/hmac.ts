import { createHmac } from 'node:crypto';
import { NotVerified } from '../../errors.ts';
import { hash, isWithin, matchesAny, TOLERANCE_SECONDS } from './compare.ts';
import { assumedUrl, headerOf, type RawRequest, type Scheme } from './request.ts';

/** More than any rotation needs; each costs us a little. */
const MAX_SIGNATURES = 20;

export type Algorithm = 'sha1' | 'sha256' | 'sha384' | 'sha512';

/** Signatures as a header carries them, with the time where it stands among them. */
export interface Signatures {
  readonly signatures: readonly string[];
  readonly timestamp?: string | undefined;
}

export interface HmacTemplate {
  /** Holds the signature. */
  readonly header: string;
  /** Takes the header apart; as it stands it is one signature. */
  readonly read?: (header: string) => Signatures;
  readonly algorithm?: Algorithm;
  readonly encoding?: 'hex' | 'base64';
  /** Stands before each signature. */
  readonly prefix?: string;
  /**
   * What is signed, piece by piece: `{body}` (its raw bytes), `{body digest}` (the 32 bytes of its SHA-256), `{timestamp}`,
   * `{method}`, `{url}`, `{url without query}`, the value of any other header as `{its-name}`, and text as it stands.
   */
  readonly signed: readonly string[];
  /** Holds the time where the signature's own header does not. */
  readonly timestampHeader?: string | undefined;
  /** How far a signed time may be from ours, in seconds, either way. */
  readonly toleranceSeconds?: number;
  /** Makes the key of the secret; as it stands its bytes are the key. */
  readonly key?: (secret: string) => string | Buffer;
}

/** RFC 2104, over whatever the sender chose to sign: most providers differ in this template alone. */
export function hmac(template: HmacTemplate): Scheme {
  const { header, read = asOne, prefix = '', encoding = 'hex', algorithm = 'sha256', key = String } = template;
  const isTimed = template.signed.includes('{timestamp}');
  const isOfUrl = template.signed.some((part) => part.startsWith('{url'));
  const isOfBody = template.signed.some((part) => part.startsWith('{body')) && !template.signed.includes('{url}');
  const tolerance = template.toleranceSeconds ?? TOLERANCE_SECONDS;

  return (secrets) =>
    (request, { now }) => {
      // The signature of nothing is always the same, and what a GET says is in its query.
      if (isOfBody && request.method !== 'POST') return new NotVerified('A GET has no body that could be signed.');
      const given = headerOf(request, header);
      if (given === undefined) return new NotVerified(`The signature header ${header} is missing.`);
      const { signatures, timestamp: beside } = read(given);
      const timestamp = template.timestampHeader ? headerOf(request, template.timestampHeader) : beside;
      const source = template.timestampHeader ?? header;
      if (isTimed && timestamp === undefined) {
        return new NotVerified(
          template.timestampHeader ? `The header ${source} is missing.` : `The header ${source} holds no time.`,
        );
      }
      const accepted = secrets.map((secret) => {
        const mac = createHmac(algorithm, key(secret));
        for (const part of template.signed) mac.update(pieceOf(part, request, timestamp ?? ''));
        return mac.digest(encoding);
      });
      const bare = signatures
        .slice(0, MAX_SIGNATURES)
        .filter((text) => text.startsWith(prefix))
        .map((text) => text.slice(prefix.length));
      // Hex is written in both cases.
      const comparable = encoding === 'hex' ? bare.map((text) => text.toLowerCase()) : bare;
      if (!matchesAny(accepted, comparable)) {
        const advice = isOfUrl ? ` ${assumedUrl(request)}` : '';
        return new NotVerified(`The signature in ${header} does not fit the request as it arrived.${advice}`);
      }
      if (!isTimed || isWithin(tolerance, timestamp ?? '', now)) return undefined;
      return new NotVerified(`The time in ${source} is more than ${tolerance} s away from ours.`);
    };
}

function pieceOf(part: string, request: RawRequest, timestamp: string): string | Buffer {
  if (!/^\{.+\}$/.test(part)) return part;
  switch (part) {
    case '{body}':
      return request.body;
    case '{body digest}':
      return hash('sha256', request.body);
    case '{timestamp}':
      return timestamp;
    case '{method}':
      return request.method;
    case '{url}':
      return request.url;
    case '{url without query}':
      return request.url.replace(/\?.*$/s, '');
    default:
      return headerOf(request, part.slice(1, -1)) ?? '';
  }
}

function asOne(header: string): Signatures {
  return { signatures: [header] };
}

/** `a, b`: any of them will do. */
export function commaList(header: string): Signatures {
  return { signatures: header.split(',').map((text) => text.trim()) };
}

/** `t=1795350600,v1=…,v1=…`: the time under `t`, signatures under `name`. */
export function pairs(name: string): (header: string) => Signatures {
  return (header) => {
    const entries = header.split(',').map((pair) => pair.trim().split(/=(.*)/s, 2));
    const under = (wanted: string) => entries.flatMap(([key, value = '']) => (key === wanted ? [value] : []));
    return { signatures: under(name), timestamp: under('t')[0] };
  };
}

/** As Stripe signs, and those who took it for a model. https://docs.stripe.com/webhooks#verify-manually */
export function stripe(header: string, name = 'v1'): Scheme {
  return hmac({ header, read: pairs(name), signed: ['{timestamp}', '.', '{body}'] });
}

/** https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries; Meta signs in the same way. */
export const github = hmac({ header: 'X-Hub-Signature-256', prefix: 'sha256=', signed: ['{body}'] });

/**
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, also under the names of Svix,
 * where it comes from. Signatures that are not `v1` (asymmetric ones) are passed over.
 */
export const standardWebhooks: Scheme = (secrets) => {
  const named = (family: string) =>
    hmac({
      header: `${family}-signature`,
      read: (header) => ({ signatures: header.split(' ') }),
      prefix: 'v1,',
      encoding: 'base64',
      signed: [`{${family}-id}`, '.', '{timestamp}', '.', '{body}'],
      timestampHeader: `${family}-timestamp`,
      key: (secret) => Buffer.from(secret.replace(/^whsec_/, ''), 'base64'),
    })(secrets);
  const checks = { webhook: named('webhook'), svix: named('svix') };
  return (request, surroundings) => checks[familyOf(request)](request, surroundings);
};

/** Under which names a Standard Webhook carries its id, time and signature; of others nothing is signed. */
export function familyOf(request: Pick<RawRequest, 'headers'>): 'webhook' | 'svix' {
  const isSvix = headerOf(request, 'webhook-signature') === undefined && headerOf(request, 'svix-signature');
  return isSvix ? 'svix' : 'webhook';
}
