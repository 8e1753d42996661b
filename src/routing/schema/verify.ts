import { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import type { ProviderTraits } from '../catalog.ts';
import { compiled, headerName, positive, secrets, text, WHEN_KEYS_ARE_FINE } from './parts.ts';

const SECRET = `The secret, as \${NAME}; a list while you rotate it.`;

const hmac = z
  .strictObject({
    secret: secrets.describe(SECRET),
    header: headerName.describe('The header that the signature comes in.'),
    algorithm: z.enum(['sha1', 'sha256', 'sha384', 'sha512']).default('sha256').describe('The digest it is made with.'),
    encoding: z.enum(['hex', 'base64']).default('hex').describe('How the signature is written.'),
    prefix: z.string().default('').describe('What stands before the signature in its header, such as "sha256=".'),
    signed: compiled('bad_signed', signedText)
      .prefault('{body}')
      .describe('What is signed: {body}, and {timestamp} where it is, such as "{timestamp}.{body}".'),
    timestamp_header: headerName.optional().describe('The header that the signed time comes in, in Unix seconds.'),
    tolerance_seconds: positive.default(300).describe('How far off that time may be, either way.'),
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
  secret: secrets.describe("The secret of the provider's own scheme (docs/providers.md); a list while you rotate it."),
  public_key: secrets
    .refine(
      (keys) => keys.every((key) => /^[A-Za-z0-9+/]{43}=$/.test(key)),
      'expected a public key as the provider shows it: 32 bytes in base64',
    )
    .describe('The public key that Telnyx shows: 32 bytes in base64.'),
  topic_arn: text
    .pipe(
      z
        .string()
        .regex(/^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_.-]{1,256}$/, 'expected the ARN of an SNS topic'),
    )
    .describe('The ARN of the SNS topic whose messages are taken.'),
  header: z
    .strictObject({
      name: headerName.describe('Its name, such as x-api-key.'),
      secret: secrets.describe(SECRET),
    })
    .describe('Any provider: a header that holds the secret.'),
  query: z
    .strictObject({
      name: text.describe('Its name, such as token.'),
      secret: secrets.describe(SECRET),
    })
    .describe("Any provider: a parameter of the URL's query that holds the secret."),
  basic: z
    .strictObject({
      username: text.describe('The user name.'),
      password: secrets.describe(`The password, as \${NAME}; a list while you rotate it.`),
    })
    .describe('Any provider: HTTP Basic.'),
  standard_webhooks: z
    .strictObject({
      secret: base64Secrets.describe(`The key in base64, with or without whsec_ in front, as \${NAME}.`),
    })
    .describe('Signed as Standard Webhooks (and Svix) are: webhook-id, webhook-timestamp, webhook-signature.'),
  github: z.strictObject({ secret: secrets.describe(SECRET) }).describe('Signed as GitHub does: X-Hub-Signature-256.'),
  stripe: z
    .strictObject({
      secret: secrets.describe(SECRET),
      header: headerName.default('Stripe-Signature').describe('The header that time and signature come in.'),
    })
    .describe('Signed as Stripe does: time and signature in one header.'),
  hmac: hmac.describe('Any provider: an HMAC of the raw body, in a header.'),
};
const OF_THE_PROVIDER = ['secret', 'public_key', 'topic_arn'] as const;
const FOR_ANY = Object.keys(scheme).filter((key) => !OF_THE_PROVIDER.some((own) => own === key));

const certificate = compiled('bad_certificate', (pem) => {
  if (!/^-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\s*$/.test(pem)) {
    throw new Error('expected one certificate in PEM: -----BEGIN CERTIFICATE----- …');
  }
  return new X509Certificate(pem).toString();
});

/** The map comes first: of what fits neither, editors tell what is wrong with the first. */
export const verify = z.union(
  [
    z
      .strictObject({
        mode: z
          .enum(['enforce', 'report'])
          .default('enforce')
          .describe('report lets in what would be refused, logs and counts it; enforce refuses it.'),
        verify_token: secrets.optional().describe('What Meta asks for when the address is saved; yours to choose.'),
        certificate: certificate.optional().describe('SNS: a pinned certificate in PEM, instead of fetching it.'),
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
    z.literal('none'),
  ],
  `expected none, or one of ${Object.keys(scheme)
    .map((key) => `{ ${key}: … }`)
    .join(', ')}`,
);

type VerifyConfig = z.output<typeof verify>;

/** Which ways of checking a provider has of its own. */
export function faultFor(provider: string, traits: ProviderTraits, config: VerifyConfig) {
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
