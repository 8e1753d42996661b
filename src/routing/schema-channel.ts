import { z } from 'zod';
import { isCountry } from '../sender.ts';
import { compiled, headerName, path, positive, secrets, text, WHEN_KEYS_ARE_FINE } from './schema-parts.ts';

const hmac = z
  .strictObject({
    secret: secrets,
    header: headerName,
    algorithm: z.enum(['sha1', 'sha256', 'sha384', 'sha512']).default('sha256'),
    encoding: z.enum(['hex', 'base64']).default('hex'),
    prefix: z.string().default(''),
    signed: compiled('bad_signed', signedText).prefault('{body}'),
    timestamp_header: headerName.optional(),
    tolerance_seconds: positive.default(300),
  })
  .superRefine((value, context) => {
    const timestamped = value.signed.includes('{timestamp}');
    if (timestamped === (value.timestamp_header !== undefined)) return;
    const message = timestamped
      ? 'uses {timestamp} but timestamp_header does not say where it comes from'
      : 'names a time that is not signed, so anyone can change it; put {timestamp} into signed';
    context.addIssue({ code: 'custom', path: [timestamped ? 'signed' : 'timestamp_header'], message });
  }, WHEN_KEYS_ARE_FINE);

/** `{timestamp}.{body}` → its parts, so that the raw bytes of the body are never made into text. */
function signedText(source: string): readonly string[] {
  const parts = source.split(/(\{[^}]*\})/).filter((part) => part !== '');
  const unknown = parts.find((part) => /^\{.*\}$/.test(part) && part !== '{body}' && part !== '{timestamp}');
  if (unknown !== undefined) throw new Error(`${unknown} is not known; accepted are {body} and {timestamp}`);
  if (!parts.includes('{body}')) throw new Error('must hold {body}, or the signature says nothing of the message');
  return parts;
}

const scheme = {
  header: z.strictObject({ name: headerName, secret: secrets }),
  query: z.strictObject({ name: text, secret: secrets }),
  basic: z.strictObject({ username: text, password: secrets }),
  hmac,
};

const verify = z.union(
  [
    z.literal('none'),
    z
      .strictObject({
        mode: z.enum(['enforce', 'report']).default('enforce'),
        header: scheme.header.optional(),
        query: scheme.query.optional(),
        basic: scheme.basic.optional(),
        hmac: scheme.hmac.optional(),
      })
      .refine((value) => Object.keys(scheme).filter((key) => key in value).length === 1, {
        error: `needs exactly one of ${Object.keys(scheme).join(', ')}`,
        ...WHEN_KEYS_ARE_FINE,
      }),
  ],
  `expected none, or one of ${Object.keys(scheme)
    .map((key) => `{ ${key}: … }`)
    .join(', ')}`,
);

const FORM_ONLY = ['allowed_origins', 'redirect', 'honeypot', 'rate_limit'] as const;

/** How an inbound endpoint reads and checks what it gets. */
export const channel = z
  .strictObject({
    provider: z.enum(['generic', 'form']).default('generic'),
    verify,
    fields: z
      .strictObject({
        sender: path.optional(),
        text: path.optional(),
        recipient: path.optional(),
        id: path.optional(),
        sent_at: path.optional(),
        name: path.optional(),
        email: path.optional(),
        phone: path.optional(),
        fields: path.optional(),
      })
      .optional(),
    default_country: z.string().refine(isCountry, 'expected a country of ISO 3166-1 such as IN or US').optional(),
    allowed_origins: z
      .array(compiled('bad_url', originOf))
      .min(1, 'must hold at least one origin; leave it out to allow any')
      .optional(),
    redirect: compiled('bad_url', pageUrl).optional(),
    honeypot: text.optional(),
    rate_limit: positive.optional(),
  })
  .superRefine((value, context) => {
    if (value.provider === 'form') return;
    for (const key of FORM_ONLY) {
      if (value[key] === undefined) continue;
      context.addIssue({ code: 'custom', path: [key], message: 'is only for provider: form' });
    }
  }, WHEN_KEYS_ARE_FINE);

function originOf(source: string): string {
  const url = URL.parse(source);
  if (url === null || url.origin !== source)
    throw new Error('expected an origin such as https://www.example.com, no path');
  return url.origin;
}

function pageUrl(source: string): string {
  const url = URL.parse(source);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new Error('expected a URL such as https://www.example.com/thanks');
  return url.href;
}
