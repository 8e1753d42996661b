import type { Clock } from '../clock.ts';
import { parseJson } from '../json.ts';
import type { Delivery, Outcome } from '../message.ts';
import { type HaptikAccount, loggedMessage, logMessageRequest, userRequest } from './api.ts';
import type { Answer, Post } from './client.ts';

export interface DeliverOptions {
  readonly post: Post;
  readonly account: (name: string) => HaptikAccount | undefined;
  readonly clock: Pick<Clock, 'now'>;
}

/** What is kept of a refusal, so that a person can see why. */
const MAX_KEPT_ANSWER = 1_000;

type Registration = { readonly kind: 'registered' } | Exclude<Outcome, { kind: 'delivered' }>;

/**
 * One try: logs the message; where Haptik does not know the user, registers them and logs it again at once.
 *
 * Concurrent registrations of one user are one call: first messages tend to come in bursts.
 */
export function createDeliver({ post, account, clock }: DeliverOptions) {
  const registrations = new Map<string, Promise<Registration>>();

  const register = (to: HaptikAccount, url: URL, delivery: Delivery, signal: AbortSignal): Promise<Registration> => {
    const key = JSON.stringify([to.name, delivery.authId]);
    const running = registrations.get(key);
    if (running) return running;
    const registration = post(to, url, userRequest(delivery.authId, delivery.user), signal)
      .then((answer) => judgeRegistration(answer, clock.now()))
      .finally(() => registrations.delete(key));
    registrations.set(key, registration);
    return registration;
  };

  return async (delivery: Delivery, signal: AbortSignal): Promise<Outcome> => {
    const to = account(delivery.account);
    if (to === undefined)
      return { kind: 'retry', detail: `the account ${delivery.account} is not in the routing table` };
    const log = async () =>
      judgeMessage(await post(to, to.messageUrl, logMessageRequest(delivery), signal), clock.now());

    const first = await log();
    if (first !== 'not_registered') return first;
    if (to.userUrl === undefined) {
      return { kind: 'dead', reason: 'user_not_registered', detail: 'HTTP 403, and register_users is false' };
    }
    const registration = await register(to, to.userUrl, delivery, signal);
    if (registration.kind !== 'registered') return registration;
    const second = await log();
    if (second !== 'not_registered') return second;
    return { kind: 'dead', reason: 'user_not_registered', detail: 'HTTP 403 again, right after registering the user' };
  };
}

function judgeMessage(answer: Answer, now: number): Outcome | 'not_registered' {
  if (!('status' in answer)) {
    return { kind: answer.isWritten ? 'unknown' : 'retry', detail: answer.detail };
  }
  const detail = `HTTP ${answer.status}`;
  switch (answer.status) {
    case 200:
      return judgeLogged(answer.text);
    case 401:
      return { kind: 'hold', detail, isSpent: false };
    case 403:
      return 'not_registered';
    case 502:
    case 504:
      // A gateway speaks, and does not say what became of what it passed on.
      return { kind: 'unknown', detail };
    default:
      if (answer.status >= 200 && answer.status < 300)
        return { kind: 'unknown', detail: `${detail} is no known answer` };
      if (isTransient(answer.status)) return retry(detail, answer.retryAfter, now);
      return { kind: 'dead', reason: 'refused', detail, answer: kept(answer.text) };
  }
}

function judgeLogged(text: string): Outcome {
  const logged = loggedMessage.safeParse(parsed(text));
  if (logged.success) {
    return { kind: 'delivered', messageId: logged.data.message_id, createdAt: logged.data.created_at };
  }
  return { kind: 'unknown', detail: 'HTTP 200 without a message_id: something else than Haptik may have answered' };
}

/** Registering is idempotent, so what is unknown here is simply tried again. */
function judgeRegistration(answer: Answer, now: number): Registration {
  if (!('status' in answer)) return { kind: 'retry', detail: `registering the user: ${answer.detail}` };
  const detail = `registering the user: HTTP ${answer.status}`;
  if (answer.status >= 200 && answer.status < 300) return { kind: 'registered' };
  // A 403 here is no answer of Haptik's. Something in front of it may refuse us all, or just what this user is called.
  if (answer.status === 401 || answer.status === 403) return { kind: 'hold', detail, isSpent: answer.status === 403 };
  if (isTransient(answer.status)) return retry(detail, answer.retryAfter, now);
  return { kind: 'dead', reason: 'registration_refused', detail, answer: kept(answer.text) };
}

/** 3xx: we do not follow redirects, and who redirects did not take the message. */
function isTransient(status: number): boolean {
  return (status >= 300 && status < 400) || status === 408 || status === 425 || status === 429 || status >= 500;
}

function retry(detail: string, retryAfter: string | null, now: number): Extract<Outcome, { kind: 'retry' }> {
  return { kind: 'retry', detail, retryAfterMs: retryAfterMs(retryAfter, now) };
}

/** RFC 9110 §10.2.3: seconds or a date. Zero, the past and nonsense say nothing. */
function retryAfterMs(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  const ms = /^\s*\d+\s*$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - now;
  return ms > 0 ? ms : undefined;
}

function kept(text: string): string {
  return text.slice(0, MAX_KEPT_ANSWER).toWellFormed();
}

function parsed(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}
