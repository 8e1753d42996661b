import { expect, test } from '@jest/globals';
import { DEFAULTS, readAdminSettings, readSettings, type Settings } from '../src/settings.ts';

/** The lines of the refusal; none when the settings are accepted. */
function faultsOf(env: Readonly<Record<string, string | undefined>>): readonly string[] {
  try {
    readSettings(env);
    return [];
  } catch (error) {
    expect(error).toHaveProperty('name', 'SettingsRefused');
    return error instanceof Error ? error.message.split('\n') : [];
  }
}

test('without any environment every setting has its default', () => {
  expect(readSettings({})).toMatchObject({
    host: '0.0.0.0',
    port: 8080,
    adminHost: '127.0.0.1',
    adminPort: 9090,
    adminToken: undefined,
    routingFile: 'routing.yaml',
    database: { kind: 'sqlite', file: 'data/bridge.db' },
    publicUrl: undefined,
    trustProxy: 'loopback',
    bodyLimitBytes: 262_144,
    deliveryConcurrency: 64,
    deliveryTimeoutMs: 10_000,
    retryHorizonMs: 24 * 3_600_000,
    maxBacklog: 1_000_000,
    retainContentMs: 24 * 3_600_000,
    retainMs: 30 * 24 * 3_600_000,
    shutdownDelayMs: 0,
    shutdownGraceMs: 25_000,
    logLevel: 'info',
    logFormat: 'auto',
  });
});

test('the rest of the environment is left alone, and is where the routing file looks', () => {
  const env = { PATH: '/bin', npm_config_port: 'x', CRM_SECRET: 's' };
  expect(readSettings(env).env).toBe(env);
});

const POSTGRES = 'postgres://me:p%40ss@db.example.com:6432/bridge?sslmode=verify-full';

