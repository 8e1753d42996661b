import { z } from 'zod';
import { messageOf } from '../../fault.ts';
import { type FieldPath, parsePath } from '../../path.ts';
import type { Catalog } from '../catalog.ts';
import { matches, startsWith, type Wanted } from '../condition.ts';
import { channel } from './channel.ts';
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
} from './parts.ts';

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
    base_url: endpoint.optional().describe('Where Haptik is, such as https://example.haptikapi.com.'),
    message_url: endpoint
      .optional()
      .describe('The whole URL for messages, where it differs for you; without base_url.'),
    user_url: endpoint.optional().describe('The whole URL for registrations, where it differs for you.'),
    allow_http: z.boolean().default(false).describe('Plain http, which shows the token to the network, is fine here.'),
    client_id: headerValue.describe(`The client-id that Haptik gave, as \${NAME}.`),
    token: headerValue.describe(`The token that Haptik gave, as \${NAME}.`),
    register_users: z
      .boolean()
      .default(true)
      .describe('A user whom Haptik does not know is registered; else a dead letter.'),
    max_concurrency: positive.optional().describe('Conversations in flight; DELIVERY_CONCURRENCY by default.'),
    max_per_second: pace.optional().describe('Attempts begun in a second; no limit by default.'),
    auth_id_pattern: pattern
      .prefault(DEFAULT_AUTH_ID_PATTERN)
      .describe('What an auth_id must be, as a pattern (RE2); by default what Haptik documents.'),
    max_length: positive.optional().describe('Longer texts are cut, and marked with …; no limit by default.'),
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
  }, WHEN_KEYS_ARE_FINE)
  .describe('One set of Haptik credentials, and how much it may be asked for.');

const scalar = z.union([z.string(), z.number(), z.boolean()], 'expected text or a number').transform(String);
const condition = z.union(
  [
    z
      .strictObject({
        prefix: text
          .transform((prefix) => ({ prefix, fits: startsWith(prefix) }))
          .optional()
          .describe('What it begins with.'),
        matches: compiled('bad_pattern', (pattern) => ({ pattern, fits: matches(pattern) }))
          .optional()
          .describe('A pattern (RE2) that fits somewhere in it, such as "(?i)^billing".'),
      })
      .refine(({ prefix, matches }) => (prefix === undefined) !== (matches === undefined), {
        error: 'needs exactly one of prefix, matches',
        ...WHEN_KEYS_ARE_FINE,
      })
      .meta({ minProperties: 1, maxProperties: 1 })
      .transform(({ prefix, matches }): Wanted => prefix ?? matches ?? { values: [] }),
    scalar.transform((value): Wanted => ({ values: [value] })),
    z
      .array(scalar)
      .min(1, 'must hold at least one value')
      .transform((values): Wanted => ({ values })),
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

const route = z
  .strictObject({
    channel: name.describe('The channel whose messages it is for.'),
    account: name.optional().describe('The account by which Haptik is told; may be left out while there is one.'),
    when: when.prefault({}).describe('What must hold of the message, all of it; any message by default.'),
    business_id: wholeNumber(0, 'expected a whole number such as 343, the number that Haptik gave').describe(
      'The business that the message is for: the number that Haptik gave.',
    ),
    auth_id: liquid
      .optional()
      .describe('Whom Haptik knows the sender as, as a template; senders come before it. "sms{{ sender | digits }}"'),
    message_body: liquid
      .optional()
      .describe('The text that Haptik gets, as a template; the text of the message by default.'),
    user: z
      .strictObject({
        name: liquid.optional().describe('Their name, as a template.'),
        email: liquid.optional().describe('Their e-mail address, as a template.'),
        mobile_no: liquid.optional().describe('Their phone number, as a template.'),
        language_code: liquid.optional().describe('Their language, such as en, as a template.'),
        custom_data: z.record(z.string(), liquid).optional().describe('Anything else, by name, as templates.'),
      })
      .optional()
      .describe('With what an unknown user is registered; name, email and phone of the payload by default.'),
    on_unknown: z
      .enum(['retry', 'stop'])
      .default('retry')
      .describe('When nobody knows whether it arrived: send it again, or stop the conversation for a person.'),
    on_dead: z
      .enum(['continue', 'stop'])
      .default('continue')
      .describe('When it is given up: the conversation continues without it, or stops for a person.'),
  })
  .describe('Which messages it is for, and what Haptik is told: business_id, auth_id, text.');

/**
 * The routing file, strictly: unknown keys are refused everywhere, and each text that means something (a path, a
 * pattern, a template, a URL) is compiled right here, so that a fault is found at its own place in the file.
 */
export function routingFile(providers: Catalog) {
  return z.strictObject({
    accounts: z
      .record(name, account)
      .refine(isFilled, 'must hold at least one account')
      .meta({ description: 'Sets of Haptik credentials, by names of your own.', minProperties: 1 }),
    channels: z
      .record(name, channel(providers))
      .refine(isFilled, 'must hold at least one channel')
      .meta({ description: 'The inbound endpoints: each is POST /webhooks/<name>.', minProperties: 1 }),
    routes: z
      .array(route)
      .min(1, 'must hold at least one route')
      .describe("What becomes of a message: of its channel's routes the first that fits decides."),
    senders: z
      .record(z.string().regex(/\S/, 'a sender is not blank'), text)
      .default({})
      .describe('Whom your systems know already, before any template: sender to auth_id.'),
    senders_file: text.optional().describe('A file of many more senders: a line each, sender,auth_id.'),
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
