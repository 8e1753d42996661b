import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { v7 } from 'uuid';
import { systemClock as clock } from '../src/clock.ts';
import { createLog } from '../src/log.ts';
import { SqliteStore } from '../src/outbox/sqlite/store.ts';
import { TEXT } from './load.ts';
import { scratchFolder, startBenchServer, startBridge } from './server.ts';
import { printTable } from './table.ts';

const WAITING = [0, 100_000, 1_000_000];
const CONVERSATIONS = 100_000;
const BATCH = 5_000;
const DRAIN_MS = 15_000;

/** What a backlog costs in memory and in time to start: it is on disk, so it should be next to nothing. */
export async function measureBacklog(): Promise<void> {
  const rows = [];
  for (const waiting of WAITING) {
    await using folder = await scratchFolder();
    await using haptik = await startBenchServer('haptik.ts');
    await fill(join(folder.path, 'bridge.db'), waiting);
    await using bridge = await startBridge(folder.path, { HAPTIK_BASE_URL: haptik.url, LOG_LEVEL: 'error' });
    const atReady = bridge.residentMb();
    await sleep(DRAIN_MS);
    const { count } = (await (await fetch(haptik.url)).json()) as { count: number };
    rows.push([
      String(waiting),
      bridge.startMs.toFixed(0),
      atReady.toFixed(0),
      bridge.residentMb().toFixed(0),
      String(count),
    ]);
  }
  const head = ['waiting', 'start, ms', 'RSS at ready, MB', `after ${DRAIN_MS / 1_000} s`, 'delivered by then'];
  printTable('Backlog', head, rows);
}

async function fill(file: string, count: number): Promise<void> {
  const log = createLog({ logLevel: 'error', logFormat: 'json' });
  const maxBacklog = Number.POSITIVE_INFINITY;
  const store = new SqliteStore({ file, clock, newToken: randomUUID, log, maxBacklog, eraseAtOnce: false });
  for (let stored = 0; stored < count; stored += BATCH) {
    await store.accept(Array.from({ length: BATCH }, (_, index) => entry((stored + index) % CONVERSATIONS)));
  }
  await store.close();
}

function entry(conversation: number) {
  const authId = `sms${conversation}`;
  const delivery = { account: 'main', businessId: 343, authId, text: TEXT, user: {} };
  return {
    id: v7(),
    channel: 'chat',
    tableVersion: 'bench',
    message: { sender: authId, recipient: 'chat', text: TEXT, fields: {}, attachments: [] },
    placement: { route: 'routes[0]', delivery: { ...delivery, onUnknown: 'retry', onDead: 'continue' } as const },
  };
}