test.each<[name: string, value: string, setting: keyof Settings, read: unknown]>([
  ['HOST', '::1', 'host', '::1'],
  ['HOST', 'localhost', 'host', 'localhost'],
  ['PORT', '0', 'port', 0],
  ['PORT', '65535', 'port', 65_535],
  ['ADMIN_HOST', 'localhost', 'adminHost', 'localhost'],
  ['ADMIN_PORT', '0', 'adminPort', 0],
  ['ADMIN_PORT', '65535', 'adminPort', 65_535],
  ['ADMIN_TOKEN', '16-characters-ok', 'adminToken', '16-characters-ok'],
  ['ADMIN_TOKEN', '!"#$%&\'()*+,-./:;<=>?@[]^_`{|}~', 'adminToken', '!"#$%&\'()*+,-./:;<=>?@[]^_`{|}~'],
  ['ROUTING_FILE', '/etc/bridge/my routing.yaml', 'routingFile', '/etc/bridge/my routing.yaml'],
  ['DATABASE_URL', 'sqlite:bridge.db', 'database', { kind: 'sqlite', file: 'bridge.db' }],
  ['DATABASE_URL', 'sqlite:/var/lib/bridge.db', 'database', { kind: 'sqlite', file: '/var/lib/bridge.db' }],
  ['DATABASE_URL', POSTGRES, 'database', { kind: 'postgres', url: POSTGRES }],
  ['DATABASE_URL', 'postgresql://db/x', 'database', { kind: 'postgres', url: 'postgresql://db/x' }],
  ['DATABASE_URL', 'postgres:///x?host=/run/pg', 'database', { kind: 'postgres', url: 'postgres:///x?host=/run/pg' }],
  ['PUBLIC_URL', 'https://bridge.example.com', 'publicUrl', 'https://bridge.example.com'],
  ['PUBLIC_URL', 'https://bridge.example.com:8443/hooks/', 'publicUrl', 'https://bridge.example.com:8443/hooks'],
  ['PUBLIC_URL', 'http://10.0.0.1', 'publicUrl', 'http://10.0.0.1'],
  ['TRUST_PROXY', 'none', 'trustProxy', false],
  ['TRUST_PROXY', '1', 'trustProxy', 1],
  ['TRUST_PROXY', '999', 'trustProxy', 999],
  ['TRUST_PROXY', '10.0.0.1', 'trustProxy', '10.0.0.1'],
  ['TRUST_PROXY', '10.0.0.0/8, 172.16.0.0/12', 'trustProxy', '10.0.0.0/8, 172.16.0.0/12'],
  ['TRUST_PROXY', '10.0.0.0/0', 'trustProxy', '10.0.0.0/0'],
  ['TRUST_PROXY', '10.0.0.0/32', 'trustProxy', '10.0.0.0/32'],
  ['TRUST_PROXY', 'fd00::/8,::1/128', 'trustProxy', 'fd00::/8,::1/128'],
  ['TRUST_PROXY', 'loopback,linklocal, uniquelocal', 'trustProxy', 'loopback,linklocal, uniquelocal'],
  ['BODY_LIMIT_BYTES', '1', 'bodyLimitBytes', 1],
  ['BODY_LIMIT_BYTES', '67108864', 'bodyLimitBytes', 67_108_864],
  ['DELIVERY_CONCURRENCY', '1', 'deliveryConcurrency', 1],
  ['DELIVERY_CONCURRENCY', '10000', 'deliveryConcurrency', 10_000],
  ['DELIVERY_TIMEOUT_MS', '1', 'deliveryTimeoutMs', 1],
  ['DELIVERY_TIMEOUT_MS', '600000', 'deliveryTimeoutMs', 600_000],
  ['RETRY_HORIZON_HOURS', '0.001', 'retryHorizonMs', 3_600],
  ['RETRY_HORIZON_HOURS', '8760', 'retryHorizonMs', 8760 * 3_600_000],
  ['MAX_BACKLOG', '1', 'maxBacklog', 1],
  ['RETAIN_CONTENT_HOURS', '0', 'retainContentMs', 0],
  ['RETAIN_DAYS', '8', 'retainMs', 8 * 24 * 3_600_000],
  ['SHUTDOWN_DELAY_MS', '0', 'shutdownDelayMs', 0],
  ['SHUTDOWN_DELAY_MS', '600000', 'shutdownDelayMs', 600_000],
  ['SHUTDOWN_GRACE_MS', '0', 'shutdownGraceMs', 0],
  ['SHUTDOWN_GRACE_MS', '600000', 'shutdownGraceMs', 600_000],
  ['LOG_LEVEL', 'error', 'logLevel', 'error'],
  ['LOG_LEVEL', 'warn', 'logLevel', 'warn'],
  ['LOG_LEVEL', 'debug', 'logLevel', 'debug'],
  ['LOG_FORMAT', 'json', 'logFormat', 'json'],
  ['LOG_FORMAT', 'pretty', 'logFormat', 'pretty'],
])('%s may be "%s"', (name, value, setting, read) => {
  expect(readSettings({ [name]: value })[setting]).toEqual(read);
});

/** What no number may look like, beside what is out of its bounds. */
const NO_NUMBERS = [
  '-1',
  '1.5',
  '1e3',
  ' 8080',
  '8080 ',
  '8 080',
  '0x10',
  '+5',
  '8_080',
  'many',
  'NaN',
  'Infinity',
  '٣',
];

test.each<[name: string, min: number, max: number]>([
  ['PORT', 0, 65_535],
  ['ADMIN_PORT', 0, 65_535],
  ['BODY_LIMIT_BYTES', 1, 67_108_864],
  ['DELIVERY_CONCURRENCY', 1, 10_000],
  ['DELIVERY_TIMEOUT_MS', 1, 600_000],
  ['MAX_BACKLOG', 1, 1_000_000_000],
  ['RETAIN_DAYS', 8, 3_650],
  ['SHUTDOWN_DELAY_MS', 0, 600_000],
  ['SHUTDOWN_GRACE_MS', 0, 600_000],
])('%s is a whole number from %i to %i and nothing else', (name, min, max) => {
  const wrong = [...NO_NUMBERS, String(min - 1), String(max + 1), `${max}0000000000000000`];
  expect(wrong.map((value) => faultsOf({ [name]: value }))).toEqual(
    wrong.map((value) => [`${name}: "${value}" is not understood; accepted is a whole number from ${min} to ${max}`]),
  );
});

