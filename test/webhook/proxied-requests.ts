import { type BinaryToTextEncoding, createHash, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Outgoing } from '../support/send.ts';
import type { Sample, Samples } from './fuzz-requests.ts';

// Knows nothing of Jest: with nginx it is no test.

type SampleRequest = Sample['request'] & { readonly name: string };

/** What comes of a request that was recorded, were it made now, to this URL. */
type Sign = (
  request: { readonly url: string; readonly body: string; readonly now: number },
  secret: string,
) => Readonly<Record<string, string>>;

const hmac = (
  algorithm: string,
  secret: string,
  encoding: BinaryToTextEncoding,
  ...parts: readonly (string | Buffer)[]
) => {
  const mac = createHmac(algorithm, secret);
  for (const part of parts) mac.update(part);
  return mac.digest(encoding);
};
const sha256 = (text: string) => createHash('sha256').update(text).digest();
const base64url = (claims: object) => Buffer.from(JSON.stringify(claims)).toString('base64url');
/** No name comes twice. */
const sorted = (pairs: URLSearchParams) => [...pairs].sort(([a], [b]) => (a < b ? -1 : 1));

const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };
const JSON_TYPE = { 'Content-Type': 'application/json' };

/** The sample of each that signs its URL, by what its documentation says. */
const SIGNS_URL: Readonly<Record<string, { readonly sample: string; readonly sign: Sign }>> = {
  twilio: {
    sample: 'sms-text',
    sign: ({ url, body }, secret) => {
      const params = sorted(new URLSearchParams(body)).flat().join('');
      return { ...FORM, 'X-Twilio-Signature': hmac('sha1', secret, 'base64', url, params) };
    },
  },
  plivo: {
    sample: 'sms-ma-v3-signature',
    sign: ({ url, body }, secret) => {
      const [path = '', search = ''] = url.split('?');
      const query = sorted(new URLSearchParams(search))
        .map((pair) => pair.join('='))
        .join('&');
      const params = sorted(new URLSearchParams(body)).flat().join('');
      const signature = hmac('sha256', secret, 'base64', `${path}?${query}${query && '.'}${params}.nonce`);
      return { ...FORM, 'X-Plivo-Signature-V3': signature, 'X-Plivo-Signature-V3-Nonce': 'nonce' };
    },
  },
  messagebird: {
    sample: 'classic-sms-form',
    sign: ({ url, body, now }, secret) => {
      const hashes = { url_hash: sha256(url).toString('hex'), payload_hash: sha256(body).toString('hex') };
      const claims = { iss: 'MessageBird', nbf: now, exp: now + 60, jti: 'x', ...hashes };
      const token = `${base64url({ alg: 'HS256', typ: 'JWT' })}.${base64url(claims)}`;
      return { ...FORM, 'MessageBird-Signature-JWT': `${token}.${hmac('sha256', secret, 'base64url', token)}` };
    },
  },
  bird: {
    sample: 'sms-inbound',
    sign: ({ url, body, now }, secret) => ({
      ...JSON_TYPE,
      'messagebird-signature': hmac('sha256', secret, 'base64', `${now}\n${url}\n`, sha256(body)),
      'messagebird-request-timestamp': `${now}`,
    }),
  },
  hubspot: {
    sample: 'workflow-webhook-contact',
    sign: ({ url, body, now }, secret) => ({
      ...JSON_TYPE,
      'X-HubSpot-Signature-v3': hmac('sha256', secret, 'base64', `POST${url}${body}${now}000`),
      'X-HubSpot-Request-Timestamp': `${now}000`,
    }),
  },
};

function samplesOf(provider: string): Samples {
  return JSON.parse(readFileSync(join(import.meta.dirname, `../fixtures/providers/${provider}.json`), 'utf8'));
}

function requestOf({ samples }: Samples, name: string): Sample['request'] {
  const found = samples.find((sample) => (sample as Sample & SampleRequest).name === name);
  if (found === undefined) throw new Error(`there is no sample ${name}`);
  return found.request;
}

/** All channels that are needed, by name. */
export const channels: Readonly<Record<string, object>> = Object.fromEntries(
  [...Object.keys(SIGNS_URL), 'vonage'].map((provider) => [provider, samplesOf(provider).channel]),
);

export interface Signed extends Outgoing {
  readonly provider: string;
}

/** With signs in the query that some proxies write anew. */
const QUERY = "?b=2%2f&a='(x)%20y";

/** One of each provider, signed at this time for a bridge that is called at this URL. */
export function signedFor(base: string, nowMs: number): readonly Signed[] {
  return Object.entries(SIGNS_URL).map(([provider, { sample, sign }]) => {
    const file = samplesOf(provider);
    const { secret } = file.channel.verify as { readonly secret: string };
    const path = `/webhooks/${provider}${QUERY}`;
    const body = requestOf(file, sample).body ?? '';
    const headers = sign({ url: base + path, body, now: Math.floor(nowMs / 1_000) }, secret);
    return { provider, method: 'POST', path, headers, body: Buffer.from(body) };
  });
}

/** Signs its parameters, in the URL, and nothing else of it: good wherever it is sent, and for ever. */
export function signedInQuery(): Signed {
  const { method, path, headers } = requestOf(samplesOf('vonage'), 'legacy-sms-api-get');
  return { provider: 'vonage', method, path, headers, body: Buffer.alloc(0) };
}
