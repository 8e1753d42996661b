/**
 * The words of the bridge, as types.
 *
 * - provider      a kind of sender system (`twilio`, `form`): its signature scheme, payload shape, handshake and reply
 * - channel       one configured inbound endpoint, `POST /webhooks/:channel`
 * - message       one normalised chat message: not the HTTP request, not the stored row
 * - sender        who wrote it: phone, e-mail, user id
 * - recipient     what they wrote to: number, page; the channel's name where the provider names none
 * - route         matches a message and gives business_id, auth_id and text
 * - account       one set of Haptik credentials
 * - delivery      what a route made of a message: everything that Haptik is told, and nothing secret
 * - conversation  the ordering key: account + business_id + auth_id
 * - attempt       one try at Haptik; its outcome is how it ended
 * - dead letter   a message given up, with its reason, kept until a person deals with it
 * - unknown       a message that was sent, and nobody knows whether it arrived; a person decides
 * - stopped       a conversation that waits for a person, behind such a message
 * - hold          an account waits: its credentials are refused, or an operator has paused it
 */

export type Json = string | number | boolean | null | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/**
 * A file that came with a message, as far as its provider tells of it. `url` mostly wants credentials of the provider's, or
 * ends; where there is none, `id` is what the provider's API gives the file for. `content_type` may be the provider's own
 * word (`image`). `size` is in bytes.
 */
export interface Attachment {
  readonly url?: string | undefined;
  readonly id?: string | undefined;
  readonly name?: string | undefined;
  readonly content_type?: string | undefined;
  readonly size?: number | undefined;
}

export interface Message {
  readonly sender: string;
  readonly recipient: string;
  readonly text: string;
  /** The provider's own id of the message. */
  readonly providerId?: string | undefined;
  /** When the sender's system says that it was written: ISO 8601, UTC. */
  readonly sentAt?: string | undefined;
  readonly name?: string | undefined;
  readonly email?: string | undefined;
  readonly phone?: string | undefined;
  /** What else the payload holds, for routes and templates. */
  readonly fields: Json;
  readonly attachments: readonly Attachment[];
}

/** The profile with which an unknown user is registered; the keys are Haptik's own. */
export interface UserProfile {
  readonly name?: string | undefined;
  readonly email?: string | undefined;
  readonly mobile_no?: string | undefined;
  readonly language_code?: string | undefined;
  readonly custom_data?: Readonly<Record<string, string>> | undefined;
}

export interface Delivery {
  readonly account: string;
  readonly businessId: number;
  readonly authId: string;
  readonly text: string;
  readonly user: UserProfile;
  /** When it was sent and nobody knows whether it arrived: send it again, or stop the conversation for a person. */
  readonly onUnknown: 'retry' | 'stop';
  /** When it is given up: the conversation goes on without it, or stops for a person. */
  readonly onDead: 'continue' | 'stop';
}

/** Why the routing table could not make a delivery of a message: what is dead of it is always routed again. */
export const UNROUTED_REASONS = ['unroutable', 'no_auth_id', 'bad_auth_id', 'empty'] as const;
export type UnroutedReason = (typeof UNROUTED_REASONS)[number];

/** What the routing table says of a message: a delivery, or why there is none. `route` is its place in the file. */
export type Placement =
  | { readonly route: string; readonly delivery: Delivery }
  | { readonly route: string | null; readonly dead: UnroutedReason; readonly detail: string };

export type DeadReason = UnroutedReason | 'refused' | 'user_not_registered' | 'registration_refused' | 'expired';

/**
 * How one attempt at Haptik ended. `status` is that of the answer which decided, where there was one. `detail` is for logs
 * and never holds message text or secrets; `answer` is what the far end said, which may repeat the message, and is only stored.
 */
export type Outcome = { readonly status?: number | undefined } & (
  | { readonly kind: 'delivered'; readonly messageId: string; readonly createdAt: string | null }
  /** Haptik surely does not have it; another try may succeed. */
  | {
      readonly kind: 'retry';
      readonly detail: string;
      readonly retryAfterMs?: number | undefined;
      readonly isOverload?: boolean;
    }
  /** It was sent, and nobody knows whether it arrived. `isOverload`: the far end is asking for less, or too slow. */
  | { readonly kind: 'unknown'; readonly detail: string; readonly isOverload?: boolean }
  /**
   * The account's credentials are refused: the account waits. Mostly the message is not to blame; where it may be
   * (`isSpent`), the attempt counts against it too.
   */
  | { readonly kind: 'hold'; readonly detail: string; readonly isSpent: boolean }
  | { readonly kind: 'dead'; readonly reason: DeadReason; readonly detail: string; readonly answer?: string }
);

/** The ordering key. JSON, so that no name can be made to look like two others joined. */
export function conversationOf(delivery: Delivery): string {
  return JSON.stringify([delivery.account, delivery.businessId, delivery.authId]);
}
