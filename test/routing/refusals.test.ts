import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readDocument } from '../../src/routing/document/document.ts';
import { concealing, References } from '../../src/routing/document/references.ts';
import { RoutingRefused } from '../../src/routing/problem.ts';
import { temporaryFolder } from '../support/fixtures.ts';
import { ROOT } from '../support/process.ts';
import { loadRouting, parseRouting } from '../support/routing.ts';

/**
 * Broken routing files. `▸` stands before the place of each problem, and is taken out before the file is read; `says`
 * holds code and message of each of these problems, in their order. There must be no others.
 */
interface Refusal {
  readonly fault: string;
  readonly file: string;
  readonly says: readonly (readonly [code: string, message: RegExp])[];
}

const ENV = { TOKEN: 'zq#7: {kX"w\\9', HOST: 'haptik', EMPTY: '', LIMIT: 'many' };
/** A secret that an operator wrote straight into the file, and forgot to quote. */
const WRITTEN = 'Vb5cr3tVb5';

const ACCOUNTS = `
accounts:
  main: { base_url: "https://haptik.example", client_id: bridge, token: \${TOKEN} }`;
const CHANNELS = `
channels:
  chat: { verify: none }`;
const ROUTES = `
routes:
  - { channel: chat, business_id: 343, auth_id: "{{ sender | alnum }}" }`;

const account = (keys: string) => `accounts:\n  main: { ${keys} }${CHANNELS}${ROUTES}`;
const channel = (keys: string) => `${ACCOUNTS}\nchannels:\n  chat: ${keys}${ROUTES}`;
const verify = (value: string) => channel(`{ verify: ${value} }`);
const hmac = (keys: string) => verify(`{ hmac: { secret: \${TOKEN}, header: x-signature, ${keys} } }`);
const form = (keys: string) => channel(`{ provider: form, verify: none, ${keys} }`);
const route = (keys: string) => `${ACCOUNTS}${CHANNELS}\nroutes:\n  - ${keys}`;
const authId = (template: string) => route(`{ channel: chat, business_id: 343, auth_id: ${template} }`);
const alsoInRoute = (keys: string) => route(`{ channel: chat, business_id: 343, auth_id: a, ${keys} }`);
const when = (value: string) => alsoInRoute(`when: ${value}`);
const senders = (value: string) => `${ACCOUNTS}${CHANNELS}${ROUTES}\nsenders:${value}`;

const GOOD_ACCOUNT = 'base_url: "https://haptik.example", client_id: bridge, token: t';
const WHOLE = /: expected a whole number of at least 1$/;
const SCHEMES = /expected none, or one of \{ secret: … \}, .*\{ header: … \}, \{ query: … \}, .*\{ hmac: … \}$/;
const TOPIC = 'arn:aws:sns:ap-south-1:123456789012:inbound-sms';
const PEM = JSON.stringify(readFileSync(join(ROOT, 'test/fixtures/sns/certificate.pem'), 'utf8'));
const ONE_SCHEME =
  /verify: needs exactly one of secret, public_key, topic_arn, header, query, basic, standard_webhooks, github, stripe, hmac$/;
const BUSINESS_ID = /business_id: expected a whole number such as 343, the number that Haptik gave$/;
const PLAIN_HTTP = /is plain http, .* use https, or write allow_http: true$/;
const WITH_REFERENCE = /^[^ ]+: with what its reference stands for /;
const TOO_MUCH = /^its aliases \(\*name\) stand for too much, or for themselves; write the values out$/;
const TOO_DEEP = /^it is nested too deeply$/;
const TWICE = /^this name stands twice; the second would silently replace the first$/;
const PATH = /is not a path; write names joined by "\.", \[0\] for an index, \["a\.b"\] for a name$/;
const NAME = /: a name is 1 to 64 of A-Z, a-z, 0-9, "_" and "-"$/;
const REFERENCE = /write \$\{NAME\}, or \$\{file:\/run\/secrets\/name\}$/;
const NEEDS_URL = /^accounts\.main: needs base_url, or message_url and user_url/;

const refusals: Refusal[] = [];

function refused(fault: string, file: string, ...says: Refusal['says']): void {
  refusals.push({ fault, file, says });
}

// The file as a whole
refused('an empty file', '▸', ['missing', /^the file is empty; it needs accounts, channels and routes$/]);
refused('a file of comments', '▸# accounts:\n', ['missing', /^the file is empty/]);
refused('a file that is a list', '▸- accounts\n- channels', ['invalid', /^routing file: expected a map, not a list$/]);
refused('a file that is a text', '▸accounts', ['invalid', /^routing file: expected a map, not text$/]);
refused(
  'a file without channels and routes',
  `▸▸${ACCOUNTS.trim()}`,
  ['missing', /^channels: is missing; expected a map$/],
  ['missing', /^routes: is missing; expected a list$/],
);
refused(
  'a file of sections with nothing in them',
  '▸accounts:\n▸channels:\n▸routes:\n▸senders:\n',
  ['invalid', /^accounts: expected a map, not nothing$/],
  ['invalid', /^channels: expected a map, not nothing$/],
  ['invalid', /^routes: expected a list, not nothing$/],
  ['invalid', /^senders: expected a map, not nothing$/],
);
refused(
  'a file of empty sections',
  'accounts: ▸{}\nchannels: ▸{}\nroutes: ▸[]\n',
  ['invalid', /^accounts: must hold at least one account$/],
  ['invalid', /^channels: must hold at least one channel$/],
  ['invalid', /^routes: must hold at least one route$/],
);

