import { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { isCountry } from '../sender.ts';
import type { Catalog, ProviderTraits } from './catalog.ts';
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

/** Where the standard and Stripe put a key: https://github.com/standard-webhooks/standard-webhooks */
const base64Secrets = secrets.refine(
  (keys) => keys.every((key) => /^(whsec_)?[A-Za-z0-9+/]{11,}={0,2}$/.test(key)),
  'expected a key of at least 8 bytes in base64, with or without whsec_ in front',
);

/** The ways of checking: those of the provider first, then those for any channel. */
const scheme = {
  secret: secrets,
  public_key: secrets.refine(
    (keys) => keys.every((key) => /^[A-Za-z0-9+/]{43}=$/.test(key)),
    'expected a public key as the provider shows it: 32 bytes in base64',
  ),
  topic_arn: text.pipe(
    z
      .string()
      .regex(/^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_.-]{1,256}$/, 'expected the ARN of an SNS topic'),
  ),
  header: z.strictObject({ name: headerName, secret: secrets }),
  query: z.strictObject({ name: text, secret: secrets }),
  basic: z.strictObject({ username: text, password: secrets }),
  standard_webhooks: z.strictObject({ secret: base64Secrets }),
  github: z.strictObject({ secret: secrets }),
  stripe: z.strictObject({ secret: secrets, header: headerName.default('Stripe-Signature') }),
  hmac,
};
const OF_THE_PROVIDER = ['secret', 'public_key', 'topic_arn'] as const;
const FOR_ANY = Object.keys(scheme).filter((key) => !OF_THE_PROVIDER.some((own) => own === key));

const certificate = compiled('bad_certificate', (pem) => {
  if (!/^-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\s*$/.test(pem)) {
    throw new Error('expected one certificate in PEM: -----BEGIN CERTIFICATE----- …');
  }
  return new X509Certificate(pem).toString();
});

const verify = z.union(
  [
    z.literal('none'),
    z
      .strictObject({
        mode: z.enum(['enforce', 'report']).default('enforce'),
        verify_token: secrets.optional(),
        certificate: certificate.optional(),
        secret: scheme.secret.optional(),
        public_key: scheme.public_key.optional(),
        topic_arn: scheme.topic_arn.optional(),
        header: scheme.header.optional(),
        query: scheme.query.optional(),
        basic: scheme.basic.optional(),
        standard_webhooks: scheme.standard_webhooks.optional(),
        github: scheme.github.optional(),
        stripe: scheme.stripe.optional(),
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

type VerifyConfig = z.output<typeof verify>;

const FORM_ONLY = ['allowed_origins', 'redirect', 'honeypot', 'rate_limit'] as const;

/** How an inbound endpoint reads and checks what it gets. */
export function channel(providers: Catalog) {
  return z
    .strictObject({
      provider: z.enum(Object.keys(providers)).default('generic'),
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
      const traits = providers[value.provider];
      if (traits === undefined) return;
      const refuse = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
      for (const key of FORM_ONLY) {
        if (value[key] !== undefined && !traits.isOwnForm) refuse([key], 'is only for provider: form');
      }
      const fault = faultFor(value.provider, traits, value.verify);
      if (fault !== undefined) refuse(['verify', fault.key], fault.message);
      for (const name of traits.unnamed ?? []) {
        if (value.fields?.[name] !== undefined) continue;
        refuse(['fields'], `needs ${name}: what ${value.provider} calls it is chosen by whoever made the form`);
      }
    }, WHEN_KEYS_ARE_FINE);
}

/** Which ways of checking a provider has of its own. */
function faultFor(provider: string, traits: ProviderTraits, config: VerifyConfig) {
  if (config === 'none') return undefined;
  const { credentials } = traits;
  const wanted = credentials === 'user:password' ? 'secret' : credentials;
  const given = OF_THE_PROVIDER.find((key) => config[key] !== undefined);
  if (given !== undefined && given !== wanted) {
    const own = wanted === undefined ? 'it has no scheme of its own' : `it takes ${wanted}`;
    return { key: given, message: `is not for provider: ${provider}; ${own}. For any provider: ${FOR_ANY.join(', ')}` };
  }
  if (credentials === 'user:password' && config.secret?.some((secret) => !/^[^:]+:./.test(secret))) {
    return { key: 'secret', message: `is for HTTP Basic, and must be user:password for provider: ${provider}` };
  }
  if (config.verify_token !== undefined && !traits.hasVerifyToken) {
    return { key: 'verify_token', message: `is not for provider: ${provider}` };
  }
  if (config.certificate !== undefined && config.topic_arn === undefined) {
    return { key: 'certificate', message: 'stands without topic_arn' };
  }
  return undefined;
}

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
