import type { Answer, Outgoing } from '../support/send.ts';
import { signedFor, signedInQuery } from './proxied-requests.ts';

export const PREFIX = '/hooks';

/** What a proxy in front says of the request to it, in nginx's words: of these only `$http_host`, `$host` and `$scheme`. */
export type Forwards = Readonly<Record<string, string>>;

export interface Case {
  readonly name: string;
  /** What providers call, and sign. */
  readonly publicUrl: string;
  readonly env: Readonly<Record<string, string>>;
  readonly forwards: Forwards;
  /** Nobody is between: the client says itself what a proxy would. */
  readonly isDirect?: true;
}

const FORWARDS: Forwards = {
  'X-Forwarded-Proto': '$scheme',
  'X-Forwarded-Host': '$http_host',
  'X-Forwarded-Port': '443',
  'X-Forwarded-Prefix': PREFIX,
};
const AT_443 = `https://bridge.example.com${PREFIX}`;
const AT_8443 = `https://bridge.example.com:8443${PREFIX}`;

export const cases: readonly Case[] = [
  { name: 'PUBLIC_URL, and a proxy that says nothing', publicUrl: AT_443, env: { PUBLIC_URL: AT_443 }, forwards: {} },
  {
    name: 'PUBLIC_URL, whatever a proxy says',
    publicUrl: AT_443,
    env: { PUBLIC_URL: AT_443 },
    forwards: { ...FORWARDS, 'X-Forwarded-Proto': 'http', 'X-Forwarded-Host': 'inner' },
  },
  { name: 'a trusted proxy', publicUrl: AT_443, env: { TRUST_PROXY: 'loopback' }, forwards: FORWARDS },
  {
    name: 'a trusted proxy, with a port in the host',
    publicUrl: AT_8443,
    env: { TRUST_PROXY: 'loopback' },
    forwards: { ...FORWARDS, 'X-Forwarded-Port': '8443' },
  },
  {
    name: 'a trusted proxy, with a port beside the host',
    publicUrl: AT_8443,
    env: { TRUST_PROXY: 'loopback' },
    forwards: { ...FORWARDS, 'X-Forwarded-Host': '$host', 'X-Forwarded-Port': '8443' },
  },
  // Somebody who is in the documentation only.
  {
    name: 'a client that is no trusted proxy',
    publicUrl: AT_443,
    env: { TRUST_PROXY: '192.0.2.1' },
    forwards: FORWARDS,
    isDirect: true,
  },
];

/** What stands for the variables of nginx. */
export function filledIn(forwards: Forwards, host: string): Record<string, string> {
  const values: Forwards = { $scheme: 'https', $http_host: host, $host: host.replace(/:\d+$/, '') };
  return Object.fromEntries(Object.entries(forwards).map(([name, value]) => [name, values[value] ?? value]));
}

/**
 * Sends each provider's request as it comes to `publicUrl`, and as it does not.
 *
 * @returns by provider the status of each, which are to be `expectedOf` the case
 */
export async function statuses(
  { publicUrl, forwards, isDirect }: Case,
  now: number,
  deliver: (outgoing: Outgoing) => Promise<Answer>,
): Promise<Record<string, readonly number[]>> {
  const { host } = new URL(publicUrl);
  const own = isDirect ? filledIn(forwards, host) : {};
  const statusOf = async (outgoing: Outgoing) => {
    const headers = { ...outgoing.headers, Host: host, ...own };
    const path = isDirect ? outgoing.path : PREFIX + outgoing.path;
    return (await deliver({ ...outgoing, path, headers })).status;
  };
  const entries: [string, readonly number[]][] = [];
  const elsewhere = signedFor(publicUrl.slice(0, -PREFIX.length), now);
  for (const [index, right] of signedFor(publicUrl, now).entries()) {
    const wrong = elsewhere[index] ?? right;
    entries.push([right.provider, [await statusOf(wrong), await statusOf(right)]]);
  }
  return Object.fromEntries([...entries, ['vonage', [await statusOf(signedInQuery())]]]);
}

export function expectedOf({ isDirect }: Case): Record<string, readonly number[]> {
  const signsUrl = ['twilio', 'plivo', 'messagebird', 'bird', 'hubspot'];
  return { ...Object.fromEntries(signsUrl.map((provider) => [provider, [401, isDirect ? 401 : 200]])), vonage: [200] };
}