// YAML
refused('a tab as indentation', `${ACCOUNTS}\nchannels:\n▸\tchat: { verify: none }${ROUTES}`, [
  'yaml',
  /^not valid YAML: the line is indented by a tab; YAML takes blanks only$/,
]);
refused('a brace that is not closed', `${ACCOUNTS}\nchannels:\n  chat: { verify: none\n▸routes: []`, [
  'yaml',
  /^not valid YAML: a \{ or \[ is not closed, or what it holds is indented too little$/,
]);
refused('a quote that is not closed', authId('"{{ sender }}▸').replace(/ }$/, ''), [
  'yaml',
  /^not valid YAML: a quote is not closed$/,
]);
refused('a key at the wrong depth', `${ACCOUNTS}\nchannels:\n  chat:\n    verify: none\n▸   provider: form${ROUTES}`, [
  'yaml',
  /^not valid YAML: a name begins further left or right than those beside it, and belongs to none of them$/,
]);
refused('a name without a value', `${ACCOUNTS}\nchannels:\n  ▸chat\n  crm: { verify: none }${ROUTES}`, [
  'yaml',
  /^not valid YAML: a name /,
]);
refused('a template without quotes', authId('{▸{ sender | sha256 }}'), [
  'bad_template',
  /^a template, \{\{ … \}\}, needs quotes around it$/,
]);
refused(
  'a list in place of a name',
  `${ACCOUNTS}${CHANNELS}\nroutes:\n  - channel: chat\n  business_id: 3\n`.replace('  business_id', '▸  business_id'),
  ['yaml', /^not valid YAML: /],
);
refused('a name that is nothing', `${ACCOUNTS}\nchannels:\n  chat: { verify: none }\n  ▸~: { verify: none }${ROUTES}`, [
  'bad_name',
  /^a name is expected here, not a list, a map, an alias or nothing$/,
]);
refused(
  'a value with a second colon',
  `${ACCOUNTS}\nchannels:\n  chat: { verify: none }\nroutes:\n  - channel: ▸chat: x\n`,
  ['yaml', /^not valid YAML: a second ": " stands in this line; a value that holds one needs quotes$/],
);
refused('a comma that is missing', channel('{ provider: ▸generic verify: none }'), ['yaml', /^not valid YAML: /]);
refused('a blank of no width in a template', authId('▸"a\u200b{{ sender }}"'), [
  'impossible_auth_id',
  /always holds "\\u\{200b\}"/,
]);
refused('a second document', `${ACCOUNTS}${CHANNELS}${ROUTES}\n▸---\n`, ['yaml', /^a second document begins here/]);
refused('a text that begins with an exclamation mark', account(`token: ▸!${WRITTEN} x`), [
  'yaml',
  /^a tag \(!name\) is not known; text that begins with ! needs quotes$/,
]);
refused('a text that begins with an asterisk', account(`token: ▸*${WRITTEN}`), [
  'yaml',
  /^an alias \(\*name\) has no anchor \(&name\) before it; text that begins with \* needs quotes$/,
]);
refused('a text that begins with an at sign', account(`token: ▸@${WRITTEN}`), [
  'yaml',
  /^not valid YAML: Plain value cannot start with reserved character @$/,
]);
refused('a text that begins with a bar', `accounts:\n  main:\n    token: |▸${WRITTEN}\n`, [
  'yaml',
  /^not valid YAML: Block scalar header includes extra characters$/,
]);
refused(
  'a pile of aliases',
  `a: &a [${'x,'.repeat(50)}]\nb: &b [${'*a,'.repeat(99)}]\nc: &c [${'*b,'.repeat(99)}]\nd: [${'*c,'.repeat(3)}▸*c]\n`,
  ['yaml', TOO_MUCH],
);
refused('an alias within what it stands for', `${ACCOUNTS}\nchannels: &all\n  chat: { verify: ▸*all }${ROUTES}`, [
  'yaml',
  TOO_MUCH,
]);
refused('lists in lists, more than any file has', `a: ${'['.repeat(100)}▸[${']'.repeat(101)}`, ['yaml', TOO_DEEP]);
refused('a merge key, which YAML 1.2 does not have', `%YAML 1.1\n---${senders('\n  x: A\n  <<: ▸{ y: B }')}`, [
  'invalid',
  /^senders\.<<: expected text/,
]);

// Names
refused('a section that stands twice', `${ACCOUNTS}${CHANNELS}${ROUTES}\n▸channels: {}`, ['duplicate', TWICE]);
refused('an account that stands twice', `accounts:\n  a: {}\n  ▸a: {}${CHANNELS}${ROUTES}`, ['duplicate', TWICE]);
refused('a channel that stands twice, once in quotes', channel(`{ verify: none }\n  ▸"chat": {}`), [
  'duplicate',
  TWICE,
]);
refused('a key that stands twice', verify('none, ▸verify: none'), ['duplicate', TWICE]);
refused('a sender that stands twice, once as a number', senders('\n  +919820012345: A\n  ▸"+919820012345": B'), [
  'duplicate',
  TWICE,
]);
refused('a sender that stands twice, written in two ways', senders('\n  "+91 98200 12345": A\n  ▸"+919820012345": B'), [
  'duplicate',
  /^senders\.\+919820012345: is the same sender as "\+91 98200 12345"$/,
]);
refused('an account with a blank in its name', `accounts:\n  ▸my acc: { ${GOOD_ACCOUNT} }${CHANNELS}${ROUTES}`, [
  'bad_name',
  NAME,
]);
refused('a channel with a dot in its name', channel('{ verify: none }\n  ▸a.b: { verify: none }'), ['bad_name', NAME]);
refused('a channel with too long a name', channel(`{ verify: none }\n  ▸${'a'.repeat(65)}: { verify: none }`), [
  'bad_name',
  NAME,
]);
refused('a channel named by a reference', channel(`{ verify: none }\n  ▸\${HOST}: { verify: none }`), [
  'bad_name',
  /^channels\.\$\{HOST\}: a name is/,
]);
refused('a channel named __proto__', channel('{ verify: none }\n  ▸__proto__: { verify: none }'), [
  'bad_name',
  /^__proto__ is not a name to use$/,
]);
refused('a name that is a list', channel('{ verify: none }\n  ? ▸[a, b]\n  : { verify: none }'), [
  'bad_name',
  /^a name is expected here, not a list, a map, an alias or nothing$/,
]);
refused('a blank sender', senders('\n  ▸" ": A'), ['bad_name', /: a sender is not blank$/]);

// Unknown keys
refused('an unknown section', `${ACCOUNTS}${CHANNELS}${ROUTES}\n▸route: []`, [
  'unknown_key',
  /^route: unknown key; accepted are accounts, channels, routes, senders, senders_file$/,
]);
refused('an unknown key of an account', account(`${GOOD_ACCOUNT}, ▸tokn: x`), [
  'unknown_key',
  /^accounts\.main\.tokn: unknown key; accepted are base_url, .*client_id, token, .*max_length$/,
]);
refused('an unknown key of a channel', channel('{ verify: none, ▸secret: x }'), [
  'unknown_key',
  /^channels\.chat\.secret: unknown key; accepted are provider, verify, fields, .*rate_limit$/,
]);
refused('an unknown scheme', verify('{ ▸hmca: { secret: x } }'), [
  'unknown_key',
  /^channels\.chat\.verify\.hmca: unknown key; accepted are mode, .*, header, query, basic, .*hmac$/,
]);
refused('an unknown key of the header scheme', verify('{ header: { name: x, secret: y, ▸prefix: z } }'), [
  'unknown_key',
  /header\.prefix: unknown key; accepted are name, secret$/,
]);
refused(
  'a misspelt key that leaves another one missing, as one fault',
  verify('{ basic: { ▸user: x, password: y } }'),
  [
    'unknown_key',
    /^channels\.chat\.verify\.basic\.user: unknown key, and username is missing; accepted are username, password$/,
  ],
);
refused('a misspelt section', `${ACCOUNTS}${CHANNELS}\n▸ruotes: []`, [
  'unknown_key',
  /^ruotes: unknown key, and routes is missing; accepted are accounts, channels, routes, senders, senders_file$/,
]);
refused('a misspelt key of a route', route('{ channel: chat, ▸buiness_id: 343, auth_id: a }'), [
  'unknown_key',
  /^routes\[0\]\.buiness_id: unknown key, and business_id is missing; accepted are channel, /,
]);
refused(
  'two misspelt keys of a route',
  route('{ ▸chanel: chat, ▸buiness_id: 343, auth_id: a }'),
  ['unknown_key', /^routes\[0\]\.chanel: unknown key, and channel is missing; /],
  ['unknown_key', /^routes\[0\]\.buiness_id: unknown key, and business_id is missing; /],
);
refused('a misspelt verify', channel('{ ▸veify: none }'), [
  'unknown_key',
  /^channels\.chat\.veify: unknown key, and verify is missing; accepted are provider, verify, /,
]);
refused('a key with a blank of no width in it', channel('{ verify: none, ▸prov\u200bider: form }'), [
  'unknown_key',
  /^channels\.chat\.prov\\u\{200b\}ider: unknown key; accepted are provider, /,
]);
refused('a filter with a blank that does not break', authId('▸"{{ sender |\u00a0dig\u200dits }}"'), [
  'bad_template',
  /^routes\[0\]\.auth_id: undefined filter: dig\\u\{200d\}its /,
]);
refused(
  'an unknown key beside another one that is missing',
  verify('{ basic: ▸{ ▸realm: x, password: y } }'),
  ['missing', /^channels\.chat\.verify\.basic\.username: is missing; expected text$/],
  ['unknown_key', /^channels\.chat\.verify\.basic\.realm: unknown key; accepted are username, password$/],
);
refused('an unknown key of hmac', hmac('▸algo: sha1'), [
  'unknown_key',
  /hmac\.algo: unknown key; accepted are secret, header, algorithm, encoding, prefix, signed, timestamp_header, tole/,
]);
refused('a misspelt key of hmac, without its consequences', hmac('signed: "{timestamp}{body}", ▸timestamp_haeder: t'), [
  'unknown_key',
  /timestamp_haeder: unknown key/,
]);
refused('a misspelt provider, without its consequences', channel('{ ▸providr: form, verify: none, honeypot: x }'), [
  'unknown_key',
  /^channels\.chat\.providr: unknown key/,
]);
refused('an unknown field', channel('{ verify: none, fields: { ▸from: a } }'), [
  'unknown_key',
  /fields\.from: unknown key; accepted are sender, text, recipient, id, sent_at, name, email, phone, fields$/,
]);
refused('an unknown key of a route', alsoInRoute('▸body: x'), [
  'unknown_key',
  /^routes\[0\]\.body: unknown key; accepted are channel, account, when, business_id, auth_id, message_body, user, on_unknown, on_dead$/,
]);
refused('an unknown subject of a condition', when('{ ▸body: x }'), [
  'unknown_key',
  /^routes\[0\]\.when\.body: unknown key; accepted are recipient, sender, text, fields\.<name>$/,
]);
refused('fields as the subject of a condition', when('{ ▸fields: x }'), ['unknown_key', /fields\.<name>$/]);
refused('an unknown kind of condition', when('{ text: { ▸regex: x } }'), [
  'unknown_key',
  /^routes\[0\]\.when\.text\.regex: unknown key; accepted are prefix, matches$/,
]);
refused('an unknown key of a profile', alsoInRoute('user: { ▸phone: x }'), [
  'unknown_key',
  /user\.phone: unknown key; accepted are name, email, mobile_no, language_code, custom_data$/,
]);

// Kinds of values
refused('a section that is a text', `accounts: ▸main${CHANNELS}${ROUTES}`, [
  'invalid',
  /^accounts: expected a map, not text$/,
]);
refused('channels that are a list', `${ACCOUNTS}\nchannels:\n  ▸- chat${ROUTES}`, [
  'invalid',
  /^channels: expected a map, not a list$/,
]);
refused('a channel with nothing in it', `${ACCOUNTS}\nchannels:\n  ▸chat:${ROUTES}`, [
  'invalid',
  /^channels\.chat: expected a map, not nothing$/,
]);
refused('routes that are a map', `${ACCOUNTS}${CHANNELS}\nroutes:\n  ▸chat: {}`, [
  'invalid',
  /^routes: expected a list, not a map$/,
]);
refused('a route that is a text', route('▸chat'), ['invalid', /^routes\[0\]: expected a map, not text$/]);
refused('a flag in quotes', account(`${GOOD_ACCOUNT}, register_users: ▸"yes"`), [
  'invalid',
  /^accounts\.main\.register_users: expected true or false, not text$/,
]);
refused('a limit of zero', account(`${GOOD_ACCOUNT}, max_concurrency: ▸0`), ['invalid', WHOLE]);
refused('a pace of zero', account(`${GOOD_ACCOUNT}, max_per_second: ▸0`), ['invalid', /a number above 0/]);
refused('a pace in words', account(`${GOOD_ACCOUNT}, max_per_second: ▸fast`), ['invalid', /a number above 0/]);
refused('leave for http in a word', account(`${GOOD_ACCOUNT}, allow_http: ▸yes`), [
  'invalid',
  /^accounts\.main\.allow_http: expected true or false, not text$/,
]);
refused('a negative limit', account(`${GOOD_ACCOUNT}, max_length: ▸-1`), ['invalid', WHOLE]);
refused('a limit with a fraction', account(`${GOOD_ACCOUNT}, max_length: ▸1.5`), ['invalid', WHOLE]);
refused('a limit with an exponent', form('rate_limit: ▸1e3'), ['invalid', WHOLE]);
refused('a limit that is a word in the environment', form(`rate_limit: ▸\${LIMIT}`), ['invalid', WHOLE]);
refused('a template that is a number', authId('▸5'), [
  'invalid',
  /^routes\[0\]\.auth_id: expected text, not 5 \(for text, put it in quotes\)$/,
]);
refused('a template that is a list', authId('▸[a]'), ['invalid', /auth_id: expected text, not a list$/]);
refused('a template that is nothing', authId('').replace('auth_id', '▸auth_id'), [
  'invalid',
  /auth_id: expected text, not nothing$/,
]);

// References to the environment and to files
refused('a variable that is not set', account(`base_url: ▸\${HAPTIK_BASE_URL}`), [
  'unset_variable',
  /^\$\{HAPTIK_BASE_URL\} is not set; set it in the environment or in \.env$/,
]);
refused('a variable that only JavaScript has set', verify(`{ header: { name: x, secret: ▸\${toString} } }`), [
  'unset_variable',
  /^\$\{toString\} is not set/,
]);
refused('a variable that is set to nothing', verify(`{ header: { name: x, secret: ▸\${EMPTY} } }`), [
  'empty_secret',
  /^\$\{EMPTY\} is empty; give the variable a value$/,
]);
refused(
  'several variables that are not set, one of them in a list',
  verify(`{ header: { name: ▸\${A}, secret: [b, ▸▸"\${B}-\${C}"] } }`),
  ['unset_variable', /^\$\{A\} is not set/],
  ['unset_variable', /^\$\{B\} is not set/],
  ['unset_variable', /^\$\{C\} is not set/],
);
refused('a file that is not there', verify(`{ header: { name: x, secret: ▸\${file:/no/such, file} } }`), [
  'unreadable_file',
  /^\$\{file:\/no\/such, file\} cannot be read: there is no such file \(ENOENT\)/,
]);
refused('a reference to nothing', verify(`{ header: { name: x, secret: ▸\${} } }`), ['bad_reference', REFERENCE]);
refused('a reference that is no name', verify(`{ header: { name: x, secret: ▸\${MY: VAR} } }`), [
  'bad_reference',
  /^\$\{MY: VAR\} is not a reference; write/,
]);
refused('a reference that is not closed', `accounts:\n  main:\n    token: ▸\${TOKEN\n`, ['bad_reference', REFERENCE]);
refused('a reference that is not closed within braces', `accounts:\n  main: { token: ▸\${TOKEN\n`, [
  'bad_reference',
  REFERENCE,
]);
refused('a reference that is not closed within quotes', verify(`{ header: { name: x, secret: ▸"\${TOKEN" } }`), [
  'bad_reference',
  REFERENCE,
]);

// Accounts
refused(
  'an account without credentials',
  account('base_url: https://haptik.example').replace('main: {', 'main: ▸▸{'),
  ['missing', /^accounts\.main\.client_id: is missing; expected text$/],
  ['missing', /^accounts\.main\.token: is missing; expected text$/],
);
refused('an empty token', account('base_url: https://haptik.example, client_id: b, token: ▸""'), [
  'invalid',
  /^accounts\.main\.token: must not be empty$/,
]);
refused(
  'a token that cannot stand in a header',
  account('base_url: https://haptik.example, client_id: b, token: ▸"a\\nb"'),
  ['invalid', /^accounts\.main\.token: must be printable ASCII: it is sent in a header$/],
);
refused('an account without URLs', account('client_id: b, token: t').replace('main: {', 'main: ▸{'), [
  'invalid',
  NEEDS_URL,
]);
refused(
  'an account with only one of two URLs',
  account('message_url: https://a.example/m, client_id: b, token: t').replace('main: {', 'main: ▸{'),
  ['invalid', NEEDS_URL],
);
refused(
  'base_url beside message_url',
  account('base_url: ▸https://a.example, message_url: https://a.example/m, client_id: b, token: t'),
  ['invalid', /^accounts\.main\.base_url: stands beside message_url or user_url; give base_url, or the whole URLs$/],
);
refused('a URL without a scheme', account('base_url: ▸haptik.example, client_id: b, token: t'), [
  'bad_url',
  /^accounts\.main\.base_url: expected a URL such as https:\/\/example\.haptikapi\.com$/,
]);
refused('a URL of another scheme', account('base_url: ▸ftp://haptik.example, client_id: b, token: t'), [
  'bad_url',
  /expected a URL such as/,
]);
refused('a URL with a password', account(`base_url: ▸https://me:${WRITTEN}@haptik.example, client_id: b, token: t`), [
  'bad_url',
  /expected a URL without credentials, query and fragment$/,
]);
refused('a URL that is a secret', account(`base_url: ▸\${TOKEN}, client_id: b, token: t`), [
  'bad_url',
  /expected a URL/,
]);
refused('plain http to another machine', account('base_url: ▸http://haptik.example, client_id: b, token: t'), [
  'invalid',
  PLAIN_HTTP,
]);
refused(
  'plain http to another machine, in both URLs',
  account('message_url: ▸http://a.example/m, user_url: ▸http://a.example/u, client_id: b, token: t'),
  ['invalid', /^accounts\.main\.message_url: is plain http/],
  ['invalid', /^accounts\.main\.user_url: is plain http/],
);
refused('an auth_id_pattern that is not one', account(`${GOOD_ACCOUNT}, auth_id_pattern: ▸"["`), [
  'bad_pattern',
  /^accounts\.main\.auth_id_pattern: error parsing regexp: missing closing \]/,
]);

