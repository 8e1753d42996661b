import { randomUUID } from 'node:crypto';
import { createServer, type RequestListener, type Server } from 'node:http';
import fetch from 'node-fetch';
import { v7 } from 'uuid';
import { createAdminApp } from './admin/app.ts';
import { createApp } from './app.ts';
import { type Clock, systemClock } from './clock.ts';
import { explain, explanationView } from './explain.ts';
import { createClient } from './haptik/client.ts';
import { createDeliver } from './haptik/deliver.ts';
import { listen } from './listen.ts';
import { createLog, type Log } from './log.ts';
import { Metrics } from './metrics.ts';
import { acceptWith } from './outbox/accept.ts';
import { Dispatcher } from './outbox/dispatcher.ts';
import { Lanes } from './outbox/lanes.ts';
import { openStore } from './outbox/open.ts';
import type { Records } from './outbox/records.ts';
import { keepCounted } from './outbox/recount.ts';
import { retain } from './outbox/retention.ts';
import type { openFile } from './outbox/sqlite/file.ts';
import { Waiters } from './outbox/wait.ts';
import { LiveTable } from './routing/live.ts';
import type { RoutingTable } from './routing/table.ts';
import { KeptVersions } from './routing/versions/versions.ts';
import { routingOperations } from './routing-operations.ts';
import type { Environment, Settings } from './settings.ts';
import { Certificates } from './webhook/certificates.ts';
import { providers } from './webhook/providers/registry.ts';
import { confirmWith } from './webhook/subscriptions.ts';

/** What a bridge takes from the world outside of its settings. */
export interface Overrides {
  readonly clock: Clock;
  readonly random: () => number;
  readonly fetch: typeof fetch;
  readonly log: Log;
  readonly openFile: typeof openFile;
  /** Where `${VAR}` of the routing file is looked up, anew for each reading. */
  readonly env: () => Environment;
}

export interface Bridge {
  /** The base URL of the public listener. */
  readonly url: string;
  /** The base URL of the operator's listener. */
  readonly adminUrl: string;
  /** Reads the routing file again. Never rejects: the log says what is wrong with it, and the table before stays in force. */
  reload(): Promise<void>;
  /** Finishes what has begun and closes everything; idempotent. Resolves when all of it is closed. */
  stop(): Promise<void>;
}

/** A sender that dawdles longer over one request holds memory and a connection for nothing. */
const REQUEST_TIMEOUT_MS = 30_000;
/** Longer than the idle time of the load balancers in front (mostly 60 s), so that it is they who close. */
const KEEP_ALIVE_MS = 75_000;
const CLOSE_IDLE_MS = 20;
/** How often it is seen whether another process has delivered what somebody waits for. */
const OTHERS_MS = 250;

/**
 * Builds everything, wires it here, and starts it in the order in which it is needed.
 *
 * @throws {RoutingRefused | FileInUse | StoreUnavailable | StoreRefused | PortInUse | ListenRefused} when it cannot start; nothing is left open then
 */
