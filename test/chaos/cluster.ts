import { type Proxy as Network, startProxy } from '../support/network.ts';
import { type Server, startServer } from '../support/server.ts';
import { type Standby, startStandby } from '../support/standby.ts';

/** A PostgreSQL that all replicas share, each by a network of its own; and who takes its place when it dies. */
export class Cluster implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #networks: Network[] = [];
  #primary: Server;
  #standby: Standby | undefined;

  static async start(withStandby: boolean): Promise<Cluster> {
    const cluster = new Cluster(await startServer());
    try {
      if (withStandby) cluster.#standby = cluster.#stack.use(await startStandby(cluster.#primary));
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(primary: Server) {
    this.#primary = this.#stack.use(primary);
  }

  /** Whoever takes writes, also when nobody does right now. */
  get primary(): Server {
    return this.#primary;
  }

  get canFailOver(): boolean {
    return this.#standby !== undefined;
  }

  /** A network to whoever is the primary. */
  async connect(): Promise<Network> {
    const network = this.#stack.adopt(await startProxy(this.#primary.port), (proxy) => proxy.close());
    this.#networks.push(network);
    return network;
  }

  restart(mode: 'fast' | 'immediate'): Promise<void> {
    return this.#primary.restart(mode);
  }

  /** The primary dies, and its standby, which has all that was acknowledged, takes its place. */
  async failOver(): Promise<void> {
    const standby = this.#standby;
    if (standby === undefined) return;
    this.#standby = undefined;
    await this.#primary.kill();
    await standby.promote();
    this.#primary = standby;
    for (const network of this.#networks) network.retarget(standby.port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
