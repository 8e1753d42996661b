import type { IncomingHttpHeaders } from 'node:http';
import type { Message } from '../../message.ts';
import type { MessageState } from '../../outbox/records.ts';
import type { Repeat } from '../../outbox/store.ts';
import type { ProviderTraits } from '../../routing/catalog.ts';
import type { Channel } from '../../routing/table.ts';
import type { ContentType } from '../payload.ts';
import type { RawRequest, Scheme, VerifiedRequest } from '../verify/request.ts';

/** A message as a provider found it, and by what it is known when it comes again. */
export interface Arrival {
  readonly message: Message;
  readonly repeat?: Repeat | undefined;
}

/** Why something that came is no message: an event of another kind, a handshake, a robot in the trap of a form. */
export type IgnoredAs = 'event' | 'handshake' | 'trapped';

/** What a provider made of a request. */
export interface Parsed {
  readonly arrivals: readonly Arrival[];
  /** Whether the answer is one of a list. */
  readonly isBatch?: boolean;
  /** What came and is no message. */
  readonly ignored?: readonly IgnoredAs[];
  /** The answer, where it is another one than to messages. */
  readonly answer?: Reply;
  /** A subscription to be confirmed by a call to this URL, which is known to be the provider's own. */
  readonly confirm?: string;
}

/**
 * What became of one message of a request; the id of a duplicate is that of the first one. To a caller who prefers to
 * wait it says the state that the message has by then.
 */
export interface Receipt {
  readonly id: string;
  readonly status: 'accepted' | 'duplicate' | MessageState;
  readonly reason?: string;
  readonly message_id?: string | null;
  readonly created_at?: string | null;
}

export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** A string is sent as it stands, with its own Content-Type among the headers; anything else as JSON. */
  readonly body?: string | object;
}

/** A kind of sender system. */
export interface Provider extends ProviderTraits {
  /** HEAD is answered where GET is, without effect. */
  readonly methods: readonly string[];
  readonly types: readonly ContentType[];
  /** Undefined: as the settings say. */
  readonly bodyLimitBytes?: number | undefined;
  /** Requests a minute and address, where the channel sets none; undefined: not limited. */
  readonly rateLimit?: number;
  /** What its own credentials are for; undefined where there are none, and for a topic's (SNS). */
  readonly scheme?: Scheme | undefined;
  /** The headers that let a web page read the answer. @throws {OriginNotAllowed} */
  readonly cors?: (channel: Channel, headers: IncomingHttpHeaders) => Readonly<Record<string, string>>;
  /** Answers what is asked before there is anything to verify; undefined: it is no such request. @throws {Refusal} */
  readonly greet?: (request: Pick<RawRequest, 'method' | 'query'>, channel: Channel) => Reply | undefined;
  /** @throws {Refusal} when the payload cannot be understood; nothing of it is stored then */
  parse(request: VerifiedRequest, channel: Channel): Promise<Parsed>;
  reply(receipts: readonly Receipt[], isBatch: boolean, channel: Channel, request: RawRequest): Reply;
}
