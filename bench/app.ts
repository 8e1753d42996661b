/**
 * The public app alone, with nothing behind it that delivers. With DATABASE it stores durably before it answers, without
 * it answers the same and stores nothing: the difference is what durability costs.
 */
import { randomUUID } from 'node:crypto';
import { v7 } from 'uuid';
import { createApp } from '../src/app.ts';
import { systemClock as clock } from '../src/clock.ts';
import { Unavailable } from '../src/errors.ts';
import { createLog } from '../src/log.ts';
import { Metrics } from '../src/metrics.ts';
import { type Accept, acceptWith } from '../src/outbox/accept.ts';
import { SqliteStore } from '../src/outbox/sqlite/store.ts';
import { loadRouting } from '../src/routing/load.ts';
import { providers } from '../src/webhook/providers/registry.ts';
import { ROUTING_FILE } from './server.ts';

const { HOST = '127.0.0.1', PORT, DATABASE } = process.env;
const log = createLog({ logLevel: 'warn', logFormat: 'json' });
const table = await loadRouting(ROUTING_FILE, { HAPTIK_BASE_URL: 'http://127.0.0.1:9' }, providers);

const answerOnly: Accept = async (entries) => entries.map(({ id }) => ({ id, isDuplicate: false, claim: undefined }));
const noDelivery = { offer: () => undefined, take: () => {}, withdraw: () => {}, wake: () => {}, isHeld: () => false };

createApp({
  table: () => table,
  mayBeChannel: async () => false,
  providers,
  publicUrl: undefined,
  certificateKey: async () => new Unavailable('nothing is fetched here'),
  confirm: () => {},
  accept: DATABASE
    ? acceptWith(
        new SqliteStore({
          file: DATABASE,
          clock,
          newToken: randomUUID,
          log,
          maxBacklog: 1_000_000_000,
          eraseAtOnce: false,
        }),
        noDelivery,
      )
    : answerOnly,
  isReady: async () => true,
  bodyLimitBytes: 262_144,
  trustProxy: 'loopback',
  clock,
  newId: v7,
  newRequestId: randomUUID,
  log,
  metrics: new Metrics(),
  wait: async () => undefined,
  stopping: new AbortController().signal,
}).listen(Number(PORT), HOST);
