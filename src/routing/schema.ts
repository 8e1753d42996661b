import { z } from 'zod';
import { messageOf } from '../fault.ts';
import { type FieldPath, parsePath } from '../path.ts';
import type { Catalog } from './catalog.ts';
import { matches, startsWith, type Wanted } from './condition.ts';
import { channel } from './schema-channel.ts';
import {
  compiled,
  DEFAULT_AUTH_ID_PATTERN,
  headerValue,
  liquid,
  name,
  pace,
  pattern,
  positive,
  text,
  WHEN_KEYS_ARE_FINE,
  wholeNumber,
} from './schema-parts.ts';

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

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
    max_per_second: pace.optional(),
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

const scalar = z.union([z.string(), z.number(), z.boolean()], 'expected text or a number').transform(String);
const condition = z.union(
  [
    scalar.transform((value): Wanted => ({ values: [value] })),
    z
      .array(scalar)
      .min(1, 'must hold at least one value')
      .transform((values): Wanted => ({ values })),
    z
      .strictObject({
        prefix: text.transform((prefix) => ({ prefix, fits: startsWith(prefix) })).optional(),
        matches: compiled('bad_pattern', (pattern) => ({ pattern, fits: matches(pattern) })).optional(),
      })
      .refine(({ prefix, matches }) => (prefix === undefined) !== (matches === undefined), {
        error: 'needs exactly one of prefix, matches',
        ...WHEN_KEYS_ARE_FINE,
      })
      .transform(({ prefix, matches }): Wanted => prefix ?? matches ?? { values: [] }),
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
  on_unknown: z.enum(['retry', 'stop']).default('retry'),
  on_dead: z.enum(['continue', 'stop']).default('continue'),
});

/**
 * The routing file, strictly: unknown keys are refused everywhere, and each text that means something (a path, a
 * pattern, a template, a URL) is compiled right here, so that a fault is found at its own place in the file.
 */
export function routingFile(providers: Catalog) {
  return z.strictObject({
    accounts: z.record(name, account).refine(isFilled, 'must hold at least one account'),
    channels: z.record(name, channel(providers)).refine(isFilled, 'must hold at least one channel'),
    routes: z.array(route).min(1, 'must hold at least one route'),
    senders: z.record(z.string().regex(/\S/, 'a sender is not blank'), text).default({}),
  });
}

function isFilled(map: object): boolean {
  return Object.keys(map).length > 0;
}

export type RoutingFile = z.output<ReturnType<typeof routingFile>>;
export type AccountConfig = RoutingFile['accounts'][string];
export type ChannelConfig = RoutingFile['channels'][string];
export type RouteConfig = RoutingFile['routes'][number];
export type Verify = ChannelConfig['verify'];
