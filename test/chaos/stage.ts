import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Proxy as Network } from '../support/network.ts';
import { freePort } from '../support/server.ts';
import { startBalancer, type WatchfulBalancer } from './balancer.ts';
import { Cluster } from './cluster.ts';
import { readDatabase } from './database.ts';
import { type Disk, mountDisk } from './disk.ts';
import { accountYaml, type FarEnd, openFarEnd } from './far-end.ts';
import type { Kept } from './kept.ts';
import { startNginx } from './nginx.ts';
import { seeded } from './random.ts';
import { Supervised } from './supervised.ts';
import { auditTables, readTables } from './tables.ts';

export interface AloneOptions {
  readonly kind: 'alone';
  /** How many times as fast the bridge's clock goes. */
  readonly speed: number;
  readonly withFullDisk: boolean;
}

export interface SharedOptions {
  readonly kind: 'shared';
  readonly replicas: number;
  /**
   * simple: any replica that takes a connection · watchful: any whose /readyz says that it is ready · nginx: as
   * deploy/nginx.conf has it
   */
  readonly balancer: 'simple' | 'watchful' | 'nginx';
  readonly withStandby: boolean;
}

export interface StageOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly site: AloneOptions | SharedOptions;
}

/** A process of the bridge, and its network to the database that it shares with others. */
export interface Replica {
  readonly bridge: Supervised;
  readonly network: Network | undefined;
}

/** All that a run takes place on: the bridge, in one process or several, its database, and one Haptik for each account. */
export interface Stage extends AsyncDisposable {
  readonly replicas: readonly Replica[];
  /** Where senders send to; undefined while nobody is there. */
  readonly senderUrl: () => string | undefined;
  /** Of several replicas. */
  readonly cluster: Cluster | undefined;
  readonly balancer: WatchfulBalancer | undefined;
  readonly farEnds: ReadonlyMap<string, FarEnd>;
  /** Undefined where none is wanted, or mounting is not allowed. */
  readonly disk: Disk | undefined;
  readonly folder: string;
  /** Of one call to Haptik: short, so that many of them run into it. */
  readonly timeoutMs: number;
  /** How long a process may take to hear of what was done by way of another. */
  readonly noticeMs: number;
  /** What the database keeps, once the bridge is stopped. */
  read(): Promise<Kept>;
  /** What is wrong in the database at this moment, while the bridge runs. */
  audit(): Promise<readonly string[]>;
}

/** Each has a channel and a Haptik of its own. */
export const ACCOUNTS = ['north', 'south', 'west'];
/** Those whose conversations wait for a person when nobody knows, or when a message is refused for good. */
export const TENDED = ['west'];
/** Several processes and a database get less of the machine each. */
const TIMEOUT_MS = { alone: 700, shared: 1_500 };
/** They look once a second. */
const NOTICE_MS = 1_500;
const SHUTDOWN_DELAY_MS = 1_500;
const SHUTDOWN_GRACE_MS = 5_000;
/** More than a replica is ever started: no two of its processes draw the same numbers. */
const SEEDS_A_REPLICA = 10_000;

