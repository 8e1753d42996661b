import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** The network between a program and a server, where what happens on networks happens when a test says so. */
export interface Proxy {
  readonly port: number;
  /** How many connections of clients are open. */
  readonly connections: number;
  /** The same address, by way of this proxy. */
  via(url: string): string;
  /** Resets all connections, and every new one at once. */
  cut(): void;
  /** Keeps connections, takes new ones, and passes nothing, not even that one of the two ends is gone. */
  hang(): void;
  /** Ends `hang`, and passes what has been held back. */
  resume(): void;
  /** Passes what clients send, and swallows all that the server says from now on. */
  dropAnswers(): void;
  /** Holds each piece back for as long, in either direction. */
  slow(ms: number): void;
  /** Ends all of it. A connection that has lost answers is reset: nothing is ever missing in the middle of one. */
  heal(): void;
  /** Where new connections go from now on. */
  retarget(port: number): void;
  /** Resets all connections and takes no more. */
  close(): Promise<void>;
}

interface Connection {
  /** The client's, and the server's once it is called. */
  readonly sockets: Socket[];
  hasLost: boolean;
}

/**
 * As `resetAndDestroy`, but not in the moment in which the socket shuts down: Node (26.10) never closes one that is reset
 * then, and the process spins for ever when all is done.
 */
export function resetSocket(socket: Socket): void {
  const isShuttingDown = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
  if (isShuttingDown && !socket.destroyed) socket.once('finish', () => socket.resetAndDestroy());
  else socket.resetAndDestroy();
}

/** A network that works, before a port of this machine or of another. */
export async function startProxy(targetPort: number, host = '127.0.0.1'): Promise<Proxy> {
  const connections = new Set<Connection>();
  let target = targetPort;
  let isCut = false;
  let dropsAnswers = false;
  let delayMs = 0;
  /** Holds everything up while there is one. */
  let hung: PromiseWithResolvers<void> | undefined;

  const reset = (connection: Connection) => {
    for (const socket of connection.sockets) resetSocket(socket);
  };
  const resetAll = () => {
    for (const connection of connections) reset(connection);
  };
  const release = () => {
    const held = hung;
    hung = undefined;
    held?.resolve();
  };
  const passage = async () => {
    if (delayMs > 0) await sleep(delayMs);
    while (hung) await hung.promise;
  };

  /** One direction, until its end; a reset at one end is one at the other. */
  const pass = async (from: Socket, to: Socket, isLost: () => boolean) => {
    try {
      // The other direction may go on when this one is over.
      for await (const piece of from.iterator({ destroyOnReturn: false })) {
        await passage();
        if (isLost() || to.write(piece)) continue;
        await Promise.race([once(to, 'drain'), once(to, 'close')]);
      }
      await passage();
      if (!isLost()) to.end();
    } catch {
      await passage();
      if (!isLost()) resetSocket(to);
    }
  };

  const serve = async (client: Socket) => {
    const connection: Connection = { sockets: [client], hasLost: false };
    connections.add(connection);
    client.once('close', () => connections.delete(connection));
    await passage();
    if (client.destroyed) return;
    const upstream = connect({ port: target, host, allowHalfOpen: true, noDelay: true });
    // What it is about is found where it is read.
    upstream.on('error', () => undefined);
    connection.sockets.push(upstream);
    const isLost = () => {
      if (dropsAnswers) connection.hasLost = true;
      return dropsAnswers;
    };
    await Promise.all([pass(client, upstream, () => false), pass(upstream, client, isLost)]);
  };

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    client.on('error', () => undefined);
    if (isCut) resetSocket(client);
    else void serve(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('listens on no port');
  const { port } = address;

  return {
    port,
    get connections() {
      return connections.size;
    },
    via(url) {
      const here = new URL(url);
      here.hostname = '127.0.0.1';
      here.port = `${port}`;
      return here.href;
    },
    cut() {
      isCut = true;
      resetAll();
    },
    hang() {
      hung ??= Promise.withResolvers();
    },
    resume: release,
    dropAnswers() {
      dropsAnswers = true;
    },
    slow(ms) {
      delayMs = ms;
    },
    heal() {
      isCut = false;
      dropsAnswers = false;
      delayMs = 0;
      for (const connection of connections) if (connection.hasLost) reset(connection);
      release();
    },
    retarget(to) {
      target = to;
    },
    async close() {
      isCut = true;
      resetAll();
      release();
      server.close();
      await once(server, 'close');
    },
  };
}
