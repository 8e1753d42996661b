import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** What was asked of a database. */
export interface Traffic {
  /** Statements, or several at once in one simple query: each waits for an answer. */
  readonly requests: number;
  /** Those that are begun and ended, and statements outside of any. */
  readonly transactions: number;
}

/** A way to a database on which what goes over it is counted. */
export interface Wire extends AsyncDisposable {
  /** The database's, by way of it. */
  readonly url: string;
  /** Of all connections so far. */
  readonly traffic: Traffic;
}

/** https://www.postgresql.org/docs/current/protocol-message-formats.html */
const QUERY = 'Q';
const EXECUTE = 'E';
const READY_FOR_QUERY = 'Z';
/** The state that it tells of: in no transaction. */
const IDLE = 'I';
const LENGTH_BYTES = 4;

export async function startWire(databaseUrl: string): Promise<Wire> {
  const target = new URL(databaseUrl);
  const traffic = { requests: 0, transactions: 0 };
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const database = connect(Number(target.port), target.hostname);
    for (const [socket, other] of [
      [client, database],
      [database, client],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay();
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
    const onRequest = messages(true, (type) => {
      if (type === QUERY || type === EXECUTE) traffic.requests += 1;
    });
    let isConnected = false;
    const onAnswer = messages(false, (type, body) => {
      if (type !== READY_FOR_QUERY) return;
      // The first one ends the log-in.
      if (isConnected && body.toString() === IDLE) traffic.transactions += 1;
      isConnected = true;
    });
    client.on('data', onRequest);
    database.on('data', onAnswer);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('there is no free port');
  const url = new URL(databaseUrl);
  url.host = `127.0.0.1:${address.port}`;
  return {
    url: url.href,
    traffic,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/**
 * Takes pieces of a stream apart into the protocol's messages: a type of one byte, the length of itself and the body, and
 * the body. The first one of a client, which asks for no encryption here, has no type.
 */
function messages(isClient: boolean, onMessage: (type: string, body: Buffer) => void): (piece: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  let typeBytes = isClient ? 0 : 1;
  return (piece) => {
    rest = Buffer.concat([rest, piece]);
    for (;;) {
      const headBytes = typeBytes + LENGTH_BYTES;
      if (rest.length < headBytes) return;
      const bytes = typeBytes + rest.readUInt32BE(typeBytes);
      if (rest.length < bytes) return;
      if (typeBytes === 1) onMessage(rest.toString('latin1', 0, 1), rest.subarray(headBytes, bytes));
      rest = rest.subarray(bytes);
      typeBytes = 1;
    }
  };
}
