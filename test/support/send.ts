import { type Agent, type OutgoingHttpHeaders, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';

/** A request as it is to go out: nothing of it is written anew on the way, as `fetch` would with a path. */
export interface Outgoing {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Uint8Array;
}

export interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly text: string;
}

interface SendOptions {
  /** Keeps connections: without it each request opens one. */
  readonly agent?: Agent;
  /** The authority that signed the server's throw-away certificate, and the name it is for. */
  readonly tls?: { readonly ca: string; readonly servername: string };
}

/** An answer that takes longer than this is a hang. */
const ANSWER_MS = 5_000;

/** Rejects when there is no answer in time. */
export function send(base: string, outgoing: Outgoing, { agent, tls }: SendOptions = {}): Promise<Answer> {
  const { protocol, hostname, port } = new URL(base);
  const { method, path, body } = outgoing;
  // Of itself Node says it for those methods only that mostly have a body; the rest would be taken for another request.
  const headers = body.length > 0 ? { ...outgoing.headers, 'Content-Length': body.length } : outgoing.headers;
  return new Promise((resolve, reject) => {
    const options = { hostname, port, method, path, headers, ...(agent && { agent }), ...tls };
    const call = (protocol === 'https:' ? requestHttps : requestHttp)(options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(chunks).toString(),
        }),
      );
    });
    call.on('error', reject);
    call.setTimeout(ANSWER_MS, () => call.destroy(new Error(`no answer within ${ANSWER_MS} ms`)));
    call.end(body);
  });
}
