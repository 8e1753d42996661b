import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { propertyOf } from './fault.ts';

/** The port is somebody else's. */
export class PortInUse extends Error {
  override readonly name = 'PortInUse';
}

/** The address is none that this machine can listen on. */
export class ListenRefused extends Error {
  override readonly name = 'ListenRefused';
}

export interface Place {
  readonly host: string;
  readonly port: number;
  /** By what the port is chosen, to be named where it cannot be had. */
  readonly setting?: string;
}

/**
 * Listens, on a free port where the port is 0.
 *
 * @returns the base URL
 * @throws {PortInUse | ListenRefused}
 */
export async function listen(server: Server, { host, port, setting }: Place): Promise<string> {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    const code = propertyOf(cause, 'code');
    if (code === 'EADDRINUSE') {
      throw new PortInUse(
        `port ${port} on ${host} is in use; stop what uses it, or choose another port${setting ? ` (${setting})` : ''}.`,
        { cause },
      );
    }
    throw new ListenRefused(
      `cannot listen on ${host}:${port} (${code}); choose another address or port${setting ? ` (${setting})` : ''}.`,
      { cause },
    );
  }
  const address = server.address() as AddressInfo;
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  return `http://${name}:${address.port}`;
}
