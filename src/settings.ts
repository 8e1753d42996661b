import { isIP } from 'node:net';
import { dirname } from 'node:path';
import { z } from 'zod';

/**
 * The settings, from the environment and nowhere else. Each is read strictly: a value that is not understood stops the
 * start, it never falls back to the default.
 */
const HOUR_MS = 3_600_000;

const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .refine((value) => /^\d{1,15}$/.test(value) && Number(value) >= min && Number(value) <= max, {
      error: `accepted is a whole number from ${min} to ${max}`,
    })
    .transform(Number);

const hours = (fits: (value: number) => boolean, expected: string) =>
  z
    .string()
    .refine((value) => /^\d{1,4}(\.\d{1,6})?$/.test(value) && Number(value) <= 8_760 && fits(Number(value)), {
      error: `accepted is ${expected}`,
    })
    .transform((value) => Number(value) * HOUR_MS);

const oneOf = <const T extends readonly string[]>(...values: T) =>
  z.enum(values, { error: `accepted are ${values.join(', ')}` });

const given = (what: string) => z.string().regex(/^\S(.*\S)?$/, `accepted is ${what}`);

const port = wholeNumber(0, 65_535);

/** Every setting and its default, as it would stand in the environment. */
export const DEFAULTS = {
  HOST: '0.0.0.0',
  PORT: '8080',
  ADMIN_HOST: '127.0.0.1',
  ADMIN_PORT: '9090',
  ROUTING_FILE: 'routing.yaml',
  DATABASE_URL: 'sqlite:data/bridge.db',
  TRUST_PROXY: 'loopback',
  BODY_LIMIT_BYTES: '262144',
  DELIVERY_CONCURRENCY: '64',
  DELIVERY_TIMEOUT_MS: '10000',
  RETRY_HORIZON_HOURS: '24',
  MAX_BACKLOG: '1000000',
  RETAIN_CONTENT_HOURS: '24',
  RETAIN_DAYS: '30',
  SHUTDOWN_DELAY_MS: '0',
  SHUTDOWN_GRACE_MS: '25000',
  LOG_LEVEL: 'info',
  LOG_FORMAT: 'auto',
} as const;

/** What there is no default for. */
const WITHOUT_DEFAULT = ['ADMIN_TOKEN', 'PUBLIC_URL'] as const;

/** Without the brackets in which a URL puts an IPv6 address. */
const host = given('a host name or address').transform((name) => name.replace(/^\[(.*)\]$/, '$1'));

/** A token that can be guessed is none. */
const SHORTEST_TOKEN = 16;

/** Where operators reach a running bridge; also read by the commands that talk to it. */
const admin = {
  ADMIN_HOST: host,
  ADMIN_PORT: port,
  ADMIN_TOKEN: z
    .string()
    .regex(
      new RegExp(`^[\\x21-\\x7e]{${SHORTEST_TOKEN},}$`),
      `accepted are at least ${SHORTEST_TOKEN} characters, without blanks`,
    )
    .optional(),
};

/** Where everything is that lasts. */
const places = {
  ROUTING_FILE: given('the path of a routing file'),
  DATABASE_URL: z
    .string()
    // SQLite's own names for databases in memory would acknowledge what is nowhere.
    .refine((url) => /^sqlite:(?!:|file:)\S(.*\S)?$/.test(url) || isPostgres(url), {
      error:
        'accepted are sqlite: with a relative or absolute path, such as sqlite:data/bridge.db, ' +
        'and postgres://user:password@host:port/database (a password in percent-encoding)',
    })
    .transform(
      (url): DatabaseAddress =>
        isPostgres(url) ? { kind: 'postgres', url } : { kind: 'sqlite', file: url.slice('sqlite:'.length) },
    ),
};

