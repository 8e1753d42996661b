import { createHmac } from 'node:crypto';
import { parse, stringify } from 'node:querystring';
import { NotVerified } from '../../errors.ts';
import { formParams } from '../payload.ts';
import { hash, matchesAny } from './compare.ts';
import { basicCredentials } from './fixed.ts';
import { assumedUrl, headerOf, type RawRequest, type Scheme } from './request.ts';

/** Schemes over the URL and the parameters of a form, in the order of their names rather than as they came. */

const FORM = 'application/x-www-form-urlencoded';

/** Nobody is verified yet, and must not make us sort a megabyte. */
const MAX_PARAMS = 1_000;

type Params = readonly (readonly [name: string, value: string])[];

/** Compared as JavaScript's own sort does, which is how the providers' libraries do it. */
const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** Sorted by name, and the values of one name among themselves. */
function sorted(params: Iterable<readonly [string, string]>): Params {
  return [...params].sort(([a, x], [b, y]) => byText(a, b) || byText(x, y));
}

function formOf({ type, body }: RawRequest): Params {
  return type?.essence === FORM ? sorted(formParams(body.toString('utf8'))) : [];
}

/**
 * Twilio: HMAC-SHA1 over the URL and each parameter of the body; of a GET over the URL alone. A JSON body is not among the
 * parameters, so its digest must stand in the URL. https://www.twilio.com/docs/usage/security#validating-requests
 */
export const twilio: Scheme = (secrets) => (request) => {
  const given = headerOf(request, 'X-Twilio-Signature');
  if (given === undefined) return new NotVerified('The signature header X-Twilio-Signature is missing.');
  const isForm = request.type?.essence === FORM;
  if (request.body.length > 0 && !isForm) {
    const digest = request.query.get('bodySHA256');
    if (digest === null)
      return new NotVerified('The query parameter bodySHA256 is missing, so the body is not signed.');
    if (!matchesAny([hash('sha256', request.body).toString('hex')], digest.toLowerCase())) {
      return new NotVerified('The digest bodySHA256 in the URL does not fit the body as it arrived.');
    }
  }
  const params = formOf(request)
    // A value that comes twice under one name is signed once.
    .filter(([name, value], index, all) => all[index - 1]?.[0] !== name || all[index - 1]?.[1] !== value)
    .flat()
    .join('');
  const urls = twilioUrls(request);
  const accepted = secrets.flatMap((secret) =>
    urls.map((url) =>
      createHmac('sha1', secret)
        .update(url + params)
        .digest('base64'),
    ),
  );
  if (matchesAny(accepted, given)) return undefined;
  const advice = 'It is made with the primary auth token.';
  return new NotVerified(`The signature in X-Twilio-Signature does not fit. ${assumedUrl(request)} ${advice}`);
};

/**
 * The URL in all ways in which Twilio is known to sign it: with and without the port that its scheme implies, as it
 * arrived, as `new URL` writes it, and with a quote in the query as `%27`.
 */
function twilioUrls(request: RawRequest): readonly string[] {
  const written = [request.url, ...withCredentials(request)];
  const normal = written.map((url) => URL.parse(url)?.href ?? url);
  const escaped = normal.map((url) => url.replace(/\?(.+)$/s, (_, query: string) => `?${stringify(parse(query))}`));
  const urls = [...written, ...normal, ...escaped];
  return [...new Set(urls.flatMap((url) => [withoutPort(url), withPort(url), url]))];
}

/** A user name and password in the URL reach us as a header, and are part of what is signed. */
function withCredentials(request: RawRequest): readonly string[] {
  const credentials = basicCredentials(request);
  return credentials === undefined ? [] : [request.url.replace('://', () => `://${credentials}@`)];
}

const AUTHORITY = /^(https?:\/\/(?:[^/?#@]*@)?(?:\[[^\]]*\]|[^:/?#]*))(:\d+)?/i;

function withoutPort(url: string): string {
  return url.replace(AUTHORITY, '$1');
}

function withPort(url: string): string {
  return url.replace(
    AUTHORITY,
    (_, host: string, port?: string) => host + (port ?? (/^https/i.test(url) ? ':443' : ':80')),
  );
}

/**
 * Plivo, "V3": HMAC-SHA256 over the URL, its sorted query, the sorted parameters of the body, and a nonce. Where a header
 * of the family is there it must fit; there is no way back to V2.
 * https://www.plivo.com/docs/messaging/concepts/signature-validation
 */
export const plivoV3: Scheme = (secrets) => (request) => {
  const nonce = headerOf(request, 'X-Plivo-Signature-V3-Nonce');
  if (nonce === undefined) return new NotVerified('The header X-Plivo-Signature-V3-Nonce is missing.');
  const [path = ''] = request.url.split('?', 1);
  const query = sorted(new URLSearchParams(request.url.slice(path.length)))
    .map((pair) => pair.join('='))
    .join('&');
  const params = formOf(request).flat().join('');
  const signed = [path, query || params ? '?' : '', query, query && params ? '.' : '', params, '.', nonce].join('');
  const accepted = secrets.map((secret) => createHmac('sha256', secret).update(signed).digest('base64'));
  const given = ['X-Plivo-Signature-V3', 'X-Plivo-Signature-Ma-V3']
    .flatMap((name) => headerOf(request, name)?.split(',') ?? [])
    .map((text) => text.trim());
  if (matchesAny(accepted, given)) return undefined;
  return new NotVerified(`The signature in X-Plivo-Signature-V3 does not fit. ${assumedUrl(request)}`);
};

/**
 * Vonage's SMS API, in each of the ways between which an account chooses; which it is shows in the length.
 * https://developer.vonage.com/en/getting-started/concepts/signing-messages
 *
 * @param params those of the request, with `sig` among them
 */
export function vonageSms(
  params: Iterable<readonly [string, string]>,
  secrets: readonly string[],
): NotVerified | undefined {
  const unsorted = [...params];
  if (unsorted.length > MAX_PARAMS) return new NotVerified(`There are more than ${MAX_PARAMS} parameters.`);
  const all = sorted(unsorted);
  const given = all.filter(([name]) => name === 'sig').map(([, value]) => value.toLowerCase());
  const signed = all
    .filter(([name]) => name !== 'sig')
    .map(([name, value]) => `&${name}=${value.replace(/[&=]/g, '_')}`)
    .join('');
  const accepted = secrets.flatMap((secret) => [
    hash('md5', signed + secret).toString('hex'),
    ...['md5', 'sha1', 'sha256', 'sha512'].map((name) => createHmac(name, secret).update(signed).digest('hex')),
  ]);
  if (given.length === 1 && matchesAny(accepted, given)) return undefined;
  return new NotVerified('The signature in sig does not fit the parameters.');
}