const PROXIES =
  'accepted are none, a number of proxies, or a list of addresses, CIDRs, loopback, linklocal, uniquelocal';
const BASE = 'accepted is what providers call, up to /webhooks, such as https://bridge.example.com';
const LEVELS = 'accepted are error, warn, info, debug';
const FORMATS = 'accepted are auto, json, pretty';

test.each<[name: string, value: string, accepted: string]>([
  ...[
    '0',
    '00',
    '01',
    '-1',
    '1.5',
    '1000',
    'true',
    'false',
    'all',
    ' ',
    'Loopback',
    'loopback;linklocal',
    '10.0.0',
    '10.0.0.256',
  ].map((value): [string, string, string] => ['TRUST_PROXY', value, PROXIES]),
  ...[
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '::1/129',
    '/8',
    'proxy.example',
    'loopback,',
    '1,10.0.0.1',
  ].map((value): [string, string, string] => ['TRUST_PROXY', value, PROXIES]),
  ...[
    'bridge.example.com',
    'ftp://bridge.example.com',
    'https://',
    'https://a.example?x=1',
    'https://a.example#x',
    'https://a b',
    'https://a.example/webhooks',
  ].map((value): [string, string, string] => ['PUBLIC_URL', value, BASE]),
  ['LOG_LEVEL', 'INFO', LEVELS],
  ['LOG_LEVEL', 'silly', LEVELS],
  ['LOG_LEVEL', ' info', LEVELS],
  ['LOG_FORMAT', 'text', FORMATS],
  ['LOG_FORMAT', 'Json', FORMATS],
])('%s may not be "%s"', (name, value, accepted) => {
  expect(faultsOf({ [name]: value })).toEqual([`${name}: "${value}" is not understood; ${accepted}`]);
});

test.each([...Object.keys(DEFAULTS), 'ADMIN_TOKEN'])(
  '%s that is set to nothing is refused, not taken for its default',
  (name) => {
    expect(faultsOf({ [name]: '' })).toEqual([
      expect.stringMatching(new RegExp(`^${name}: it is set to nothing; accepted (is|are) .+`)),
    ]);
  },
);

test.each([
  'bridge.db',
  'sqlite:',
  'SQLITE:bridge.db',
  ' sqlite:bridge.db',
  'mysql://me:hunter2secret@db/bridge',
  'postgres://me:hunter2@db',
  'postgres://me:hunter2@db/',
  'postgres://me:hunter2@:port/bridge',
  'postgres://me:hunter2@db/bridge and more',
])('DATABASE_URL may not be "%s", and its value is not repeated', (value) => {
  const faults = faultsOf({ DATABASE_URL: value });
  expect(faults).toEqual([
    expect.stringMatching(/^DATABASE_URL: its value is not understood; accepted (is|are) sqlite:/),
  ]);
  expect(faults.join()).not.toContain('hunter2');
});

test('every problem is told at once, one a line, with name, fault and what is accepted', () => {
  const env = {
    PORT: '80a',
    DELIVERY_CONCURRENCY: '0',
    LOG_LEVEL: 'loud',
    HOST: '',
    DATABASE_URL: 'oracle:hunter2secret',
  };
  expect(faultsOf(env)).toEqual([
    'HOST: it is set to nothing; accepted is a host name or address',
    'PORT: "80a" is not understood; accepted is a whole number from 0 to 65535',
    expect.stringMatching(/^DATABASE_URL: its value is not understood; accepted /),
    'DELIVERY_CONCURRENCY: "0" is not understood; accepted is a whole number from 1 to 10000',
    'LOG_LEVEL: "loud" is not understood; accepted are error, warn, info, debug',
  ]);
});

test.each(['0', '-1', '8761', '1e1', '1.', '.5', 'a day', ''])('a retry horizon of "%s" hours is refused', (value) => {
  expect(() => readSettings({ RETRY_HORIZON_HOURS: value })).toThrow(
    /^RETRY_HORIZON_HOURS: .* accepted is a number of hours above 0, up to 8760, such as 24 or 0\.5$/,
  );
});