export async function setStage({ seed, seconds, site }: StageOptions): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const { path: folder } = stack.use(await mkdtempDisposable(join(tmpdir(), 'haptik-bridge-chaos-')));
  // Room for what the run stores, and for two copies of it: a second of it is less than half a megabyte.
  const wantsDisk = site.kind === 'alone' && site.withFullDisk;
  const disk = wantsDisk ? stack.use(await mountDisk(folder, 32 + Math.ceil(1.5 * seconds))) : undefined;
  const farEnds = new Map<string, FarEnd>();
  for (const [index, account] of ACCOUNTS.entries()) {
    farEnds.set(
      account,
      stack.adopt(await openFarEnd(seeded(seed + index)), (farEnd) => farEnd.close()),
    );
  }
  const routingFile = join(folder, 'routing.yaml');
  await writeFile(routingFile, routing(farEnds));
  const timeoutMs = TIMEOUT_MS[site.kind];
  const env = {
    HOST: '127.0.0.1',
    PORT: '0',
    ADMIN_PORT: '0',
    ROUTING_FILE: routingFile,
    DELIVERY_TIMEOUT_MS: String(timeoutMs),
    LOG_LEVEL: 'warn',
    LOG_FORMAT: 'json',
  };
  const setting = { seed, env, folder };
  const scene = await (site.kind === 'alone' ? setAlone(site, setting, stack) : setShared(site, setting, stack));
  const all = stack.move();
  return { farEnds, disk, folder, timeoutMs, ...scene, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

type Scene = Pick<Stage, 'replicas' | 'senderUrl' | 'cluster' | 'balancer' | 'noticeMs' | 'read' | 'audit'>;

interface Setting {
  readonly seed: number;
  readonly env: Readonly<Record<string, string>>;
  readonly folder: string;
}

async function setAlone({ speed }: AloneOptions, setting: Setting, stack: AsyncDisposableStack): Promise<Scene> {
  const { seed, env, folder } = setting;
  const file = join(folder, 'bridge.db');
  const options = { name: 'bridge', env: { ...env, DATABASE_URL: `sqlite:${file}` }, seed, speed, hasPeers: false };
  const bridge = stack.adopt(new Supervised(options), (supervised) => supervised.abandon());
  return {
    replicas: [{ bridge, network: undefined }],
    senderUrl: () => bridge.url,
    cluster: undefined,
    balancer: undefined,
    noticeMs: 0,
    read: async () => readDatabase(file),
    audit: async () => [],
  };
}

async function setShared(site: SharedOptions, setting: Setting, stack: AsyncDisposableStack): Promise<Scene> {
  const { seed, env, folder } = setting;
  const cluster = stack.use(await Cluster.start(site.withStandby));
  const replicas: Replica[] = [];
  const ports: number[] = [];
  for (let number = 1; number <= site.replicas; number += 1) {
    const network = await cluster.connect();
    // As it has it in a balancer's list, also when it is started anew.
    const port = await freePort();
    ports.push(port);
    const bridge = new Supervised({
      name: `replica ${number}`,
      env: {
        ...env,
        PORT: String(port),
        DATABASE_URL: network.via(cluster.primary.url),
        SHUTDOWN_DELAY_MS: String(SHUTDOWN_DELAY_MS),
        SHUTDOWN_GRACE_MS: String(SHUTDOWN_GRACE_MS),
      },
      seed: seed + number * SEEDS_A_REPLICA,
      // The database's clock goes as it really does.
      speed: 1,
      hasPeers: true,
    });
    replicas.push({ bridge: stack.adopt(bridge, (supervised) => supervised.abandon()), network });
  }
  const watchful = site.balancer === 'nginx' ? undefined : await startBalancer(ports, site.balancer === 'watchful');
  const balancer = stack.use(watchful ?? (await startNginx(ports, folder)));
  return {
    replicas,
    senderUrl: () => balancer.url,
    cluster,
    balancer: watchful,
    noticeMs: NOTICE_MS,
    read: () => readTables(cluster.primary),
    audit: () => auditTables(cluster.primary),
  };
}

function routing(farEnds: ReadonlyMap<string, FarEnd>): string {
  const lines = (line: (account: string) => string) => ACCOUNTS.map(line).join('');
  const accounts = [...farEnds].map(([account, { url }]) => accountYaml(account, url)).join('');
  const channels = lines((account) => `  ${account}: { verify: none }\n`);
  const routes = lines((account) => {
    const inTrouble = TENDED.includes(account) ? ', on_unknown: stop, on_dead: stop' : '';
    return `  - { channel: ${account}, account: ${account}, business_id: 343, auth_id: "{{ sender }}"${inTrouble} }\n`;
  });
  return `accounts:\n${accounts}channels:\n${channels}routes:\n${routes}`;
}
