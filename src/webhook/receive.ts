import type { Request, RequestHandler, Response } from 'express';
import type { Clock } from '../clock.ts';
import { MethodNotAllowed, NotFound, Unavailable } from '../errors.ts';
import { propertyOf } from '../fault.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Accept } from '../outbox/accept.ts';
import type { Wait } from '../outbox/wait.ts';
import type { Channel, RoutingTable } from '../routing/table.ts';
import { BodyBudget, readBody } from './body.ts';
import { mediaType } from './payload.ts';
import { fates, preferredWait } from './prefer.ts';
import type { Arrival, Provider, Receipt, Reply } from './providers/provider.ts';
import { urlAsCalled } from './public-url.ts';
import { rateLimiter } from './rate-limit.ts';
import { inTurns } from './turns.ts';
import type { RawRequest, Surroundings } from './verify/request.ts';
import { verify } from './verify/verify.ts';

export type Providers = Readonly<Record<string, Provider>>;

export interface ReceiveOptions {
  readonly table: () => RoutingTable;
  /** Whether a channel that this table does not have was one before, may be one elsewhere, or nobody can tell. */
  readonly mayBeChannel: (name: string) => Promise<boolean>;
  readonly providers: Providers;
  /** What providers call, where it is written down. */
  readonly publicUrl: string | undefined;
  readonly certificateKey: Surroundings['certificateKey'];
  /** Confirms a subscription of the channel, by a call to the URL, some time soon. */
  readonly confirm: (url: string, channel: string) => void;
  readonly accept: Accept;
  readonly bodyLimitBytes: number;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: () => string;
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'accepted' | 'duplicate' | 'ignored' | 'unverified'>;
  readonly wait: Wait;
  /** Aborts when we must go: nobody is kept waiting then. */
  readonly stopping: AbortSignal;
}

/** All bodies that are being read at one time. Small ones never meet it; large ones at once must not be our end. */
const BODIES_TOGETHER_BYTES = 64 * 1024 * 1024;
/** A backlog shrinks slowly. */
const FULL_RETRY_SECONDS = 30;

/** From untrusted bytes to stored messages: one line a step, one kind of refusal a line. */
export function receive(options: ReceiveOptions): RequestHandler {
  const budget = new BodyBudget(BODIES_TOGETHER_BYTES);
  const limitRate = rateLimiter();
  const { log, metrics } = options;

  return async (request, response) => {
    const table = options.table();
    const channel = await channelOf(request, table, options);
    const provider = providerOf(channel, options.providers);
    const method = methodOf(request, provider);
    response.set(provider.cors?.(channel, request.headers) ?? {});
    if (method === 'OPTIONS') return void response.status(204).end();
    if (provider.rateLimit !== undefined) {
      await limitRate(request, response, channel.rate_limit ?? provider.rateLimit);
    }
    const greeting = provider.greet?.({ method, query: queryOf(request) }, channel);
    if (greeting) {
      metrics.ignored(channel.name, 'handshake');
      return send(response, greeting);
    }
    const raw = await rawOf(request, method, provider, options, budget);
    const surroundings = { now: options.clock.now(), certificateKey: options.certificateKey };
    let isProven = channel.verify !== 'none';
    const verified = await verify(channel.verify, provider.scheme, raw, surroundings, ({ message: fault }) => {
      isProven = false;
      metrics.unverified(channel.name);
      log.warn('would have been refused: verify.mode is report', { channel: channel.name, fault });
    });
    if (request.method === 'HEAD') return send(response, provider.reply([], false, channel, raw));
    const { arrivals, isBatch = false, ignored = [], answer, confirm } = await provider.parse(verified, channel);
    for (const why of ignored) metrics.ignored(channel.name, why);
    if (ignored.length > 0) {
      const at = ignored.includes('trapped') ? log.info : log.debug;
      at('ignored', {
        channel: channel.name,
        why: ignored[0],
        count: ignored.length,
        request_id: response.locals.requestId,
      });
    }
    // Whoever it was, they shall not make us call around.
    if (confirm !== undefined && isProven) options.confirm(confirm, channel.name);
    else if (confirm !== undefined) {
      const advice = 'nothing proves who asks for it; set verify.topic_arn, or confirm it by hand';
      log.warn(`a subscription is not confirmed: ${advice}`, { channel: channel.name });
    }
    if (answer) return send(response, answer);
    const receipts =
      arrivals.length > 0
        ? await store(options, table, channel, arrivals, response.locals.requestId)
        : [{ id: options.newId(), status: 'accepted' as const }];
    const seconds = arrivals.length > 0 ? preferredWait(request) : 0;
    if (seconds > 0) response.set('Preference-Applied', `wait=${seconds}`);
    const known = seconds > 0 ? await fates(options, receipts, seconds * 1_000, response) : receipts;
    send(response, provider.reply(known, isBatch, channel, raw));
  };
}

