import { createHash } from 'node:crypto';
import type { Message, Placement } from '../message.ts';
import { normaliseSender, type SenderRule } from '../sender.ts';
import type { Catalog } from './catalog.ts';
import { oneOf } from './condition.ts';
import { type Destination, deliveryBy } from './delivery.ts';
import type { AccountConfig, ChannelConfig, RouteConfig, RoutingFile } from './schema/schema.ts';
import { type Senders, senderRuleOf } from './senders/senders.ts';

/** One set of Haptik credentials, ready to be called with. */
export interface Account {
  readonly name: string;
  readonly messageUrl: URL;
  readonly userUrl: URL | undefined;
  readonly clientId: string;
  readonly token: string;
  readonly maxConcurrency: number | undefined;
  /** Attempts begun in a second. */
  readonly maxPerSecond: number | undefined;
  /** Tells these URLs and credentials from any others, and does not give them away. */
  readonly fingerprint: string;
}

export interface Channel extends ChannelConfig {
  readonly name: string;
  /** How its senders are brought to their one form. */
  readonly senders: SenderRule;
}

/** What one version of the routing file was made of. */
export interface Origin {
  /** Hash of the content of the file, and of its senders file. */
  readonly version: string;
  /** The text of the file. */
  readonly source: string;
  /** When it was put back by a rollback, as ISO 8601; undefined where the file does not say that of this version. */
  readonly rolledBackAt?: string | undefined;
  /** Its senders file, with the hash of its bytes; undefined where it has none. */
  readonly sendersFile?: { readonly path: string; readonly hash: string; readonly senders: Senders } | undefined;
  /** Of both files. */
  readonly senders: Senders;
}

/** One version of the routing file, compiled. Immutable: whoever holds one sees one table. */
export interface RoutingTable extends Origin {
  readonly accounts: ReadonlyMap<string, Account>;
  readonly channels: ReadonlyMap<string, Channel>;
  readonly file: RoutingFile;
  /** The first route of the channel that fits decides. Never throws: what cannot be placed is a dead letter. */
  place(channel: string, message: Message): Placement;
  /** Why it places a message as it does: each route of the channel, in their order. */
  trace(channel: string, message: Message): readonly Trace[];
}

/** A route, by its place in the file, and which of its conditions hold for a message; where all do it fits. */
export interface Trace {
  readonly route: string;
  readonly conditions: readonly { readonly subject: string; readonly holds: boolean }[];
}

interface Test {
  readonly subject: string;
  readonly holds: (reading: Reading) => boolean;
}

/** A message as the routes of a channel look at it. */
interface Reading {
  readonly message: Message;
  /** In the form in which recipients are compared. */
  readonly recipient: string;
}

interface Route extends Destination {
  readonly tests: readonly Test[];
}

/** Haptik's REST API: "Log Message" and "Create or update a user". */
const MESSAGE_PATH = '/v1.0/log_message_from_user/';
const USER_PATH = '/v1.0/user/';
const FINGERPRINT_LENGTH = 16;

