import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { resetSocket } from '../support/network.ts';

/** Where senders send to, whichever replica takes it. */
export interface Balancer extends AsyncDisposable {
  readonly url: string;
}

export interface WatchfulBalancer extends Balancer {
  /** How many replicas get new connections. */
  readonly ready: number;
}

const LOOK_MS = 100;
const LOOK_LIMIT_MS = 500;

/**
 * Gives each new connection to the next replica in turn, and to another one only where none came to be: what may have been
 * sent is never sent twice. `looks`: to those alone whose /readyz said 200 when last asked, as by Kubernetes' lists.
 */
export async function startBalancer(ports: readonly number[], looks: boolean): Promise<WatchfulBalancer> {
  const ready = new Set(looks ? [] : ports);
  const sockets = new Set<Socket>();
  let turn = 0;

  const serve = async (client: Socket) => {
    sockets.add(client);
    client.once('close', () => sockets.delete(client));
    client.on('error', () => undefined);
    turn += 1;
    const inTurn = ports.map((_, index) => ports[(turn + index) % ports.length] ?? 0).filter((port) => ready.has(port));
    for (const port of inTurn) {
      const upstream = connect({ port, host: '127.0.0.1', noDelay: true });
      client.once('close', () => upstream.destroy());
      if (!(await isOpened(upstream))) continue;
      upstream.on('error', () => resetSocket(client));
      client.pipe(upstream);
      upstream.pipe(client);
      return;
    }
    resetSocket(client);
  };

  const server = createServer({ noDelay: true }, (client) => void serve(client)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('listens on no port');

  const closing = new AbortController();
  const watch = async (port: number) => {
    while (!closing.signal.aborted) {
      if (await isReady(port)) ready.add(port);
      else ready.delete(port);
      await sleep(LOOK_MS, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  };
  const watching = looks ? ports.map(watch) : [];

  return {
    url: `http://127.0.0.1:${address.port}`,
    get ready() {
      return ready.size;
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await Promise.all(watching);
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

function isOpened(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}

async function isReady(port: number): Promise<boolean> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`, {
      headers: { connection: 'close' },
      signal: AbortSignal.timeout(LOOK_LIMIT_MS),
    });
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  }
}
