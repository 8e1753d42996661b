import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import express, { type Request, type Response } from 'express';
import { z } from 'zod';
import { listen } from '../listen.ts';

export interface SimulatorOptions {
  readonly clientId: string;
  readonly token: string;
  readonly now: () => number;
  /** A number in [0, 1), for faults with a rate. */
  readonly random: () => number;
}

/** A message that was logged, in the order of arrival. */
export interface LoggedMessage {
  readonly message_id: number;
  readonly created_at: string;
  readonly auth_id: string;
  readonly business_id: number;
  readonly message_body: string;
  readonly message_type: number;
}

/** One call as it came in, whatever became of it. `status` is null where nothing was answered. */
export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: unknown;
  status: number | null;
}

const userBody = z.object({
  auth_id: z.string().regex(/^[A-Za-z0-9]+$/),
  mobile_no: z.string().optional(),
  email: z.string().optional(),
  name: z.string().optional(),
  language_code: z.string().optional(),
  custom_data: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).optional(),
});

const messageBody = z.object({
  user: z.object({ auth_id: z.string().regex(/^[A-Za-z0-9]+$/) }),
  message_body: z.string(),
  message_type: z.int(),
  business_id: z.int(),
});

/** How to misbehave, for the next `count` calls or, with `rate`, for that share of all calls until cleared. */
export const fault = z
  .strictObject({
    path: z.enum(['message', 'user', 'any']).default('any'),
    count: z.int().min(1).optional(),
    rate: z.number().min(0).max(1).optional(),
    /** Before anything else happens. */
    delay_ms: z.int().min(0).max(600_000).default(0),
    /**
     * answer: with `status`, `body` and `headers`, or as usual where there is no status · hang: never answers ·
     * drop: cuts the connection at once · accept_then_drop: logs the message and cuts the connection ·
     * garbage: 200 with something that is not Haptik's
     */
    action: z.enum(['answer', 'hang', 'drop', 'accept_then_drop', 'garbage']).default('answer'),
    status: z.int().min(200).max(599).optional(),
    body: z.unknown().optional(),
    headers: z.record(z.string().regex(/^[A-Za-z0-9-]+$/), z.string().regex(/^[\x20-\x7e]*$/)).default({}),
  })
  .refine((value) => (value.count === undefined) !== (value.rate === undefined), 'give either count or rate');

export type Fault = z.input<typeof fault>;
type Plan = z.output<typeof fault>;

const MAX_RECORDED_REQUESTS = 1_000;
const FIRST_MESSAGE_ID = 1_411_200_000;

/**
 * A Haptik to try things with: the Log Message and user calls as Haptik documents them, and a control surface under
 * `/_simulator` to look at what arrived and to misbehave.
 */
export class Simulator {
  readonly #options: SimulatorOptions;
  readonly #server: Server;
  readonly #users = new Map<string, z.output<typeof userBody>>();
  readonly #messages: LoggedMessage[] = [];
  readonly #requests: RecordedRequest[] = [];
  #faults: (Plan & { left: number })[] = [];
  #nextMessageId = FIRST_MESSAGE_ID;

