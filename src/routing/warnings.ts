import { normaliseSender } from '../sender.ts';
import type { Catalog } from './catalog.ts';
import type { Wanted } from './condition.ts';
import type { SourceDocument } from './document/document.ts';
import { nameOf, type Path, type Problem } from './problem.ts';
import type { RouteConfig, RoutingFile } from './schema/schema.ts';
import { rulesOf } from './senders/senders.ts';

/** What is allowed and probably not meant. Each names its place, and what may come of it. */
export function warningsOf(file: RoutingFile, document: SourceDocument, providers: Catalog): Problem[] {
  const warn = (path: Path, code: string, message: string, key?: string) =>
    document.problem(path, code, `${nameOf(key === undefined ? path : [...path, key])}: ${message}`, key);
  return [
    ...shadowedRoutes(file, providers, warn),
    ...mergingIds(file, providers, warn),
    ...idsOfNobody(file, providers, warn),
    ...unverified(file, providers, warn),
    ...unused(file, warn),
    ...sharedBusinesses(file, warn),
    ...senderWarnings(file, providers, warn),
    ...bareReferences(document.data, [], warn),
  ].sort((a, b) => a.line - b.line || a.column - b.column);
}

type Warn = (path: Path, code: string, message: string, key?: string) => Problem;

/** A condition with its values as they are compared. */
interface Compared {
  readonly subject: string;
  readonly wanted:
    | Exclude<Wanted, { values: unknown }>
    | { readonly values: readonly string[]; readonly among: ReadonlySet<string> };
}

interface ComparedRoute {
  readonly index: number;
  readonly when: readonly Compared[];
}

/** Only what is certain: by equality, lists, prefixes, and the very same pattern. */
function* shadowedRoutes({ routes, channels }: RoutingFile, providers: Catalog, warn: Warn) {
  const before = new Map<string, ComparedRoute[]>();
  for (const [index, route] of routes.entries()) {
    const config = channels[route.channel];
    const kind = providers[config?.provider ?? '']?.sender;
    const when = route.when.map((condition) =>
      compared(condition, (sender) => normaliseSender(sender, config?.default_country, kind)),
    );
    const siblings = before.get(route.channel) ?? [];
    const shadow = siblings.find((wide) => takesAllOf(wide.when, when));
    if (shadow) {
      const message = `never decides: whatever it fits, routes[${shadow.index}] fits before it`;
      yield warn(['routes', index], 'shadowed', message);
    }
    siblings.push({ index, when });
    before.set(route.channel, siblings);
  }
}

/** Once for each route, which is then compared with all others of its channel. */
function compared({ subject, wanted }: RouteConfig['when'][number], normal: (sender: string) => string): Compared {
  if (!('values' in wanted)) return { subject, wanted };
  const isNumber = subject === 'sender' || subject === 'recipient';
  const values = isNumber ? wanted.values.map(normal) : wanted.values;
  return { subject, wanted: { values, among: new Set(values) } };
}

function takesAllOf(wide: readonly Compared[], narrow: readonly Compared[]): boolean {
  return wide.every(({ subject, wanted }) =>
    narrow.some((own) => own.subject === subject && isWithin(own.wanted, wanted)),
  );
}

function isWithin(narrow: Compared['wanted'], wide: Compared['wanted']): boolean {
  if ('values' in narrow) {
    return narrow.values.every((value) => ('values' in wide ? wide.among.has(value) : wide.fits(value)));
  }
  if ('prefix' in narrow) return 'prefix' in wide && narrow.prefix.startsWith(wide.prefix);
  return 'pattern' in wide && narrow.pattern === wide.pattern;
}

/** `a.b@x` and `ab@x` are one person to `alnum`; only phone numbers have nothing else to lose. */
function* mergingIds({ routes, channels }: RoutingFile, providers: Catalog, warn: Warn) {
  for (const [index, { auth_id, channel }] of routes.entries()) {
    const config = channels[channel];
    const filter = /\|\s*(alnum|digits)\b/.exec(auth_id?.source ?? '')?.[1];
    if (filter === undefined || config === undefined || /\|\s*e164\b/.test(auth_id?.source ?? '')) continue;
    const isAny = config.provider === 'generic' || config.provider === 'form';
    const kind = providers[config.provider]?.sender;
    if (config.default_country !== undefined || (!isAny && (kind === 'phone' || kind === 'international'))) continue;
    const advice = 'for anything but phone numbers write {{ sender | sha256 | slice: 0, 24 }}';
    yield warn(['routes', index, 'auth_id'], 'merging_auth_id', `${filter} can make one id of two people; ${advice}`);
  }
}

