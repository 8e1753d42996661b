import type { SenderKind } from '../sender.ts';

/** What the routing file has to know of a provider. */
export interface ProviderTraits {
  /** What its senders are. */
  readonly sender: SenderKind;
  /** What `verify` takes for the provider's own scheme; undefined where it has none. */
  readonly credentials: 'secret' | 'user:password' | 'public_key' | 'topic_arn' | undefined;
  /** Its handshake must hold a token: `verify_token`. */
  readonly hasVerifyToken?: boolean;
  /** It is a website's own form, posted by browsers: `allowed_origins`, `redirect`, `honeypot`, `rate_limit`. */
  readonly isOwnForm?: boolean;
  /** What only the customer can name, so that a channel must say where it is. */
  readonly unnamed?: readonly ('sender' | 'text')[];
}

/** The providers that there are, by name. */
export type Catalog = Readonly<Record<string, ProviderTraits>>;