// Channels
refused('an unknown provider', channel('{ provider: ▸from, verify: none }'), [
  'invalid',
  /^channels\.chat\.provider: accepted are generic, form, .*twilio, .*wpforms; did you mean form\?$/,
]);
refused('a bad path', channel('{ verify: none, fields: { sender: ▸a..b } }'), ['bad_path', PATH]);
refused('a path that begins with a dot', channel('{ verify: none, fields: { sender: ▸.a } }'), ['bad_path', PATH]);
refused('an empty path', channel('{ verify: none, fields: { text: ▸"" } }'), ['bad_path', PATH]);
refused('a path with a bracket that is not closed', channel('{ verify: none, fields: { text: ▸"a[0" } }'), [
  'bad_path',
  PATH,
]);
refused('a country in words', channel('{ verify: none, default_country: ▸India }'), [
  'invalid',
  /default_country: expected a country of ISO 3166-1 such as IN or US$/,
]);
refused('a country in small letters', channel('{ verify: none, default_country: ▸in }'), [
  'invalid',
  /such as IN or US$/,
]);
refused(
  'keys of forms in a channel that is none',
  channel(
    '{ verify: none, redirect: ▸https://a.example/x, honeypot: ▸x, rate_limit: ▸3, allowed_origins: ▸["https://a.example"] }',
  ),
  ['invalid', /^channels\.chat\.redirect: is only for provider: form$/],
  ['invalid', /^channels\.chat\.honeypot: is only for provider: form$/],
  ['invalid', /^channels\.chat\.rate_limit: is only for provider: form$/],
  ['invalid', /^channels\.chat\.allowed_origins: is only for provider: form$/],
);
refused('an origin with a path', form('allowed_origins: [https://a.example, ▸https://b.example/]'), [
  'bad_url',
  /^channels\.chat\.allowed_origins\[1\]: expected an origin such as https:\/\/www\.example\.com, no path$/,
]);
refused('an origin for all', form('allowed_origins: [▸"*"]'), ['bad_url', /expected an origin/]);
refused('origins that are none', form('allowed_origins: ▸[]'), [
  'invalid',
  /must hold at least one origin; leave it out/,
]);
refused('an origin that is no list', form('allowed_origins: ▸https://a.example'), [
  'invalid',
  /allowed_origins: expected a list, not text$/,
]);
refused('a redirect without a host', form('redirect: ▸/thanks'), [
  'bad_url',
  /^channels\.chat\.redirect: expected a URL such as https:\/\/www\.example\.com\/thanks$/,
]);
refused('a redirect that is a script', form('redirect: ▸"javascript:alert(1)"'), ['bad_url', /expected a URL such as/]);