test.each(['-1', '8761', '1e1', ''])('content kept for "%s" hours is refused', (value) => {
  expect(() => readSettings({ RETAIN_CONTENT_HOURS: value })).toThrow(/^RETAIN_CONTENT_HOURS: .* from 0 to 8760/);
});

test.each(['sqlite::memory:', 'sqlite:file:x?mode=memory', 'sqlite:', 'sqlite: ', 'data/bridge.db'])(
  'the database %s is refused: it would keep nothing, or is not a path',
  (value) => {
    expect(() => readSettings({ DATABASE_URL: value })).toThrow(
      /^DATABASE_URL: .*accepted are sqlite: with a relative or absolute path/,
    );
  },
);

test.each(['localhost', 'LOCALHOST', 'LocalHost', '127.0.0.1', '127.9.8.7', '::1'])(
  'ADMIN_HOST may be "%s" without ADMIN_TOKEN: only this machine reaches it',
  (host) => {
    expect(readSettings({ ADMIN_HOST: host })).toMatchObject({ adminHost: host, adminToken: undefined });
  },
);

const NEEDED = 'ADMIN_TOKEN: is needed where ADMIN_HOST is not loopback: at least 16 characters, without blanks';

test.each([
  '0.0.0.0',
  '::',
  '10.0.0.1',
  '192.168.127.0',
  '128.0.0.1',
  '1127.0.0.1',
  '127.0.0.1.example',
  'localhost.example',
  'my-localhost',
  '::ffff:10.0.0.1',
  'fe80::1',
])('ADMIN_HOST may be "%s" with ADMIN_TOKEN only', (host) => {
  expect(faultsOf({ ADMIN_HOST: host })).toEqual([NEEDED]);
  expect(faultsOf({ ADMIN_HOST: host, ADMIN_TOKEN: 'sixteen-at-least' })).toEqual([]);
});

test.each(['hunter2', 'hunter2-isshort', 'hunter2 with blanks in it', ' hunter2-hunter2-2', 'hunter2-hünter2-hunter2'])(
  'ADMIN_TOKEN may not be "%s", on loopback neither, and its value is not repeated',
  (token) => {
    for (const env of [{}, { ADMIN_HOST: '0.0.0.0' }]) {
      expect(faultsOf({ ...env, ADMIN_TOKEN: token })).toEqual([
        'ADMIN_TOKEN: its value is not understood; accepted are at least 16 characters, without blanks',
      ]);
    }
  },
);

test('a missing ADMIN_TOKEN is told beside whatever else is wrong', () => {
  const faults = faultsOf({ ADMIN_HOST: '0.0.0.0', PORT: 'x', LOG_LEVEL: 'loud', TRUST_PROXY: 'yes' });
  expect(faults.map((line) => line.split(':')[0])).toEqual(['PORT', 'TRUST_PROXY', 'LOG_LEVEL', 'ADMIN_TOKEN']);
});

test('commands that ask a bridge read where it is, and leave all else alone', () => {
  expect(readAdminSettings({})).toEqual({ adminHost: '127.0.0.1', adminPort: 9090, adminToken: undefined });
  const env = { ADMIN_HOST: '10.0.0.1', ADMIN_PORT: '1', ADMIN_TOKEN: 'sixteen-at-least', PORT: 'x', LOG_LEVEL: '' };
  expect(readAdminSettings(env)).toEqual({ adminHost: '10.0.0.1', adminPort: 1, adminToken: 'sixteen-at-least' });
  expect(readAdminSettings({ ADMIN_HOST: '10.0.0.1' })).toMatchObject({ adminToken: undefined });
  expect(() => readAdminSettings({ ADMIN_PORT: '65536', ADMIN_TOKEN: '' })).toThrow(
    /^ADMIN_PORT: "65536" is not understood; .*\nADMIN_TOKEN: it is set to nothing; [^\n]*$/,
  );
});
