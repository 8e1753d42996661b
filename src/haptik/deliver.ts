import type { Clock } from '../clock.ts';
import { parseJson } from '../json.ts';
import type { Delivery, Outcome } from '../message.ts';
import { type HaptikAccount, loggedMessage, logMessageRequest, userRequest } from './api.ts';
import type { Answer, Post } from './client.ts';

export interface DeliverOptions {
  readonly post: Post;
  readonly account: (name: string) => HaptikAccount | undefined;
  readonly clock: Pick<Clock, 'now' | 'elapsed' | 'sleep'>;
  /** By which processes take turns to register a user, where there are several. */
  readonly turns?: Turns | undefined;
}

interface Turns {
  /** `done`: others have done it since then · `mine`: nobody else is at it until it is finished · `busy`: others are */
  begin(key: string, sinceMs: number): Promise<'done' | 'mine' | 'busy'>;
  finish(key: string, isDone: boolean): Promise<void>;
}

/** How often it is seen whether others have registered a user. */
const BUSY_MS = 100;

/** What is kept of a refusal, so that a person can see why. */
const MAX_KEPT_ANSWER = 1_000;
/** Some 100 bytes each. A user who is forgotten is at worst registered once more, and that is idempotent. */
const MAX_REMEMBERED_USERS = 20_000;

const REGISTERED = { kind: 'registered' } as const;
const LATER = { kind: 'retry', detail: 'registering the user: it was not our turn' } as const;

type Registration = { readonly kind: 'registered' } | Exclude<Outcome, { kind: 'delivered' }>;

/** One try: logs the message; where Haptik does not know the user, registers them and logs it again at once. */
export function createDeliver({ post, account, clock, turns }: DeliverOptions) {
  const users = new Users(MAX_REMEMBERED_USERS);

  const register = async (to: HaptikAccount, url: URL, delivery: Delivery, signal: AbortSignal) => {
    const answer = await post(to, url, userRequest(delivery.authId, delivery.user), signal);
    return judgeRegistration(answer, clock.now());
  };

  const inTurn = async (user: string, since: number, signal: AbortSignal, register: () => Promise<Registration>) => {
    if (turns === undefined) return register();
    const begin = () => turns.begin(user, clock.elapsed() - since);
    try {
      let turn = await begin();
      for (; turn === 'busy'; turn = await begin()) {
        await clock.sleep(BUSY_MS, signal);
        if (signal.aborted) return LATER;
      }
      if (turn === 'done') return turn;
    } catch {
      return LATER;
    }
    const ended = await register();
    // Should this fail, the turn is over before long anyway.
    await turns.finish(user, ended.kind === 'registered').catch(() => undefined);
    return ended;
  };

  return async (delivery: Delivery, signal: AbortSignal): Promise<Outcome> => {
    const to = account(delivery.account);
    if (to === undefined)
      return { kind: 'retry', detail: `the account ${delivery.account} is not in the routing table` };
    const { userUrl } = to;
    const log = async () =>
      judgeMessage(await post(to, to.messageUrl, logMessageRequest(delivery), signal), clock.now());

    const startedAt = clock.elapsed();
    const first = await log();
    if (first !== 'not_registered') return first;
    if (userUrl === undefined) return notRegistered('HTTP 403, and register_users is false');
    const user = JSON.stringify([to.name, delivery.authId]);
    const registration = await users.registered(user, startedAt, async () => {
      const ended = await inTurn(user, startedAt, signal, () => register(to, userUrl, delivery, signal));
      // When others did it, it was after we had begun; when exactly is not known.
      return ended === 'done' ? { ended: REGISTERED, at: startedAt } : { ended, at: clock.elapsed() };
    });
    if (registration.kind !== 'registered') return registration;
    const second = await log();
    return second === 'not_registered' ? notRegistered('HTTP 403 again, right after registering the user') : second;
  };
}

/**
 * Who was registered, and when. First messages come in bursts, and all are refused before the first of them has
 * registered the user: those that began before that need no registration of their own. Of many users the last are known.
 */