// Verification
refused('a channel that does not say how it is verified', channel('▸{ provider: form }'), [
  'missing',
  /^channels\.chat\.verify: is missing; expected none, or one of \{ secret/,
]);
refused('a verification of nothing', `${ACCOUNTS}\nchannels:\n  chat:\n    ▸verify:${ROUTES}`, ['invalid', SCHEMES]);
refused('a verification by another word than none', verify('▸off'), ['invalid', SCHEMES]);
refused('a verification that is a list', verify('▸[none]'), ['invalid', SCHEMES]);
refused('a verification without a scheme', verify('▸{}'), ['invalid', ONE_SCHEME]);
refused('a verification with only a mode', verify('▸{ mode: report }'), ['invalid', ONE_SCHEME]);
refused('two schemes', verify('▸{ header: { name: x, secret: y }, query: { name: a, secret: b } }'), [
  'invalid',
  ONE_SCHEME,
]);
const preset = (provider: string, keys: string) => channel(`{ provider: ${provider}, ${keys} }`);
const FOR_ANY = 'For any provider: header, query, basic, standard_webhooks, github, stripe, hmac';
const exactly = (text: string) => new RegExp(`^${text.replace(/[.()]/g, '\\$&')}$`);
refused('a secret where a provider has no scheme', verify(`{ secret: ▸${WRITTEN} }`), [
  'invalid',
  exactly(`channels.chat.verify.secret: is not for provider: generic; it has no scheme of its own. ${FOR_ANY}`),
]);
refused('a secret where a provider has a public key', preset('telnyx', 'verify: { secret: ▸x }'), [
  'invalid',
  exactly(`channels.chat.verify.secret: is not for provider: telnyx; it takes public_key. ${FOR_ANY}`),
]);
refused('a public key where a provider has a secret', preset('line', `verify: { public_key: ▸${'A'.repeat(43)}= }`), [
  'invalid',
  exactly(`channels.chat.verify.public_key: is not for provider: line; it takes secret. ${FOR_ANY}`),
]);
refused('a public key that is none', preset('telnyx', 'verify: { public_key: ▸abc }'), [
  'invalid',
  exactly('channels.chat.verify.public_key: expected a public key as the provider shows it: 32 bytes in base64'),
]);
refused('a topic that is no ARN', preset('aws-sns', 'verify: { topic_arn: ▸inbound }'), [
  'invalid',
  exactly('channels.chat.verify.topic_arn: expected the ARN of an SNS topic'),
]);
refused('a certificate that is none', preset('aws-sns', `verify: { topic_arn: ${TOPIC}, certificate: ▸pem }`), [
  'bad_certificate',
  /certificate: expected one certificate in PEM/,
]);
refused(
  'a certificate of which nothing can be made',
  preset(
    'aws-sns',
    `verify: { topic_arn: ${TOPIC}, certificate: ▸"-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n" }`,
  ),
  ['bad_certificate', /^channels\.chat\.verify\.certificate: \S/],
);
refused('a secret that is a map', verify('{ header: { name: x, secret: ▸{ a: b } } }'), [
  'invalid',
  /^channels\.chat\.verify\.header\.secret: expected a secret or a list of secrets$/,
]);
refused('a certificate without a topic', preset('line', `verify: { secret: x, certificate: ▸${PEM} }`), [
  'invalid',
  exactly('channels.chat.verify.certificate: stands without topic_arn'),
]);
refused('Basic credentials without a password', preset('infobip', 'verify: { secret: ▸haptik }'), [
  'invalid',
  exactly('channels.chat.verify.secret: is for HTTP Basic, and must be user:password for provider: infobip'),
]);
refused('a verify_token where there is no challenge', preset('line', 'verify: { secret: x, verify_token: ▸y }'), [
  'invalid',
  exactly('channels.chat.verify.verify_token: is not for provider: line'),
]);
refused('a standard webhook key that is no base64', verify('{ standard_webhooks: { secret: ▸whsec_a b } }'), [
  'invalid',
  /standard_webhooks\.secret: expected a key of at least 8 bytes in base64/,
]);
refused(
  'a form whose fields only its owner can name, without them',
  preset('gravityforms', 'verify: none, fields: ▸{ text: "4" }'),
  [
    'invalid',
    exactly('channels.chat.fields: needs sender: what gravityforms calls it is chosen by whoever made the form'),
  ],
);

refused(
  'two ids for what a channel reads as one sender',
  `${ACCOUNTS}\nchannels:\n  chat: { verify: none, default_country: IN }${ROUTES}\nsenders:\n  "98200 12345": A1\n  ▸"09820012345": A2\n  "9820012345": A1`,
  ['duplicate', exactly('senders.09820012345: is the same sender as "98200 12345" to channel chat')],
);

refused('an unknown mode', verify('{ mode: ▸log, header: { name: x, secret: y } }'), [
  'invalid',
  /^channels\.chat\.verify\.mode: accepted are enforce, report$/,
]);
refused('a scheme that is only a secret', verify(`{ header: ▸${WRITTEN} }`), [
  'invalid',
  /^channels\.chat\.verify\.header: expected a map, not text$/,
]);
refused('a scheme without a secret', verify('{ header: ▸{ name: x } }'), [
  'missing',
  /header\.secret: is missing; expected a secret or a list of secrets$/,
]);
refused('an empty secret', verify('{ header: { name: x, secret: ▸"" } }'), [
  'invalid',
  /^channels\.chat\.verify\.header\.secret: is empty, and anyone can sign with an empty secret$/,
]);
refused('an empty secret among others', verify('{ query: { name: x, secret: [a, ▸""] } }'), [
  'invalid',
  /^channels\.chat\.verify\.query\.secret\[1\]: is empty/,
]);
refused('a list of no secrets', verify('{ basic: { username: x, password: ▸[] } }'), [
  'invalid',
  /password: must hold at least one secret$/,
]);
refused('a header name with a blank', verify('{ header: { name: ▸x y, secret: a } }'), [
  'invalid',
  /header\.name: is not a header name$/,
]);
refused('an unknown part of what is signed', hmac('signed: ▸"{nonce}.{body}"'), [
  'bad_signed',
  /hmac\.signed: \{nonce\} is not known; accepted are \{body\} and \{timestamp\}$/,
]);
refused('a signature of all but the body', hmac('signed: ▸"{timestamp}", timestamp_header: t'), [
  'bad_signed',
  /hmac\.signed: must hold \{body\}, or the signature says nothing of the message$/,
]);
refused('a signed time that comes from nowhere', hmac('signed: ▸"{timestamp}.{body}"'), [
  'invalid',
  /hmac\.signed: uses \{timestamp\} but timestamp_header does not say where it comes from$/,
]);
refused('a time that is not signed', hmac('timestamp_header: ▸x-time'), [
  'invalid',
  /timestamp_header: names a time that is not signed, .* put \{timestamp\} into signed$/,
]);
refused(
  'an unknown algorithm and encoding, and no tolerance',
  hmac('algorithm: ▸md5, encoding: ▸utf8, tolerance_seconds: ▸0'),
  ['invalid', /algorithm: accepted are sha1, sha256, sha384, sha512$/],
  ['invalid', /encoding: accepted are hex, base64$/],
  ['invalid', WHOLE],
);

// Routes
refused('a route of a channel that is not there', route('{ channel: ▸chta, business_id: 343, auth_id: a }'), [
  'dangling',
  /^routes\[0\]\.channel: there is no channel "chta"; accepted are chat$/,
]);
refused(
  'a route of a channel that only JavaScript has',
  route('{ channel: ▸constructor, account: ▸toString, business_id: 343, auth_id: a-b }'),
  ['dangling', /there is no channel "constructor"; accepted are chat$/],
  ['dangling', /there is no account "toString"; accepted are main$/],
);
refused('a route of an account that is not there', alsoInRoute('account: ▸mian'), [
  'dangling',
  /^routes\[0\]\.account: there is no account "mian"; accepted are main$/,
]);
refused(
  'a route without an account where there are two',
  `accounts:\n  a: { ${GOOD_ACCOUNT} }\n  b: { ${GOOD_ACCOUNT} }${CHANNELS}${ROUTES}`.replace('- {', '- ▸{'),
  ['missing', /^routes\[0\]: account is missing, and there is more than one; accepted are a, b$/],
);
refused('a route without a channel', route('▸{ business_id: 343, auth_id: a }'), [
  'missing',
  /^routes\[0\]\.channel: is missing; expected text$/,
]);
refused('a route without a business_id', route('▸{ channel: chat, auth_id: a }'), [
  'missing',
  /business_id: is missing; expected a whole number such as 343/,
]);
for (const value of ['sales', '-1', '1.5', '343.0', '1e3', '0x10', '99999999999999999999', '[1]', 'true', '""']) {
  refused(`the business_id ${value}`, route(`{ channel: chat, business_id: ▸${value}, auth_id: a }`), [
    'invalid',
    BUSINESS_ID,
  ]);
}
refused('a pattern that is not closed', when('{ text: { matches: ▸"(" } }'), [
  'bad_pattern',
  /^routes\[0\]\.when\.text\.matches: error parsing regexp: missing closing \): `\(`$/,
]);
refused('a pattern that looks ahead', when('{ text: { matches: ▸"(?=a)" } }'), [
  'bad_pattern',
  /unsupported Perl syntax/,
]);
refused('a condition of neither kind', when('{ text: ▸{} }'), [
  'invalid',
  /when\.text: needs exactly one of prefix, matches$/,
]);
refused('a condition of both kinds', when('{ text: ▸{ prefix: a, matches: b } }'), ['invalid', /needs exactly one of/]);
refused('a condition with no value', when('{ text: ▸[] }'), ['invalid', /when\.text: must hold at least one value$/]);
refused('a list of conditions', when('{ text: [a, ▸{ prefix: b }] }'), [
  'invalid',
  /^routes\[0\]\.when\.text\[1\]: expected text or a number$/,
]);
refused('a prefix that everything has', when('{ text: { prefix: ▸"" } }'), ['invalid', /prefix: must not be empty$/]);
refused('a condition on a bad path', when('{ ▸fields.a..b: x }'), ['bad_path', PATH]);