const schema = z
  .object({
    HOST: host,
    PORT: port,
    ...admin,
    ...places,
    PUBLIC_URL: z
      .string()
      .refine(isBase, { error: 'accepted is what providers call, up to /webhooks, such as https://bridge.example.com' })
      .transform((url) => url.replace(/\/+$/, ''))
      .optional(),
    TRUST_PROXY: z
      .string()
      .refine(
        (value) => value === 'none' || isHops(value) || value.split(',').every((part) => isAddress(part.trim())),
        {
          error:
            'accepted are none, a number of proxies, or a list of addresses, CIDRs, loopback, linklocal, uniquelocal',
        },
      )
      .transform((value) => (value === 'none' ? false : isHops(value) ? Number(value) : value)),
    BODY_LIMIT_BYTES: wholeNumber(1, 64 * 1024 * 1024),
    DELIVERY_CONCURRENCY: wholeNumber(1, 10_000),
    DELIVERY_TIMEOUT_MS: wholeNumber(1, 600_000),
    RETRY_HORIZON_HOURS: hours((value) => value > 0, 'a number of hours above 0, up to 8760, such as 24 or 0.5'),
    MAX_BACKLOG: wholeNumber(1, 1_000_000_000),
    RETAIN_CONTENT_HOURS: hours(() => true, 'a number of hours from 0 to 8760, such as 24 or 0.5'),
    // Senders repeat for up to a week, and a repeat is only recognised while the first one is remembered.
    RETAIN_DAYS: wholeNumber(8, 3_650),
    SHUTDOWN_DELAY_MS: wholeNumber(0, 600_000),
    SHUTDOWN_GRACE_MS: wholeNumber(0, 600_000),
    LOG_LEVEL: oneOf('error', 'warn', 'info', 'debug'),
    LOG_FORMAT: oneOf('auto', 'json', 'pretty'),
  } satisfies Record<keyof typeof DEFAULTS | (typeof WITHOUT_DEFAULT)[number], z.ZodType>)
  .refine(({ ADMIN_HOST, ADMIN_TOKEN }) => isLoopback(ADMIN_HOST) || ADMIN_TOKEN !== undefined, {
    path: ['ADMIN_TOKEN'],
    error: `is needed where ADMIN_HOST is not loopback: at least ${SHORTEST_TOKEN} characters, without blanks`,
    // Also beside other faults, but not where it is unknown what ADMIN_HOST is.
    when: ({ issues }) => issues.every(({ path }) => path?.[0] !== 'ADMIN_HOST'),
  });

/** Reached from this machine alone. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|::1)$/i.test(host);
}

/** A host, or `?host=` for a socket, and the name of the database; the rest has defaults. */
function isPostgres(url: string): boolean {
  if (!/^postgres(ql)?:\/\/\S+$/.test(url) || !URL.canParse(url)) return false;
  const { host, pathname, searchParams } = new URL(url);
  return pathname.length > 1 && (host !== '' || searchParams.has('host'));
}