export async function startBridge(settings: Settings, overrides: Partial<Overrides> = {}): Promise<Bridge> {
  const { clock = systemClock, random = Math.random, log = createLog(settings) } = overrides;

  const { routingFile, dataFolder } = settings;
  const env = overrides.env ?? (() => settings.env);
  const live = await LiveTable.open({
    file: routingFile,
    env,
    providers,
    clock,
    announce: (table) =>
      announce(table, 0).catch((error) => {
        log.warn('the other processes are not told of the routing table yet', { version: table.version, error });
      }),
  });
  const metrics = new Metrics();
  metrics.routingLoaded(live.loadedAt);
  const { store, records, turns, tables, facts } = await openStore(settings.database, {
    openFile: overrides.openFile,
    maxBacklog: settings.maxBacklog,
    eraseAtOnce: settings.retainContentMs === 0,
    clock,
    newToken: randomUUID,
    log,
    onMended: () => metrics.mended(),
  });

  const stopping = new AbortController();
  const waiters = new Waiters();
  const client = createClient({ fetch: overrides.fetch ?? fetch, timeoutMs: settings.deliveryTimeoutMs });
  const lanes = new Lanes({
    store,
    accounts: () => live.table.accounts,
    concurrency: settings.deliveryConcurrency,
    clock,
    log,
  });
  const dispatcher = new Dispatcher({
    store,
    lanes,
    deliver: createDeliver({ post: client.post, account: (name) => live.table.accounts.get(name), clock, turns }),
    observe: ({ account, message: { id, acceptedAt } }, { state, attempt }) => {
      const { outcome = 'unknown', duration = null } = attempt ?? {};
      metrics.attempted({ account, outcome, state, duration, age: clock.now() - acceptedAt });
      if (state !== 'waiting') waiters.tell(id);
    },
    retryHorizonMs: settings.retryHorizonMs,
    clock,
    random,
    newToken: randomUUID,
    log,
  });

  const announce = ({ version, channels }: RoutingTable, ageMs: number) =>
    tables.put({ version, ageMs, channels: [...channels.keys()] });
  const routing = routingOperations({
    live,
    kept: new KeptVersions({ dataFolder, routingFile, now: clock.now }),
    tables,
    records,
    routingFile,
    providers,
    env,
    now: clock.now,
    newName: randomUUID,
    metrics,
    log,
    onReloaded: async () => {
      dispatcher.wakeAll();
      await tellOfMissing(records, live.table, log).catch((error) => {
        log.warn('it is not known whether messages wait for an account that is gone', { error });
      });
    },
  });
  const outgoing = { fetch: overrides.fetch ?? fetch, clock, log, stopping: stopping.signal };
  const certificates = new Certificates(outgoing);
  const confirm = confirmWith(outgoing);
  const common = { clock, log, metrics, newRequestId: randomUUID, stopping: stopping.signal };
  const app = createApp({
    ...common,
    table: () => live.table,
    mayBeChannel: routing.mayBeChannel,
    providers,
    publicUrl: settings.publicUrl,
    certificateKey: (address) => certificates.keyOf(address),
    confirm: (address, channel) => void confirm(address, channel),
    accept: acceptWith(store, dispatcher),
    wait: waiters.waitWith(records, clock, turns === undefined ? undefined : OTHERS_MS),
    isReady: async () => !stopping.signal.aborted && (await store.isWritable()),
    bodyLimitBytes: settings.bodyLimitBytes,
    trustProxy: settings.trustProxy,
    newId: v7,
  });
  const adminApp = createAdminApp({
    ...common,
    token: settings.adminToken,
    records,
    lanes,
    table: () => live.table,
    wake: () => dispatcher.wakeAll(),
    live,
    ...routing,
    reload: () => routing.reload('an operator'),
    explain: async (question) => explanationView(await explain(live.table, providers, question)),
  });

  const listeners = [
    { server: serverOf(app, stopping.signal), host: settings.host, port: settings.port, setting: 'PORT' },
    {
      server: serverOf(adminApp, stopping.signal),
      host: settings.adminHost,
      port: settings.adminPort,
      setting: 'ADMIN_PORT',
    },
  ];
  const urls: string[] = [];
  try {
    await announce(live.table, clock.now() - live.writtenAt);
    await routing.begin();
    await lanes.look();
    await tellOfMissing(records, live.table, log);
    for (const { server, ...place } of listeners) urls.push(await listen(server, place));
  } catch (error) {
    for (const { server } of listeners) server.close();
    await store.close();
    throw error;
  }
  const [url = '', adminUrl = ''] = urls;
  for (const { server } of listeners) {
    server.on('error', (error) => log.error('a connection could not be taken', { error }));
  }
  dispatcher.start();
  store.listen((account) => dispatcher.wake(account));
  const ending = new AbortController();
  const { retainContentMs: contentMs, retainMs: rowsMs } = settings;
  const upkeep = [
    retain({ store, contentMs, rowsMs, clock, log }, ending.signal),
    keepCounted({ store, clock, log }, ending.signal),
    live.watch(() => routing.reload('the file has changed').catch(() => undefined), ending.signal),
  ];
  log.info('ready', {
    url,
    admin: adminUrl,
    routing: routingFile,
    version: live.table.version,
    ...facts,
  });

  const stop = async () => {
    stopping.abort();
    const { shutdownDelayMs, shutdownGraceMs } = settings;
    log.info('stopping', { delay_ms: shutdownDelayMs, grace_ms: shutdownGraceMs });
    await clock.sleep(shutdownDelayMs);
    const closed = listeners.map(({ server }) => closeServer(server, shutdownGraceMs));
    await Promise.all([...closed, dispatcher.stop(shutdownGraceMs)]);
    client.close();
    ending.abort();
    // What reads a file over a network that hangs does not keep us here.
    const waiting = new AbortController();
    await Promise.race([Promise.all(upkeep), clock.sleep(shutdownGraceMs, waiting.signal)]);
    waiting.abort();
    await store.close();
    log.info('stopped');
  };
  let stopped: Promise<void> | undefined;
  return {
    url,
    adminUrl,
    reload: () => routing.reload('a signal').catch(() => undefined),
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}

async function tellOfMissing(records: Records, { accounts }: RoutingTable, log: Log): Promise<void> {
  for (const { account, waiting } of await records.survey()) {
    if (waiting === 0 || accounts.has(account)) continue;
    log.warn('messages wait for an account that the routing file does not have', { account, waiting });
  }
}

function serverOf(app: RequestListener, stopping: AbortSignal): Server {
  return createServer({ requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    if (stopping.aborted) response.setHeader('Connection', 'close');
    app(request, response);
  });
}

/** No new connections; requests that have begun are finished, for `graceMs` at most. */
async function closeServer(server: Server, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // A connection whose request has just ended would otherwise be kept alive.
  const idle = setInterval(() => server.closeIdleConnections(), CLOSE_IDLE_MS);
  const late = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearInterval(idle);
  clearTimeout(late);
}