refused('a condition with nothing', when('{ ▸text: }'), [
  'invalid',
  /^routes\[0\]\.when\.text: expected a value, a list of values, \{ prefix: … \} or \{ matches: … \}$/,
]);
refused('conditions that are a list', when('▸[text]'), ['invalid', /^routes\[0\]\.when: expected a map, not a list$/]);
refused('a channel with a blank in a route', route('{ channel: ▸my chat, business_id: 343, auth_id: a }'), [
  'invalid',
  NAME,
]);
refused('an account with a blank in a route', alsoInRoute('account: ▸my account'), ['invalid', NAME]);
refused('another word for on_unknown', alsoInRoute('on_unknown: ▸skip'), [
  'invalid',
  /^routes\[0\]\.on_unknown: accepted are retry, stop$/,
]);
refused('another word for on_dead', alsoInRoute('on_dead: ▸retry'), [
  'invalid',
  /^routes\[0\]\.on_dead: accepted are continue, stop$/,
]);
refused('a profile that is a text', alsoInRoute('user: ▸Asha'), [
  'invalid',
  /^routes\[0\]\.user: expected a map, not text$/,
]);
refused('custom data that is a list', alsoInRoute('user: { custom_data: ▸[a] }'), [
  'invalid',
  /^routes\[0\]\.user\.custom_data: expected a map, not a list$/,
]);
refused('custom data that is a number', alsoInRoute('user: { custom_data: { age: ▸5 } }'), [
  'invalid',
  /^routes\[0\]\.user\.custom_data\.age: expected text, not 5 \(for text, put it in quotes\)$/,
]);