  constructor(options: SimulatorOptions) {
    this.#options = options;
    const app = express();
    app.disable('x-powered-by');
    // Haptik's paths end in a slash.
    app.enable('strict routing');
    app.use('/_simulator', this.#control());
    app.use(express.text({ type: () => true, limit: '15mb' }));
    app.post('/v1.0/log_message_from_user/', (request, response) =>
      this.#call('message', request, response, (body) => this.#logMessage(body)),
    );
    const user = (request: Request, response: Response) =>
      this.#call('user', request, response, (body) => this.#saveUser(body));
    app.post('/v1.0/user/', user);
    app.put('/v1.0/user/', user);
    app.use((_request, response) => {
      response.status(404).json({ error_message: 'not found' });
    });
    this.#server = createServer(app);
  }

  get messages(): readonly LoggedMessage[] {
    return this.#messages;
  }

  get users(): ReadonlyMap<string, object> {
    return this.#users;
  }

  /** The last calls, successful or not. */
  get requests(): readonly RecordedRequest[] {
    return this.#requests;
  }

  /** @returns the base URL; port 0 takes a free one. @throws {PortInUse | ListenRefused} */
  listen(port = 0, host = '127.0.0.1'): Promise<string> {
    return listen(this.#server, { host, port });
  }

  /** @throws {z.ZodError} when it is not a fault */
  addFault(input: Fault): void {
    const parsed = fault.parse(input);
    this.#faults.push({ ...parsed, left: parsed.count ?? Number.POSITIVE_INFINITY });
  }

  clearFaults(): void {
    this.#faults = [];
  }

  /** Forgets users, messages, requests and faults. */
  clear(): void {
    this.#users.clear();
    this.#messages.length = 0;
    this.#requests.length = 0;
    this.#faults = [];
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  #call(kind: 'message' | 'user', request: Request, response: Response, answer: (body: unknown) => Reply): void {
    const body = parseJson(request.body);
    const recorded: RecordedRequest = {
      method: request.method,
      path: request.path,
      headers: request.headers,
      body,
      status: null,
    };
    this.#requests.push(recorded);
    if (this.#requests.length > MAX_RECORDED_REQUESTS) this.#requests.shift();

    const send = ({ status, body, headers = {} }: Reply) => {
      recorded.status = status;
      response.status(status).set(headers);
      if (typeof body === 'string') response.send(body);
      else response.json(body ?? {});
    };
    const usual = () => this.#authorise(request) ?? answer(body);
    const plan = this.#nextFault(kind);
    if (plan === undefined) send(usual());
    else setTimeout(() => misbehave(plan, request, usual, send), plan.delay_ms);
  }

  #nextFault(kind: 'message' | 'user'): Plan | undefined {
    const plan = this.#faults.find(
      ({ path, rate, left }) =>
        (path === 'any' || path === kind) && left > 0 && (rate === undefined || this.#options.random() < rate),
    );
    if (plan !== undefined) plan.left -= 1;
    this.#faults = this.#faults.filter(({ left }) => left > 0);
    return plan;
  }

  #authorise({ headers }: Request): Reply | undefined {
    const isKnown =
      headers.authorization === `Bearer ${this.#options.token}` && headers['client-id'] === this.#options.clientId;
    return isKnown ? undefined : { status: 401, body: { error_message: 'invalid authorization details' } };
  }

  #logMessage(input: unknown): Reply {
    const parsed = messageBody.safeParse(input);
    if (!parsed.success) return malformed(parsed.error);
    const { user, message_body, message_type, business_id } = parsed.data;
    if (!this.#users.has(user.auth_id)) return { status: 403, body: { error_message: 'user is not registered' } };
    const message_id = this.#nextMessageId++;
    const created_at = new Date(this.#options.now()).toISOString();
    this.#messages.push({ message_id, created_at, auth_id: user.auth_id, business_id, message_body, message_type });
    return { status: 200, body: { message_id, message_body, created_at, message_type } };
  }

  #saveUser(input: unknown): Reply {
    const parsed = userBody.safeParse(input);
    if (!parsed.success) return malformed(parsed.error);
    const user = { ...this.#users.get(parsed.data.auth_id), ...parsed.data };
    this.#users.set(user.auth_id, user);
    const { auth_id, mobile_no, email, name } = user;
    return { status: 200, body: { auth_id, mobile_no, email, name } };
  }

  #control(): express.Router {
    const router = express.Router();
    router.get('/messages', (_request, response) => void response.json({ items: this.#messages }));
    router.get('/users', (_request, response) => void response.json({ items: [...this.#users.values()] }));
    router.get('/requests', (_request, response) => void response.json({ items: this.#requests }));
    router.delete('/', (_request, response) => {
      this.clear();
      response.status(204).end();
    });
    router.post('/faults', express.json(), (request, response) => {
      const parsed = fault.safeParse(request.body);
      if (parsed.success) this.addFault(parsed.data);
      response
        .status(parsed.success ? 201 : 400)
        .json(parsed.success ? parsed.data : { error_message: z.prettifyError(parsed.error) });
    });
    router.delete('/faults', (_request, response) => {
      this.clearFaults();
      response.status(204).end();
    });
    return router;
  }
}

interface Reply {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

function misbehave(plan: Plan, request: Request, usual: () => Reply, send: (reply: Reply) => void): void {
  switch (plan.action) {
    case 'answer':
      send(plan.status === undefined ? usual() : { status: plan.status, body: plan.body, headers: plan.headers });
      break;
    case 'garbage':
      send({ status: 200, body: '<html>Sign in to the guest network</html>' });
      break;
    case 'accept_then_drop':
      usual();
      request.socket.destroy();
      break;
    case 'drop':
      request.socket.destroy();
      break;
    case 'hang':
      break;
    default:
      plan.action satisfies never;
  }
}

function malformed(error: z.ZodError): Reply {
  return { status: 400, body: { error_message: `malformed body: ${z.prettifyError(error)}` } };
}

function parseJson(text: unknown): unknown {
  try {
    return JSON.parse(String(text));
  } catch {
    return undefined;
  }
}
