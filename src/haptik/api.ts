import { z } from 'zod';
import type { Delivery, UserProfile } from '../message.ts';

/** Haptik's REST API, as its documentation states it: what is sent, and what is understood of the answers. */

/** Where and as whom Haptik is called. */
export interface HaptikAccount {
  readonly name: string;
  readonly messageUrl: URL;
  /** Undefined where unknown users are not to be registered. */
  readonly userUrl: URL | undefined;
  readonly clientId: string;
  readonly token: string;
}

/** "Log a message": standard messages are type 0. */
const STANDARD_MESSAGE = 0;

export interface LogMessageRequest {
  readonly user: { readonly auth_id: string };
  readonly message_body: string;
  readonly message_type: number;
  readonly business_id: number;
}

export function logMessageRequest({ authId, text, businessId }: Delivery): LogMessageRequest {
  return { user: { auth_id: authId }, message_body: text, message_type: STANDARD_MESSAGE, business_id: businessId };
}

/** "Create or update a user". All but `auth_id` is optional; what is undefined is left out. */
export function userRequest(authId: string, profile: UserProfile): UserProfile & { readonly auth_id: string } {
  return { auth_id: authId, ...profile };
}

/** With what each call says who calls. */
export function headersOf({ token, clientId }: Pick<HaptikAccount, 'token' | 'clientId'>): Record<string, string> {
  return { Authorization: `Bearer ${token}`, 'client-id': clientId, 'Content-Type': 'application/json' };
}

/** The part of a 200 that proves that the message was logged. */
export const loggedMessage = z.object({
  message_id: z.union([z.number(), z.string().min(1)]).transform(String),
  // What else the answer says, or how, changes nothing about the message having been logged.
  created_at: z.string().nullable().catch(null),
});