// Templates
refused('a filter that takes an expression', alsoInRoute(`message_body: ▸"{{ fields.l | find_exp: 'x', text }}"`), [
  'bad_template',
  /^routes\[0\]\.message_body: undefined filter: find_exp /,
]);
refused('an unknown filter', authId('▸"{{ sender | digit }}"'), [
  'bad_template',
  /^routes\[0\]\.auth_id: undefined filter: digit \(line 1, column 1 of the template\)$/,
]);
refused('an unknown variable', authId('▸"{{ from }}"'), [
  'bad_template',
  /^routes\[0\]\.auth_id: unknown name from; a template may use sender, recipient, text, id, .*fields, attachments, channel$/,
]);
refused('the environment in a template', alsoInRoute('message_body: ▸"{{ env.TOKEN }}{{ process.env }}"'), [
  'bad_template',
  /^routes\[0\]\.message_body: unknown name env, process; a template may use/,
]);
refused('a value that is not closed', authId('▸"{{ sender "'), ['bad_template', /output "\{\{ sender " not closed/]);
refused('a tag that is not closed', alsoInRoute('message_body: ▸"{% if text %}a"'), [
  'bad_template',
  /tag \{% if text %\} not closed/,
]);
for (const tag of ['include', 'render', 'layout', 'block']) {
  refused(`the tag ${tag}`, alsoInRoute(`message_body: ▸"{% ${tag} 'routing.yaml' %}"`), [
    'bad_template',
    new RegExp(`^routes\\[0\\]\\.message_body: tag "${tag}" not found`),
  ]);
}
refused(
  'templates of a profile',
  alsoInRoute('user: { name: ▸"{{ nme }}", custom_data: { plan: ▸"{{ text | nope }}" } }'),
  ['bad_template', /^routes\[0\]\.user\.name: unknown name nme/],
  ['bad_template', /^routes\[0\]\.user\.custom_data\.plan: undefined filter: nope/],
);
refused('an auth_id with a dash', authId('▸"web-{{ sender | digits }}"'), [
  'impossible_auth_id',
  /^routes\[0\]\.auth_id: always holds "-", which \[A-Za-z0-9\]\+ does not allow; use other text, or set the account's auth_id_pattern$/,
]);
refused('an auth_id of two words', authId('▸"{{ fields.a }} {{ fields.b }}"'), [
  'impossible_auth_id',
  /always holds " ", which/,
]);
refused('an auth_id that is a secret', authId(`▸\${TOKEN}`), ['impossible_auth_id', WITH_REFERENCE]);
refused('an empty auth_id', authId('▸""'), ['impossible_auth_id', /^routes\[0\]\.auth_id: is always "", which/]);
refused(
  'a fixed auth_id that its account does not accept',
  `accounts:\n  main: { ${GOOD_ACCOUNT}, auth_id_pattern: "[0-9]+" }${CHANNELS}\nroutes:\n  - { channel: chat, business_id: 1, auth_id: ▸web }`,
  ['impossible_auth_id', /is always "web", which \[0-9\]\+ does not allow/],
);