/** Who of a message says anything of who wrote it. */
const PERSONAL = ['sender', 'name', 'email', 'phone', 'fields'];
const ADDRESS = /^\s*\{\{-?\s*(sender|email)\s*(\|\s*(downcase|upcase|strip)\s*)*-?\}\}\s*$/;

/** An auth_id that is none, everybody's, or never allowed. */
function* idsOfNobody(
  { accounts, channels, routes, senders, senders_file }: RoutingFile,
  providers: Catalog,
  warn: Warn,
) {
  const knowsNobody = Object.keys(senders).length === 0 && senders_file === undefined;
  for (const [index, { auth_id, account, channel }] of routes.entries()) {
    const path = ['routes', index, 'auth_id'];
    if (auth_id === undefined) {
      if (knowsNobody) {
        yield warn(
          ['routes', index],
          'no_auth_id',
          'has no auth_id, and there are no senders: all its messages are dead letters',
        );
      }
      continue;
    }
    if (!auth_id.names.some((name) => PERSONAL.includes(name))) {
      yield warn(
        path,
        'same_auth_id',
        'says nothing of who wrote: to Haptik all of them are one person, or each message is a new one',
      );
    }
    const { provider = '' } = channels[channel] ?? {};
    const isAddress = provider === 'form' || providers[provider]?.sender === 'email';
    const used = accounts[account ?? Object.keys(accounts)[0] ?? ''];
    if (isAddress && used?.auth_id_pattern.isDefault && ADDRESS.test(auth_id.source)) {
      const advice = 'write {{ sender | downcase | sha256 | slice: 0, 24 }}';
      yield warn(path, 'bad_auth_id', `an e-mail address is no auth_id, which is letters and digits; ${advice}`);
    }
  }
}

/** Of a provider that signs. */
function* unverified({ channels }: RoutingFile, providers: Catalog, warn: Warn) {
  for (const [name, { provider, verify }] of Object.entries(channels)) {
    if (verify !== 'none' || providers[provider]?.credentials === undefined) continue;
    yield warn(
      ['channels', name, 'verify'],
      'unverified',
      `is none, though ${provider} can be checked: anybody can send in its name`,
    );
  }
}

function* unused({ accounts, channels, routes }: RoutingFile, warn: Warn) {
  const routed = new Set(routes.map(({ channel }) => channel));
  for (const name of Object.keys(channels)) {
    if (routed.has(name)) continue;
    yield warn(['channels'], 'no_route', 'has no route: all that comes to it is a dead letter, unroutable', name);
  }
  const used = new Set(routes.map(({ account }) => account ?? Object.keys(accounts)[0]));
  for (const name of Object.keys(accounts)) {
    if (!used.has(name)) yield warn(['accounts'], 'unused', 'no route leads to it', name);
  }
}

function* sharedBusinesses({ accounts, routes }: RoutingFile, warn: Warn) {
  const first = new Map<number, string>();
  for (const [index, { account = Object.keys(accounts)[0] ?? '', business_id }] of routes.entries()) {
    const other = first.get(business_id) ?? account;
    first.set(business_id, other);
    if (other === account) continue;
    const message = `${business_id} is used by account ${other} too; Haptik gives each business to one`;
    yield warn(['routes', index, 'business_id'], 'shared_business_id', message);
  }
}

function* senderWarnings(file: RoutingFile, providers: Catalog, warn: Warn) {
  const { senders } = file;
  const first = new Map<string, string>();
  const rules = rulesOf(file, providers);
  const ids = rules.find(({ kind }) => kind === 'id');
  for (const [sender, authId] of Object.entries(senders)) {
    const other = first.get(authId);
    first.set(authId, other ?? sender);
    if (other !== undefined) {
      yield warn(['senders'], 'same_auth_id', `has the auth_id of "${other}": to Haptik they are one person`, sender);
    }
    const phones = rules.find(
      ({ kind, country }) => kind !== 'id' && normaliseSender(sender, country, kind) !== sender,
    );
    if (!/^\d+$/.test(sender) || ids === undefined || phones === undefined) continue;
    const number = normaliseSender(sender, phones.country, phones.kind);
    const message = `is ${number} to channel ${phones.channel}, and an id to channel ${ids.channel}: two people; write the + if it is a number`;
    yield warn(['senders'], 'two_senders', message, sender);
  }
}

/** As shells write it; here it is text like any other. It is not repeated: it may be a password that looks so. */
function* bareReferences(value: unknown, path: Path, warn: Warn): Generator<Problem> {
  if (typeof value === 'string' && /^\$[A-Z_][A-Z0-9_]*$/.test(value)) {
    yield warn(path, 'bare_reference', `is taken as it stands; if it is to be the value of a variable, write \${NAME}`);
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [key, item] of Object.entries(value)) {
    yield* bareReferences(item, [...path, Array.isArray(value) ? Number(key) : key], warn);
  }
}