/** What was a channel may be one again, or be new and not known here yet; and some providers never call again after one 404. */
async function channelOf(request: Request, table: RoutingTable, { mayBeChannel }: ReceiveOptions): Promise<Channel> {
  const name = String(request.params.channel);
  const channel = table.channels.get(name);
  if (channel !== undefined) return channel;
  if (await mayBeChannel(name)) throw new Unavailable(`The channel "${name}" is not in the routing table here.`);
  throw new NotFound(`There is no channel "${name}".`);
}

function providerOf(channel: Channel, providers: Providers): Provider {
  const provider = providers[channel.provider];
  if (provider === undefined) throw new Error(`there is no provider ${channel.provider}`);
  return provider;
}

/** As what the request is taken: a HEAD as the GET that it asks about. */
function methodOf({ method }: Request, { methods }: Provider): string {
  const meant = method === 'HEAD' && !methods.includes('HEAD') ? 'GET' : method;
  if (!methods.includes(meant)) throw new MethodNotAllowed(method, methods);
  return meant;
}

/** A GET has no body, whatever comes with it. */
async function rawOf(
  request: Request,
  method: string,
  provider: Provider,
  { bodyLimitBytes, publicUrl }: ReceiveOptions,
  budget: BodyBudget,
): Promise<RawRequest> {
  const hasBody = method === 'POST';
  const type = hasBody ? mediaType(request.headers['content-type'], provider.types) : undefined;
  const body = hasBody ? await readBody(request, provider.bodyLimitBytes ?? bodyLimitBytes, budget) : Buffer.alloc(0);
  return {
    method,
    headers: request.headers,
    type,
    url: urlAsCalled(request, publicUrl),
    query: queryOf(request),
    body,
  };
}

/** Routes and stores. Whatever fails here is our own trouble: nothing is acknowledged, and the sender may try again. */
async function store(
  { accept, newId, log, metrics }: ReceiveOptions,
  table: RoutingTable,
  channel: Channel,
  arrivals: readonly Arrival[],
  requestId: unknown,
): Promise<readonly Receipt[]> {
  const entries: Parameters<Accept>[0][number][] = [];
  for await (const { message, repeat } of inTurns(arrivals)) {
    const placement = table.place(channel.name, message);
    entries.push({ id: newId(), channel: channel.name, message, repeat, placement, tableVersion: table.version });
  }
  const acceptances = await accept(entries).catch((cause: unknown) => {
    const isFull = propertyOf(cause, 'name') === 'BacklogFull';
    throw isFull
      ? new Unavailable('Too many messages wait for delivery; send it again later.', {
          cause,
          retryAfterSeconds: FULL_RETRY_SECONDS,
        })
      : new Unavailable('The message could not be stored; send it again.', { cause });
  });
  return acceptances.map(({ id, isDuplicate }, index) => {
    const placement = entries[index]?.placement;
    const common = { id, channel: channel.name, request_id: requestId };
    if (isDuplicate) metrics.duplicate(channel.name);
    else metrics.accepted(channel.name);
    if (isDuplicate) log.info('duplicate', common);
    else if (placement && 'dead' in placement) {
      log.error('dead', { ...common, reason: placement.dead, route: placement.route });
    } else if (placement) {
      const { businessId, authId } = placement.delivery;
      log.info('accepted', { ...common, route: placement.route, business_id: businessId, auth_id: authId });
    }
    return { id, status: isDuplicate ? 'duplicate' : 'accepted' };
  });
}

function queryOf(request: Request): URLSearchParams {
  const start = request.url.indexOf('?');
  return new URLSearchParams(start < 0 ? '' : request.url.slice(start));
}

/** A text goes out as it is: Express would add a charset to its type, and some providers compare that. */
function send(response: Response, { status, headers = {}, body = '' }: Reply): void {
  response.status(status);
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (typeof body === 'object') return void response.json(body);
  response.setHeader('Content-Length', Buffer.byteLength(body));
  response.end(body);
}
