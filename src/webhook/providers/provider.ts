import type { IncomingHttpHeaders } from 'node:http';
import type { Message } from '../../message.ts';
import type { MessageState } from '../../outbox/records.ts';
import type { Channel } from '../../routing/table.ts';
import type { VerifiedRequest } from '../verify.ts';

/** What a provider made of a request. */
export type Parsed =
  | { readonly messages: readonly Message[]; readonly isBatch: boolean }
  /** It fell into a trap for robots: answered like a success, and not stored. */
  | { readonly trapped: true };

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
  /** A string is sent as HTML, anything else as JSON. */
  readonly body?: string | object;
}

/** A kind of sender system. Adding one is a file of this shape and a line in the registry. */
export interface Provider {
  readonly methods: readonly string[];
  /** Requests a minute and address, where the channel sets none; undefined: not limited. */
  readonly rateLimit?: number;
  /** The headers that let a web page read the answer. @throws {OriginNotAllowed} */
  readonly cors?: (channel: Channel, headers: IncomingHttpHeaders) => Readonly<Record<string, string>>;
  /** @throws {Refusal} when the payload cannot be understood; nothing of it is stored then */
  parse(request: VerifiedRequest, channel: Channel): Promise<Parsed>;
  reply(receipts: readonly Receipt[], isBatch: boolean, channel: Channel, headers: IncomingHttpHeaders): Reply;
}
