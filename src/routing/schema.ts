import { z } from 'zod';
import { messageOf } from '../fault.ts';
import { isCountry } from '../sender.ts';
import { type Condition, fullMatch, matches, startsWith } from './condition.ts';
import { type FieldPath, parsePath } from './path.ts';
import { createTemplates } from './templates.ts';

/**
 * The routing file, strictly: unknown keys are refused everywhere, and each text that means something (a path, a
 * pattern, a template, a URL) is compiled right here, so that a fault is found at its own place in the file.
 */
const template = createTemplates();

const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const DEFAULT_AUTH_ID_PATTERN = '[A-Za-z0-9]+';
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

const name = z.string().regex(NAME, 'a name is 1 to 64 of A-Z, a-z, 0-9, "_" and "-"');
/** Text that may look like a number; the document has kept its digits as they were written. */
const textLike = z.union([z.string(), z.number().transform(String)], 'expected text');
const text = textLike.pipe(z.string().min(1, 'must not be empty'));
const secret = textLike.pipe(z.string().min(1, 'is empty, and anyone can sign with an empty secret'));
const secrets = z
  .union([secret, z.array(secret).min(1, 'must hold at least one secret')], 'expected a secret or a list of secrets')
  .transform((value) => (typeof value === 'string' ? [value] : value));
const headerValue = text.pipe(
  z.string().regex(/^[\x21-\x7e]+( +[\x21-\x7e]+)*$/, 'must be printable ASCII: it is sent in a header'),
);
const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'is not a header name');
const positive = wholeNumber(1, 'expected a whole number of at least 1');

/** A number that came out of `${VAR}` is text. */
function wholeNumber(min: number, expected: string) {
  const number = z.int(expected).min(min, expected);
  return z.union(
    [
      number,
      z
        .string()
        .regex(/^\d{1,15}$/, expected)
        .transform(Number)
        .pipe(number),
    ],
    expected,
  );
}

/**
 * For rules about several keys together: they speak only where each key is known and fine in itself. A misspelt one
 * would make them mislead.
 */
const WHEN_KEYS_ARE_FINE = { when: ({ issues }: { readonly issues: readonly unknown[] }) => issues.length === 0 };

/** A string that is turned into something by code that throws an Error when it cannot be. */
function compiled<T>(code: string, compile: (source: string) => T) {
  return z.string().transform((source, context): T => {
    try {
      return compile(source);
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error), params: { code } });
      return z.NEVER;
    }
  });
}

const path = compiled('bad_path', parsePath);
const liquid = compiled('bad_template', template);
const pattern = compiled('bad_pattern', (source) => ({
  source,
  fits: fullMatch(source),
  isDefault: source === DEFAULT_AUTH_ID_PATTERN,
}));

const endpoint = compiled('bad_url', (source) => {
  const url = URL.parse(source);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new Error('expected a URL such as https://example.haptikapi.com');
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new Error('expected a URL without credentials, query and fragment');
  }
  return url;
});

const account = z
  .strictObject({
    base_url: endpoint.optional(),
    message_url: endpoint.optional(),
    user_url: endpoint.optional(),
    allow_http: z.boolean().default(false),
    client_id: headerValue,
    token: headerValue,
    register_users: z.boolean().default(true),
    max_concurrency: positive.optional(),
    auth_id_pattern: pattern.prefault(DEFAULT_AUTH_ID_PATTERN),
    max_length: positive.optional(),
  })
  .superRefine((value, context) => {
    const refuse = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    for (const key of ['base_url', 'message_url', 'user_url'] as const) {
      const url = value[key];
      if (url?.protocol === 'http:' && !LOOPBACK.test(url.hostname) && !value.allow_http) {
        refuse([key], 'is plain http, which shows the token to the network; use https, or write allow_http: true');
      }
    }
    const whole = value.message_url !== undefined && (value.user_url !== undefined || !value.register_users);
    if (value.base_url === undefined && !whole) {
      refuse([], 'needs base_url, or message_url and user_url (user_url only where register_users is true)');
    }
    if (value.base_url !== undefined && (value.message_url ?? value.user_url) !== undefined) {
      refuse(['base_url'], 'stands beside message_url or user_url; give base_url, or the whole URLs');
    }
  }, WHEN_KEYS_ARE_FINE);

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

const channel = z
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

const scalar = z.union([z.string(), z.number(), z.boolean()], 'expected text or a number').transform(String);
/** Equality stays a list of values here: what they are compared with decides how they are normalised. */
const condition = z.union(
  [
    scalar.transform((value) => [value]),
    z.array(scalar).min(1, 'must hold at least one value'),
    z
      .strictObject({
        prefix: text.transform(startsWith).optional(),
        matches: compiled('bad_pattern', matches).optional(),
      })
      .refine(({ prefix, matches }) => (prefix === undefined) !== (matches === undefined), {
        error: 'needs exactly one of prefix, matches',
        ...WHEN_KEYS_ARE_FINE,
      })
      .transform(({ prefix, matches }): Condition => prefix ?? matches ?? (() => false)),
  ],
  'expected a value, a list of values, { prefix: … } or { matches: … }',
);

const WHEN = /^(recipient|sender|text|fields\..+)$/;
const whenKey = z
  .string()
  .refine((key) => WHEN.test(key), {
    error: 'unknown key; accepted are recipient, sender, text, fields.<name>',
    params: { code: 'unknown_key' },
    abort: true,
  })
  .superRefine((key, context) => {
    try {
      subjectOf(key);
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error), params: { code: 'bad_path' } });
    }
  });

function subjectOf(key: string): FieldPath {
  return parsePath(key.replace(/^fields\./, ''));
}

/** `wanted` stays as it was written: how a sender is compared is a matter of the route's channel. */
const when = z
  .record(whenKey, condition)
  .transform((entries) =>
    Object.entries(entries).map(([key, wanted]) => ({ subject: key, path: subjectOf(key), wanted })),
  );

const route = z.strictObject({
  channel: name,
  account: name.optional(),
  when: when.prefault({}),
  business_id: wholeNumber(0, 'expected a whole number such as 343, the number that Haptik gave'),
  auth_id: liquid.optional(),
  message_body: liquid.optional(),
  user: z
    .strictObject({
      name: liquid.optional(),
      email: liquid.optional(),
      mobile_no: liquid.optional(),
      language_code: liquid.optional(),
      custom_data: z.record(z.string(), liquid).optional(),
    })
    .optional(),
});

export const routingFile = z.strictObject({
  accounts: z.record(name, account).refine(isFilled, 'must hold at least one account'),
  channels: z.record(name, channel).refine(isFilled, 'must hold at least one channel'),
  routes: z.array(route).min(1, 'must hold at least one route'),
  senders: z.record(z.string().regex(/\S/, 'a sender is not blank'), text).default({}),
});

function isFilled(map: object): boolean {
  return Object.keys(map).length > 0;
}

export type RoutingFile = z.output<typeof routingFile>;
export type AccountConfig = RoutingFile['accounts'][string];
export type ChannelConfig = RoutingFile['channels'][string];
export type RouteConfig = RoutingFile['routes'][number];
export type Verify = ChannelConfig['verify'];
