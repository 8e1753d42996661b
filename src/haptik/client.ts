import type { ClientRequest } from 'node:http';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Socket } from 'node:net';
import type fetch from 'node-fetch';
import { messageOf, propertyOf } from '../fault.ts';
import { type HaptikAccount, headersOf } from './api.ts';

/** How one call ended: with an answer, or with none. */
export type Answer =
  | { readonly status: number; readonly text: string; readonly retryAfter: string | null }
  /** `isWritten`: bytes of the request may have reached the far end. In doubt it is true. */
  | { readonly isWritten: boolean; readonly isTimeout: boolean; readonly detail: string };

export type Post = (account: HaptikAccount, url: URL, body: object, signal: AbortSignal) => Promise<Answer>;

export interface ClientOptions {
  readonly fetch: typeof fetch;
  /** One call: connect, headers and body. */
  readonly timeoutMs: number;
}

/**
 * Sockets that idle longer are closed by us, before the far end closes them: a request on a socket that is just being
 * closed cannot be told from one that was lost. A `Keep-Alive: timeout` of the server shortens it further, less 1 s.
 */
const IDLE_SOCKET_MS = 4_000;
/** Answers are some hundred bytes; what is longer is not Haptik's. */
const MAX_ANSWER_BYTES = 65_536;
const STOPPING = 'the bridge is stopping';

/** Calls Haptik over connections that are kept. Never throws: whatever happens is an answer. */
export function createClient({ fetch, timeoutMs }: ClientOptions): { readonly post: Post; close(): void } {
  const agents = {
    'http:': new HttpAgent({ keepAlive: true, timeout: IDLE_SOCKET_MS }),
    'https:': new HttpsAgent({ keepAlive: true, timeout: IDLE_SOCKET_MS }),
  };

  const post: Post = async (account, url, body, signal) => {
    if (signal.aborted) return { isWritten: false, isTimeout: false, detail: STOPPING };
    const call: Call = { isWritten: false, ending: undefined, isDone: false, request: undefined };
    // Ending the request mostly ends the call. That it does so always is not left to Node.
    let giveUp = (_error: Error) => {};
    const ended = new Promise<never>((_resolve, reject) => {
      giveUp = reject;
    });
    let isTimeout = false;
    const end = (why: string) => {
      if (call.isDone) return;
      isTimeout = why !== STOPPING;
      call.ending = why;
      call.request?.destroy(new Error(why));
      giveUp(new Error(why));
    };
    const stop = () => end(STOPPING);
    // After a pause of the whole process timers are served before sockets: an answer that is there already is read first.
    const timer = setTimeout(
      () => setImmediate(() => setImmediate(end, `no answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    signal.addEventListener('abort', stop);
    try {
      const sent = fetch(url, {
        method: 'POST',
        headers: headersOf(account),
        body: Buffer.from(JSON.stringify(body)),
        agent: watched(url.protocol === 'https:' ? agents['https:'] : agents['http:'], call),
        redirect: 'manual',
        compress: false,
        size: MAX_ANSWER_BYTES,
      });
      const response = await Promise.race([sent, ended]);
      // Once the status is there it decides, also where the rest of the answer is lost or too long.
      const text = await Promise.race([response.text(), ended]).catch(() => '');
      return { status: response.status, text, retryAfter: response.headers.get('retry-after') };
    } catch (error) {
      return { isWritten: call.isWritten, isTimeout, detail: call.ending ?? describe(error) };
    } finally {
      call.isDone = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  };

  return {
    post,
    close() {
      agents['http:'].destroy();
      agents['https:'].destroy();
    },
  };
}

/** Node's agents as they are called by `http.request`; the types leave this method out. */
interface RequestTaker {
  addRequest(request: ClientRequest, options: object): void;
}

/** What is known of a call while it lasts. */
interface Call {
  isWritten: boolean;
  /** Why it ended, where we know better than the error says. */
  ending: string | undefined;
  isDone: boolean;
  request: ClientRequest | undefined;
}

/**
 * The shared agent, with an eye on the request and on the socket that it gets. Node hands a request to its socket as soon
 * as that is connected (over TLS: secured), so before that nothing was written, and after that something may have been.
 * Ending the request itself, rather than by a signal, saves node-fetch some 15 µs a call.
 */
function watched<T extends HttpAgent>(agent: T, call: Call): T {
  const addRequest: RequestTaker['addRequest'] = (request, options) => {
    call.request = request;
    // Nobody asked for another protocol. Without this Node would drop the connection and tell nobody.
    request.once('upgrade', (response, socket) => {
      call.ending = `HTTP ${response.statusCode} is no known answer`;
      socket.destroy();
      request.emit('error', new Error(call.ending));
    });
    request.once('socket', (socket: Socket & { readonly encrypted?: boolean }) => {
      const opened = () => {
        call.isWritten = true;
      };
      if (request.reusedSocket) opened();
      else socket.once(socket.encrypted ? 'secureConnect' : 'connect', opened);
    });
    (agent as T & RequestTaker).addRequest(request, options);
  };
  return Object.create(agent, { addRequest: { value: addRequest } });
}

/** The code says more than the text (ECONNREFUSED, CERT_HAS_EXPIRED); node-fetch's own text holds the URL. */
function describe(error: unknown): string {
  const code = propertyOf(error, 'code');
  return typeof code === 'string' ? `connection failed: ${code}` : messageOf(error);
}