class Users {
  readonly #limit: number;
  readonly #registeredAt = new Map<string, number>();
  readonly #running = new Map<string, Promise<Registration>>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Has the user registered after `since`; at one time only once. */
  registered(
    key: string,
    since: number,
    register: () => Promise<{ readonly ended: Registration; readonly at: number }>,
  ): Promise<Registration> {
    const running = this.#running.get(key);
    if (running) return running;
    if ((this.#registeredAt.get(key) ?? Number.NEGATIVE_INFINITY) > since) {
      return Promise.resolve({ kind: 'registered' });
    }
    const registration = register()
      .then(({ ended, at }) => {
        if (ended.kind === 'registered') this.#remember(key, at);
        return ended;
      })
      .finally(() => this.#running.delete(key));
    this.#running.set(key, registration);
    return registration;
  }

  #remember(key: string, at: number): void {
    this.#registeredAt.delete(key);
    this.#registeredAt.set(key, at);
    for (const oldest of this.#registeredAt.keys()) {
      if (this.#registeredAt.size <= this.#limit) break;
      this.#registeredAt.delete(oldest);
    }
  }
}

function notRegistered(detail: string): Outcome {
  return { kind: 'dead', reason: 'user_not_registered', detail, status: 403 };
}

function judgeMessage(answer: Answer, now: number): Outcome | 'not_registered' {
  if (!('status' in answer)) {
    return { kind: answer.isWritten ? 'unknown' : 'retry', detail: answer.detail, isOverload: answer.isTimeout };
  }
  const { status } = answer;
  const detail = `HTTP ${status}`;
  switch (status) {
    case 200:
      return judgeLogged(answer.text);
    case 401:
      return { kind: 'hold', status, detail, isSpent: false };
    case 403:
      return 'not_registered';
    case 502:
    case 504:
      // A gateway speaks, and does not say what became of what it passed on. 504 is its time-out.
      return { kind: 'unknown', status, detail, isOverload: status === 504 };
    default:
      if (status >= 200 && status < 300) return { kind: 'unknown', status, detail: `${detail} is no known answer` };
      if (isTransient(status)) return retry(status, detail, answer.retryAfter, now);
      return { kind: 'dead', reason: 'refused', status, detail, answer: kept(answer.text) };
  }
}

function judgeLogged(text: string): Outcome {
  const status = 200;
  const logged = loggedMessage.safeParse(parsed(text));
  if (logged.success) {
    return { kind: 'delivered', status, messageId: logged.data.message_id, createdAt: logged.data.created_at };
  }
  const detail = 'HTTP 200 without a message_id: something else than Haptik may have answered';
  return { kind: 'unknown', status, detail };
}

/** Registering is idempotent, so what is unknown here is simply tried again. */
function judgeRegistration(answer: Answer, now: number): Registration {
  if (!('status' in answer)) {
    return { kind: 'retry', detail: `registering the user: ${answer.detail}`, isOverload: answer.isTimeout };
  }
  const { status } = answer;
  const detail = `registering the user: HTTP ${status}`;
  if (status >= 200 && status < 300) {
    if (answer.text.trim() === '' || parsed(answer.text) !== undefined) return { kind: 'registered' };
    return {
      kind: 'retry',
      status,
      detail: `${detail}, but not in JSON: something else than Haptik may have answered`,
    };
  }
  // A 403 here is no answer of Haptik's. Something in front of it may refuse us all, or just what this user is called.
  if (status === 401 || status === 403) return { kind: 'hold', status, detail, isSpent: status === 403 };
  if (isTransient(status)) return retry(status, detail, answer.retryAfter, now);
  return { kind: 'dead', reason: 'registration_refused', status, detail, answer: kept(answer.text) };
}

/** 3xx: we do not follow redirects, and who redirects did not take the message. */
function isTransient(status: number): boolean {
  return (status >= 300 && status < 400) || status === 408 || status === 425 || status === 429 || status >= 500;
}

function retry(status: number, detail: string, retryAfter: string | null, now: number) {
  const isOverload = status === 429 || status === 503;
  return { kind: 'retry', status, detail, retryAfterMs: retryAfterMs(retryAfter, now), isOverload } as const;
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
