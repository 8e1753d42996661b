import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import fetch from 'node-fetch';
import { v7 } from 'uuid';
import { createApp } from './app.ts';
import { type Clock, systemClock } from './clock.ts';
import { createClient } from './haptik/client.ts';
import { createDeliver } from './haptik/deliver.ts';
import { listen } from './listen.ts';
import { createLog, type Log } from './log.ts';
import { acceptWith } from './outbox/accept.ts';
import { Dispatcher } from './outbox/dispatcher.ts';
import { Lanes } from './outbox/lanes.ts';
import { retain } from './outbox/retention.ts';
import { SqliteStore } from './outbox/sqlite.ts';
import { loadRouting } from './routing/load.ts';
import type { Settings } from './settings.ts';

/** What a bridge takes from the world outside of its settings. */
export interface Overrides {
  readonly clock: Clock;
  readonly random: () => number;
  readonly fetch: typeof fetch;
  readonly log: Log;
}

export interface Bridge {
  /** The base URL of the public listener. */
  readonly url: string;
  /** Finishes what has begun and closes everything; idempotent. Resolves when all of it is closed. */
  stop(): Promise<void>;
}

/** A sender that dawdles longer over one request holds memory and a connection for nothing. */
const REQUEST_TIMEOUT_MS = 30_000;
/** Longer than the idle time of the load balancers in front (mostly 60 s), so that it is they who close. */
const KEEP_ALIVE_MS = 75_000;
const CLOSE_IDLE_MS = 20;

/**
 * Builds everything, wires it here, and starts it in the order in which it is needed.
 *
 * @throws {RoutingRefused | FileInUse | StoreRefused | PortInUse | ListenRefused} when it cannot start; nothing is left open then
 */
export async function startBridge(settings: Settings, overrides: Partial<Overrides> = {}): Promise<Bridge> {
  const { clock = systemClock, random = Math.random, log = createLog(settings) } = overrides;

  const table = await loadRouting(settings.routingFile, settings.env);
  const store = new SqliteStore({
    file: settings.databaseFile,
    maxBacklog: settings.maxBacklog,
    eraseAtOnce: settings.retainContentMs === 0,
    clock,
    newToken: randomUUID,
    log,
  });
  for (const [account, waiting] of store.waiting()) {
    if (!table.accounts.has(account))
      log.warn('messages wait for an account that the routing file does not have', { account, waiting });
  }
  const commitMs = store.measureCommit(() => performance.now());

  const client = createClient({ fetch: overrides.fetch ?? fetch, timeoutMs: settings.deliveryTimeoutMs });
  const lanes = new Lanes({
    store,
    accounts: () => table.accounts,
    concurrency: settings.deliveryConcurrency,
    clock,
    log,
  });
  const dispatcher = new Dispatcher({
    store,
    lanes,
    deliver: createDeliver({ post: client.post, account: (name) => table.accounts.get(name), clock }),
    observe: () => {},
    retryHorizonMs: settings.retryHorizonMs,
    clock,
    random,
    newToken: randomUUID,
    log,
  });

  let isStopping = false;
  const app = createApp({
    table: () => table,
    accept: acceptWith(store, dispatcher),
    isReady: async () => !isStopping && (await store.isWritable()),
    bodyLimitBytes: settings.bodyLimitBytes,
    trustProxy: settings.trustProxy,
    clock,
    newId: v7,
    newRequestId: randomUUID,
    log,
  });

  const server = createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: KEEP_ALIVE_MS },
    (request, response) => {
      if (isStopping) response.setHeader('Connection', 'close');
      app(request, response);
    },
  );
  let url: string;
  try {
    url = await listen(server, settings.host, settings.port);
  } catch (error) {
    await store.close();
    throw error;
  }
  await lanes.load();
  server.on('error', (error) => log.error('a connection could not be taken', { error }));
  dispatcher.start();
  const ending = new AbortController();
  const { retainContentMs: contentMs, retainMs: rowsMs } = settings;
  const retention = retain({ store, contentMs, rowsMs, clock, log }, ending.signal);
  log.info('ready', {
    url,
    routing: settings.routingFile,
    version: table.version,
    database: settings.databaseFile,
    commit_ms: commitMs,
  });

  const stop = async () => {
    isStopping = true;
    log.info('stopping', { delay_ms: settings.shutdownDelayMs, grace_ms: settings.shutdownGraceMs });
    await clock.sleep(settings.shutdownDelayMs);
    await Promise.all([closeServer(server, settings.shutdownGraceMs), dispatcher.stop(settings.shutdownGraceMs)]);
    client.close();
    ending.abort();
    await retention;
    await store.close();
    log.info('stopped');
  };
  let stopped: Promise<void> | undefined;
  return {
    url,
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
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