// Senders
refused('a sender whose auth_id no account accepts', senders('\n  "+919820012345": ▸CUST-42'), [
  'bad_auth_id',
  /^senders\.\+919820012345: "CUST-42" fits no account's auth_id_pattern; Haptik wants letters and digits$/,
]);
refused('a sender with nothing', senders('\n  ▸a@b.example:'), ['invalid', /^senders\.a@b\.example: expected text$/]);
refused('a sender with an empty auth_id', senders('\n  a@b.example: ▸""'), ['invalid', /: must not be empty$/]);
refused('senders that are a list', senders('\n  ▸- a'), ['invalid', /^senders: expected a map, not a list$/]);

refused('a senders file without a name', `${ACCOUNTS}${CHANNELS}${ROUTES}\nsenders_file: ▸""`, [
  'invalid',
  /^senders_file: must not be empty$/,
]);
refused('several senders files', `${ACCOUNTS}${CHANNELS}${ROUTES}\nsenders_file: ▸[a.csv, b.csv]`, [
  'invalid',
  /^senders_file: expected text/,
]);

// Several at once
refused(
  'everything that is wrong in one file',
  `accounts:
  main: { base_url: ▸nowhere, client_id: bridge, token: \${TOKEN}, ▸tokn: x }
channels:
  chat: ▸{ provider: generic }
  ▸my form: { provider: form, verify: none }
routes:
  - { channel: chat, business_id: ▸sales, auth_id: ▸"{{ sender | digit }}" }
  - channel: chat
    business_id: 343
    auth_id: a
    when: { text: { matches: ▸"(" } }
▸sendres: {}
`,
  ['bad_url', /^accounts\.main\.base_url: /],
  ['unknown_key', /^accounts\.main\.tokn: /],
  ['missing', /^channels\.chat\.verify: /],
  ['bad_name', /^channels\.my form: /],
  ['invalid', /^routes\[0\]\.business_id: /],
  ['bad_template', /^routes\[0\]\.auth_id: /],
  ['bad_pattern', /^routes\[1\]\.when\.text\.matches: /],
  ['unknown_key', /^sendres: /],
);
refused(
  'names that stand twice beside variables that are not set',
  `${ACCOUNTS}\nchannels:\n  chat: { verify: { header: { name: x, secret: ▸\${A} } } }\n  ▸chat: { verify: none }${ROUTES}`,
  ['unset_variable', /^\$\{A\} is not set/],
  ['duplicate', TWICE],
);
refused(
  'all that leads nowhere',
  `${ACCOUNTS}${CHANNELS}
routes:
  - { channel: ▸a, business_id: 1, auth_id: x }
  - { channel: chat, account: ▸b, business_id: 1, auth_id: x }
  - { channel: chat, business_id: 1, auth_id: ▸"a.{{ sender }}" }
senders:
  x: ▸a b
`,
  ['dangling', /^routes\[0\]\.channel: /],
  ['dangling', /^routes\[1\]\.account: /],
  ['impossible_auth_id', /^routes\[2\]\.auth_id: /],
  ['bad_auth_id', /^senders\.x: /],
);

function problemsOf(source: string, env: Readonly<Record<string, string>> = ENV): RoutingRefused['problems'] {
  try {
    parseRouting(source, 'routing.yaml', env);
  } catch (error) {
    if (error instanceof RoutingRefused) return error.problems;
    throw error;
  }
  return [];
}

/** The file without its marks, and the line and column of each. */
function unmark(marked: string) {
  const parts = marked.split('▸');
  const places = parts.slice(0, -1).map((_, index) => {
    const lines = parts
      .slice(0, index + 1)
      .join('')
      .split('\n');
    return { line: lines.length, column: (lines.at(-1) ?? '').length + 1 };
  });
  return { source: parts.join(''), places };
}

test.each(refusals)('$fault is refused, at its place and without a second problem', ({ file, says }) => {
  const { source, places } = unmark(file);
  expect(problemsOf(source)).toEqual(
    says.map(([code, message], index) => ({
      file: 'routing.yaml',
      ...places[index],
      code,
      message: expect.stringMatching(message),
    })),
  );
});

test('every problem of the table has a place of its own to be at', () => {
  expect(refusals.filter(({ file, says }) => unmark(file).places.length !== says.length)).toEqual([]);
});

test('places are the same with Windows line ends, and after a byte order mark', () => {
  const { source, places } = unmark(verify('▸off'));
  expect(problemsOf(source.replaceAll('\n', '\r\n'))).toMatchObject(places);
  expect(problemsOf(`\uFEFF${source}`)).toMatchObject(places);
});

test('references keep the line and column of what comes after them', () => {
  const { source, places } = unmark(
    verify(`{ header: { name: x, secret: [\${TOKEN}, "\${TOKEN}", \${HOST}], ▸prefix: y } }`),
  );
  expect(problemsOf(source)).toMatchObject(places);
});

test('a fault behind an alias is told at the place where it is written', () => {
  const { source, places } = unmark(`${ACCOUNTS}
channels:
  chat: { provider: form, verify: none, allowed_origins: &pages [▸▸nowhere] }
  other: { provider: form, verify: none, allowed_origins: *pages }${ROUTES}`);
  expect(problemsOf(source)).toMatchObject(places);
});

test('no message repeats a secret, whichever place the secret stands in', () => {
  const secret = fc.string({ minLength: 10, maxLength: 30, unit: 'grapheme-ascii' }).map((text) => `Qz${text}zQ`);
  const sources = refusals.map(({ file }) => unmark(file).source);
  fc.assert(
    fc.property(secret, (TOKEN) => {
      const told = sources.flatMap((source) => problemsOf(source, { ...ENV, TOKEN })).map(({ message }) => message);
      expect(told.filter((message) => message.includes(TOKEN) || message.includes(WRITTEN))).toEqual([]);
    }),
    { numRuns: 20 },
  );
});