export function createTable(file: RoutingFile, origin: Origin, providers: Catalog): RoutingTable {
  const accounts = new Map(Object.entries(file.accounts).map(([name, config]) => [name, toAccount(name, config)]));
  const channels = new Map(
    Object.entries(file.channels).map(([name, config]) => {
      return [name, { ...config, name, senders: senderRuleOf(config, providers) }];
    }),
  );
  const readingOf = (channel: string, message: Message) => read(message, channels.get(channel)?.senders);
  const routes = new Map<string, Route[]>();
  for (const [index, config] of file.routes.entries()) {
    const accountName = config.account ?? [...accounts.keys()][0] ?? '';
    const accountConfig = file.accounts[accountName];
    if (accountConfig === undefined) throw new Error(`routes[${index}] has no account`);
    const siblings = routes.get(config.channel) ?? [];
    const tests = config.when.map((condition) => testOf(condition, channels.get(config.channel)?.senders));
    siblings.push({ ...config, label: `routes[${index}]`, tests, accountName, accountConfig });
    routes.set(config.channel, siblings);
  }
  return {
    ...origin,
    accounts,
    channels,
    file,
    place(channel, message) {
      const reading = readingOf(channel, message);
      const route = routes.get(channel)?.find(({ tests }) => tests.every(({ holds }) => holds(reading)));
      if (message.sender === '') {
        return {
          route: null,
          dead: 'no_auth_id',
          detail: 'the message names no sender; see the fields of its channel',
        };
      }
      if (route === undefined) {
        return { route: null, dead: 'unroutable', detail: `no route of channel ${channel} fits this message` };
      }
      return deliveryBy(
        route,
        channel,
        message,
        origin.senders.authIdOf(message.sender, channels.get(channel)?.senders),
      );
    },
    trace(channel, message) {
      const reading = readingOf(channel, message);
      return (routes.get(channel) ?? []).map(({ label, tests }) => ({
        route: label,
        conditions: tests.map(({ subject, holds }) => ({ subject, holds: holds(reading) })),
      }));
    },
  };
}

function toAccount(name: string, config: AccountConfig): Account {
  const messageUrl = config.message_url ?? (config.base_url && under(config.base_url, MESSAGE_PATH));
  const userUrl = config.user_url ?? (config.base_url && under(config.base_url, USER_PATH));
  if (messageUrl === undefined) throw new Error(`accounts.${name} has no URL`);
  return {
    name,
    messageUrl,
    userUrl: config.register_users ? userUrl : undefined,
    clientId: config.client_id,
    token: config.token,
    maxConcurrency: config.max_concurrency,
    maxPerSecond: config.max_per_second,
    fingerprint: createHash('sha256')
      .update(JSON.stringify([messageUrl.href, userUrl?.href, config.client_id, config.token]))
      .digest('hex')
      .slice(0, FINGERPRINT_LENGTH),
  };
}

function under(base: URL, path: string): URL {
  return new URL(base.href.replace(/\/+$/, '') + path);
}

/** Its recipient is read when the first route asks for it, and for all of them once: that takes longer than all else. */
function read(message: Message, rule: SenderRule | undefined): Reading {
  let recipient: string | undefined;
  return {
    message,
    get recipient() {
      recipient ??= normaliseRecipient(message.recipient, rule);
      return recipient;
    },
  };
}

/** What was written to is not rewritten; whether a + stands before it makes no other number of it. */
function normaliseRecipient(recipient: string, rule: SenderRule | undefined): string {
  return normaliseSender(recipient, undefined, rule?.kind === 'id' ? 'id' : 'international');
}

/** Senders and recipients are compared in one form, whichever of those that mean the same was written. */
function testOf(condition: RouteConfig['when'][number], rule: SenderRule | undefined): Test {
  return { subject: condition.subject, holds: holdsBy(condition, rule) };
}

function holdsBy({ subject, path, wanted }: RouteConfig['when'][number], rule: SenderRule | undefined): Test['holds'] {
  const among = (normal: (value: string) => string) =>
    'values' in wanted ? oneOf(wanted.values.map(normal)) : wanted.fits;
  switch (subject) {
    case 'sender': {
      if (!('values' in wanted)) return ({ message }) => wanted.fits(message.sender);
      // As it stands too: beside numbers a provider may carry chats whose senders are ids.
      const fits = oneOf(wanted.values.flatMap((value) => [value, normaliseSender(value, rule?.country, rule?.kind)]));
      return ({ message }) => fits(message.sender);
    }
    case 'recipient': {
      if (!('values' in wanted)) return ({ message }) => wanted.fits(message.recipient);
      const fits = among((value) => normaliseRecipient(value, rule));
      return ({ recipient }) => fits(recipient);
    }
    case 'text': {
      const fits = among(String);
      return ({ message }) => fits(message.text);
    }
    default: {
      const fits = among(String);
      return ({ message }) => fits(path.read(message.fields));
    }
  }
}