/** The URL is signed as it is written, so it is kept so. */
function isBase(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && /^https?:\/\/[^?#\s]+$/.test(text) && !/\/webhooks\/?$/.test(text);
}

/** One or more proxies in front; `0` and `true` would be a client's word for its own address. */
function isHops(value: string): boolean {
  return /^[1-9]\d{0,2}$/.test(value);
}

function isAddress(value: string): boolean {
  if (['loopback', 'linklocal', 'uniquelocal'].includes(value)) return true;
  const [address = '', bits, ...rest] = value.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
}

/** Where the outbox is. */
export type DatabaseAddress =
  | { readonly kind: 'sqlite'; readonly file: string }
  | { readonly kind: 'postgres'; readonly url: string };

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where, and with what, operators reach a bridge. */
export interface AdminSettings {
  readonly adminHost: string;
  readonly adminPort: number;
  readonly adminToken: string | undefined;
}

export interface Settings extends AdminSettings {
  readonly host: string;
  readonly port: number;
  readonly routingFile: string;
  readonly database: DatabaseAddress;
  /** What the process writes besides. */
  readonly dataFolder: string;
  readonly trustProxy: string | number | false;
  /** What providers call, without a slash at its end. */
  readonly publicUrl: string | undefined;
  readonly bodyLimitBytes: number;
  readonly deliveryConcurrency: number;
  readonly deliveryTimeoutMs: number;
  readonly retryHorizonMs: number;
  readonly maxBacklog: number;
  readonly retainContentMs: number;
  readonly retainMs: number;
  readonly shutdownDelayMs: number;
  readonly shutdownGraceMs: number;
  readonly logLevel: 'error' | 'warn' | 'info' | 'debug';
  readonly logFormat: 'auto' | 'json' | 'pretty';
  /** Where `${VAR}` of the routing file is looked up. */
  readonly env: Environment;
}

/** Settings that cannot be used. One line a problem. */
export class SettingsRefused extends Error {
  override readonly name = 'SettingsRefused';
}

function withDefaults(env: Environment): Environment {
  const defaults = Object.entries(DEFAULTS).map(([name, value]) => [name, env[name] ?? value]);
  const others = WITHOUT_DEFAULT.map((name) => [name, env[name]]);
  return Object.fromEntries([...defaults, ...others]);
}

/** Secrets are not repeated to the terminal; a database's URL may hold one. */
const SECRET = new Set(['DATABASE_URL', 'ADMIN_TOKEN']);

function parse<T>(schema: z.ZodType<T>, env: Environment): T {
  const parsed = schema.safeParse(withDefaults(env));
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map(({ path, message }) => {
    const name = String(path[0]);
    const value = SECRET.has(name) ? 'its value' : `"${env[name]}"`;
    if (env[name] === undefined) return `${name}: ${message}`;
    return `${name}: ${env[name] === '' ? 'it is set to nothing' : `${value} is not understood`}; ${message}`;
  });
  throw new SettingsRefused([...new Set(lines)].join('\n'));
}

/** @throws {SettingsRefused} as `readSettings`, for these settings alone */
export function readAdminSettings(env: Environment): AdminSettings {
  return toAdminSettings(parse(z.object(admin), env));
}

function toAdminSettings(values: z.output<z.ZodObject<typeof admin>>): AdminSettings {
  return { adminHost: values.ADMIN_HOST, adminPort: values.ADMIN_PORT, adminToken: values.ADMIN_TOKEN };
}

/** Beside the database is the one place that is surely writable; `data` where that is none of files. */
function dataFolderOf(database: DatabaseAddress): string {
  return database.kind === 'sqlite' ? dirname(database.file) : 'data';
}

/** @throws {SettingsRefused} as `readSettings`, for these settings alone */
export function readRoutingSettings(env: Environment): Pick<Settings, 'routingFile' | 'dataFolder'> {
  const { ROUTING_FILE, DATABASE_URL } = parse(z.object(places), env);
  return { routingFile: ROUTING_FILE, dataFolder: dataFolderOf(DATABASE_URL) };
}

/** @throws {SettingsRefused} with every problem at once: the name, what is wrong with the value, what is accepted */
export function readSettings(env: Environment): Settings {
  const values = parse(schema, env);
  return {
    host: values.HOST,
    port: values.PORT,
    ...toAdminSettings(values),
    routingFile: values.ROUTING_FILE,
    database: values.DATABASE_URL,
    dataFolder: dataFolderOf(values.DATABASE_URL),
    trustProxy: values.TRUST_PROXY,
    publicUrl: values.PUBLIC_URL,
    bodyLimitBytes: values.BODY_LIMIT_BYTES,
    deliveryConcurrency: values.DELIVERY_CONCURRENCY,
    deliveryTimeoutMs: values.DELIVERY_TIMEOUT_MS,
    retryHorizonMs: values.RETRY_HORIZON_HOURS,
    maxBacklog: values.MAX_BACKLOG,
    retainContentMs: values.RETAIN_CONTENT_HOURS,
    retainMs: values.RETAIN_DAYS * 24 * HOUR_MS,
    shutdownDelayMs: values.SHUTDOWN_DELAY_MS,
    shutdownGraceMs: values.SHUTDOWN_GRACE_MS,
    logLevel: values.LOG_LEVEL,
    logFormat: values.LOG_FORMAT,
    env,
  };
}
