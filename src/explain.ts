import type { IncomingHttpHeaders } from 'node:http';
import { Unavailable } from './errors.ts';
import { logMessageRequest } from './haptik/api.ts';
import type { Message, Placement } from './message.ts';
import type { RoutingTable, Trace } from './routing/table.ts';
import { mediaType } from './webhook/payload.ts';
import type { Provider } from './webhook/providers/provider.ts';
import { verify } from './webhook/verify/verify.ts';

/** A webhook that nobody has sent, or that somebody has and nobody understands. */
export interface Question {
  readonly channel: string;
  readonly method: 'GET' | 'POST';
  /** Of the URL, without `?`. */
  readonly query: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Explained {
  readonly message: Message;
  /** Each route of the channel, in order, and which of its conditions hold; the first that fits decides. */
  readonly routes: readonly Trace[];
  readonly placement: Placement;
  /** What Haptik would be asked. Without the token. */
  readonly request: { readonly url: string; readonly clientId: string; readonly body: object } | undefined;
}

export interface Explanation {
  readonly provider: string;
  readonly version: string;
  readonly messages: readonly Explained[];
  /** What came with them and is no message. */
  readonly ignored: number;
}

/**
 * What would become of a webhook by a table, without storing or sending anything. Its signature is not checked.
 *
 * @throws {UnknownChannel}; {Refusal} as the channel would refuse it
 */
export async function explain(
  table: RoutingTable,
  providers: Readonly<Record<string, Provider>>,
  { channel: name, method, query, headers, body }: Question,
): Promise<Explanation> {
  const channel = table.channels.get(name);
  const provider = providers[channel?.provider ?? ''];
  if (channel === undefined || provider === undefined) {
    throw new UnknownChannel(`there is no channel "${name}"; there are ${[...table.channels.keys()].join(', ')}`);
  }
  const type = method === 'POST' ? mediaType(headers['content-type'], provider.types) : undefined;
  const request = { method, headers, type, url: '', query: new URLSearchParams(query), body };
  const surroundings = { now: 0, certificateKey: async () => new Unavailable('nothing is fetched') };
  const verified = await verify('none', provider.scheme, request, surroundings, () => {});
  const { arrivals, ignored = [] } = await provider.parse(verified, channel);
  return {
    provider: channel.provider,
    version: table.version,
    messages: arrivals.map(({ message }) => explained(table, name, message)),
    ignored: ignored.length,
  };
}

function explained(table: RoutingTable, channel: string, message: Message): Explained {
  const placement = table.place(channel, message);
  const delivery = 'delivery' in placement ? placement.delivery : undefined;
  const account = delivery && table.accounts.get(delivery.account);
  const request =
    delivery && account
      ? { url: account.messageUrl.href, clientId: account.clientId, body: logMessageRequest(delivery) }
      : undefined;
  return { message, routes: table.trace(channel, message), placement, request };
}

/** The table has no such channel. */
export class UnknownChannel extends Error {
  override readonly name = 'UnknownChannel';
}

/** As programs are told: snake_case, and everything that the message holds. */
export function explanationView({ provider, version, messages, ignored }: Explanation) {
  return {
    provider,
    version,
    ignored,
    messages: messages.map(({ message: { providerId, sentAt, ...rest }, routes, placement, request }) => ({
      message: { ...rest, id: providerId, sent_at: sentAt },
      routes,
      route: placement.route,
      ...('dead' in placement
        ? { reason: placement.dead, detail: placement.detail }
        : {
            account: placement.delivery.account,
            business_id: placement.delivery.businessId,
            auth_id: placement.delivery.authId,
          }),
      request: request ? { url: request.url, client_id: request.clientId, body: request.body } : null,
    })),
  };
}