test.each([
  ['a template', (text: string) => authId(`"{{ ${text} }}"`)],
  ['a filter', (text: string) => authId(`"{{ sender | ${text} }}"`)],
  ['a tag', (text: string) => authId(`"{% ${text} %}"`)],
  ['an auth_id', (text: string) => authId(`"a ${text}"`)],
  ['a profile', (text: string) => alsoInRoute(`user: { custom_data: { a: "{{ ${text} }}" } }`)],
  ['a pattern', (text: string) => when(`{ text: { matches: "[${text}" } }`)],
  ['an auth_id_pattern', (text: string) => account(`${GOOD_ACCOUNT}, auth_id_pattern: "(${text}"`)],
  ['a path', (text: string) => channel(`{ verify: none, fields: { sender: "..${text}" } }`)],
  ['what is signed', (text: string) => hmac(`signed: "{timestamp}${text}", timestamp_header: t`)],
  ['the auth_id of a sender', (text: string) => senders(`\n  x: "- ${text}"`)],
])('of what a reference stands for in %s nothing is told, nor a part of it', (_what, file) => {
  const secrets = [
    'abcdef-ghijkl.mnopqr',
    'hunter2',
    'quo"ted{{ secret }}',
    'trailing secret ',
    '(a)(b',
    'one\ntwo\nthree',
  ];
  for (const PART of secrets) {
    const problems = problemsOf(file(`\${PART}`), { ...ENV, PART });
    expect(problems).toMatchObject([{ message: expect.stringMatching(WITH_REFERENCE) }]);
  }
});

test('what a reference stands for is known by each of its lines, and without the blanks around it', () => {
  const file = `accounts:\n  main: { ${GOOD_ACCOUNT}, auth_id_pattern: "\${PATTERN}" }${CHANNELS}\nroutes:\n  - { channel: x, business_id: 1, auth_id: "a b" }`;
  const [unknown, impossible] = problemsOf(file, { PATTERN: '[a-m]{3,20}' });
  expect([unknown?.code, impossible?.message]).toEqual([
    'dangling',
    expect.stringContaining(`is always "a b", which \${PATTERN} does not allow`),
  ]);
  const conceal = concealing([
    ['-----BEGIN-----\nMIIEvAIBADAN\n', 'KEY'],
    ['  hunter2  ', 'PASSWORD'],
    ['hunter22', 'LONGER'],
  ]);
  expect(conceal('MIIEvAIBADAN, "hunter2", hunter22')).toBe('KEY, "PASSWORD", LONGER');
});

test('a file that is written while it is read has one value, which is told nowhere', async () => {
  const secret = join(await temporaryFolder(), 'secret');
  writeFileSync(secret, 'first-secret');
  const references = new References({});
  expect(references.resolve(`file:${secret}`)).toEqual({ value: 'first-secret' });
  writeFileSync(secret, 'second-secret');
  expect(references.resolve(`file:${secret}`)).toEqual({ value: 'first-secret' });
  expect(references.concealing()('first-secret')).toBe(`\${file:${secret}}`);
});

describe('a file that a reference names', () => {
  const told = (path: string) =>
    problemsOf(account(`${GOOD_ACCOUNT.replace('token: t', '')}token: "\${file:${path}}"`));

  test('and that has nothing in it, or more than any secret, is refused', async () => {
    const path = join(await temporaryFolder(), 'secret');
    writeFileSync(path, '\n');
    expect(told(path)).toMatchObject([
      { code: 'empty_secret', message: expect.stringMatching(/give the file a value$/) },
    ]);
    writeFileSync(path, 'x'.repeat(1024 * 1024));
    expect(told(path)).toEqual([]);
    writeFileSync(path, 'x'.repeat(1024 * 1024 + 1));
    expect(told(path)).toMatchObject([{ message: expect.stringMatching(/cannot be read: it is longer than 1 MiB$/) }]);
  });

  test('and that is a pipe, a device or a folder is refused, and nobody waits for it', async () => {
    const folder = await temporaryFolder();
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    for (const path of [pipe, '/dev/zero', folder]) {
      expect(told(path)).toMatchObject([
        {
          code: 'unreadable_file',
          message: expect.stringMatching(/cannot be read: it is (not a regular file|a folder)/),
        },
      ]);
    }
  });
});

test('more lists in lists than the parser can follow are told where it gives up', () => {
  expect(problemsOf('['.repeat(50_000))).toMatchObject([{ code: 'yaml', message: 'it is nested too deeply', line: 1 }]);
});

test('many routes may have one template by an alias, and it takes them no time', () => {
  const first = '  - { channel: chat, business_id: 1, auth_id: &id "u{{ sender }}" }';
  const others = Array.from(
    { length: 10_000 },
    (_, index) => `  - { channel: chat, business_id: ${index}, auth_id: *id }`,
  );
  const source = [ACCOUNTS, CHANNELS, 'routes:', first, ...others].join('\n');
  const start = performance.now();
  const { data, problems } = readDocument(source, 'routing.yaml', ENV);
  expect(performance.now() - start).toBeLessThan(5_000);
  expect([problems, data]).toEqual([
    [],
    expect.objectContaining({
      routes: expect.arrayContaining([{ channel: 'chat', business_id: 9_999, auth_id: 'u{{ sender }}' }]),
    }),
  ]);
});

test('the error says each problem on a line of its own, with file, line and column', () => {
  const source = 'accounts: {}\nchannels: {}\nroutes: []\n';
  expect(() => parseRouting(source, 'conf/routing.yaml', {})).toThrow(
    [
      'conf/routing.yaml:1:11: accounts: must hold at least one account',
      'conf/routing.yaml:2:11: channels: must hold at least one channel',
      'conf/routing.yaml:3:9: routes: must hold at least one route',
    ].join('\n'),
  );
});

test('a routing file that is not there is told with what to do', async () => {
  const file = `${await temporaryFolder()}/routing.yaml`;
  await expect(loadRouting(file, ENV)).rejects.toMatchObject({
    name: 'RoutingRefused',
    problems: [
      {
        code: 'unreadable_file',
        message: 'there is no such file; haptik-bridge init writes one to begin with, or name another (ROUTING_FILE)',
        file,
        line: 1,
        column: 1,
      },
    ],
  });
});

test('a folder in place of the routing file is told', async () => {
  await expect(loadRouting(await temporaryFolder(), ENV)).rejects.toThrow(
    /:1:1: cannot be read: it is a folder \(EISDIR\)$/,
  );
});

test('a routing file that is a pipe, or too long for one, is told', async () => {
  const folder = await temporaryFolder();
  const [pipe, long] = [join(folder, 'pipe.yaml'), join(folder, 'long.yaml')];
  execFileSync('mkfifo', [pipe]);
  writeFileSync(long, '#'.repeat(16 * 1024 * 1024 + 1));
  await expect(loadRouting(pipe, ENV)).rejects.toThrow(/:1:1: cannot be read: it is not a regular file$/);
  await expect(loadRouting(long, ENV)).rejects.toThrow(/:1:1: cannot be read: it is longer than 16 MiB$/);
});
