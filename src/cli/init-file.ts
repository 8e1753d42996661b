import { stringify } from 'yaml';
import type { ProviderTraits } from '../routing/catalog.ts';
import type { Answers } from './init-questions.ts';

/**
 * A routing file that `check` has nothing to say of once its variables are set. Below its head, a line of nothing but
 * comment is YAML too: without its `# ` it is part of the file, and as fine.
 */
export function starterFile({ provider, channel, baseUrl, businessId }: Answers, traits: ProviderTraits): string {
  const name = scalar(channel);
  const auth_id = authIdOf(provider, traits);
  return `# yaml-language-server: $schema=./routing.schema.json
#
# Who writes (sender) becomes an auth_id at Haptik; what they write to (channel) becomes a business_id.
# \${NAME} is replaced from the environment or .env, \${file:/run/secrets/name} by the content of a file.
# See what it says with: npx haptik-bridge check. All that it can say: routing.example.yaml
# Below, a whole line of comment is what may come next: it holds once its "# " is taken away.

${told('accounts:', 'sets of Haptik credentials, by names of your own')}
  main:
    base_url: ${scalar(baseUrl)}
    client_id: \${HAPTIK_CLIENT_ID}
    token: \${HAPTIK_TOKEN}
  ${told('# second:', 'one more; a route leads to it by account: second', 2)}
  #   base_url: ${scalar(baseUrl)}
  #   client_id: \${SECOND_CLIENT_ID}
  #   token: \${SECOND_TOKEN}

${told('channels:', 'each is POST /webhooks/<name>')}
  ${name}:
    provider: ${provider}
${[...verifyOf(channel, traits), ...fieldsOf(traits), ...laterOf(traits)].map((line) => `    ${line}\n`).join('')}
${told('routes:', "of the channel's routes the first that fits decides")}
  ${told(`# - channel: ${name}`, 'what begins with "billing", to another business', 2)}
  #   account: main
  #   when: { text: { matches: "(?i)^billing" } }
  #   business_id: 351
  #   auth_id: "${auth_id}"
  - channel: ${name}
    ${told('account: main', 'may be left out while there is one', 4)}
    ${told(`business_id: ${Number(businessId)}`, 'the number that Haptik gave', 4)}
    auth_id: "${auth_id}"

${told('# senders:', 'whom your systems know already, before any template')}
#   "${senderOf(traits)}": CUST00042
${told('# senders_file: senders.csv', 'many of them, in a file beside this one: sender,auth_id')}
`;
}

/** The variables that a routing file refers to. */
export function variablesOf(file: string): readonly string[] {
  const lines = file.split('\n').filter((line) => !/^\s*#/.test(line));
  const names = lines.flatMap((line) => [...line.matchAll(/\$\{([^{}:]+)\}/g)].map(([, name = '']) => name));
  return [...new Set(names)];
}

/** In quotes where YAML would take it for something else than text. */
function scalar(text: string): string {
  return stringify(text, { lineWidth: 0 }).trim();
}

/** Comments stand in one column. */
function told(line: string, comment: string, indent = 0): string {
  return `${line.padEnd(43 - indent)} # ${comment}`;
}

/** What verifies a provider's webhooks: the key of `verify`, and what is to be said of its value. */
const CREDENTIALS: Readonly<
  Record<NonNullable<ProviderTraits['credentials']>, readonly [key: string, comment: string]>
> = {
  secret: ['secret', 'which one: docs/providers.md'],
  'user:password': ['secret', 'user:password, as you set it there'],
  public_key: ['public_key', 'as the provider shows it'],
  topic_arn: ['topic_arn', 'of the topic that it comes from'],
};

function verifyOf(channel: string, { credentials, hasVerifyToken, isOwnForm }: ProviderTraits): readonly string[] {
  const reference = (what: string) => `\${${variablePrefix(channel)}_${what.toUpperCase()}}`;
  if (isOwnForm) return [told('verify: none', 'browsers cannot sign: anybody can send', 4)];
  const head = told('verify:', 'how it is known that they are who they say', 4);
  if (credentials === undefined) {
    return [
      head,
      '  header:',
      '    name: x-api-key',
      `    ${told(`secret: ${reference('secret')}`, 'yours to choose; they send it along', 8)}`,
    ];
  }
  const [key, comment] = CREDENTIALS[credentials];
  const token = `  ${told(`verify_token: ${reference('verify_token')}`, 'yours to choose; asked for when the address is saved', 6)}`;
  return [head, `  ${told(`${key}: ${reference(key)}`, comment, 6)}`, ...(hasVerifyToken ? [token] : [])];
}

/** A variable's name begins with no digit. */
function variablePrefix(channel: string): string {
  return channel
    .toUpperCase()
    .replaceAll('-', '_')
    .replace(/^(?=\d)/, 'CHANNEL_');
}

/** Fields that only their owner can name; by number, as Gravity Forms has them. */
const NUMBERED = { sender: '"2"', text: '"4"' };

function fieldsOf({ unnamed }: ProviderTraits): readonly string[] {
  if (unnamed === undefined) return [];
  const lines = unnamed.map((field) => `  ${field}: ${NUMBERED[field]}`);
  return [told('fields:', 'what your form calls them: put in its own', 4), ...lines];
}

function laterOf({ isOwnForm, sender }: ProviderTraits): readonly string[] {
  if (isOwnForm) {
    return [
      told('# allowed_origins: [https://www.example.com]', 'pages of which sites may send', 4),
      told('# redirect: https://www.example.com/thanks', 'where the browser goes on to', 4),
    ];
  }
  const mayLackCountry = sender === 'phone' || sender === 'international';
  return mayLackCountry ? [told('# default_country: IN', 'of phone numbers that come without +', 4)] : [];
}

/** Phone numbers lose nothing but signs to `digits`; of all else a digest keeps apart who is not the same. */
function authIdOf(provider: string, { credentials, isOwnForm, sender }: ProviderTraits): string {
  if (isOwnForm || sender === 'email') return 'web{{ sender | downcase | sha256 | slice: 0, 24 }}';
  if (credentials === undefined) return 'app{{ sender | sha256 | slice: 0, 24 }}';
  // The same id of two providers is two people.
  if (sender === 'id') return `${provider.replaceAll('-', '')}{{ sender | sha256 | slice: 0, 24 }}`;
  return 'sms{{ sender | digits }}';
}

function senderOf({ isOwnForm, sender }: ProviderTraits): string {
  if (isOwnForm || sender === 'email') return 'asha@example.com';
  return sender === 'id' ? 'U024BE7LH' : '+919820012345';
}
