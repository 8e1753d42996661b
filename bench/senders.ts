import { setTimeout as sleep } from 'node:timers/promises';
import { loadRouting } from '../src/routing/load.ts';
import type { RoutingTable } from '../src/routing/table.ts';
import { providers } from '../src/webhook/providers/registry.ts';
import { senderAt } from './routing-file.ts';

/** Loads one routing file again and again, in a process of its own, and says what that took, as JSON. */
export interface SendersCost {
  readonly loadMs: readonly number[];
  /** The longest that a timer of 1 ms was late, in each load; and in as long a time in which nothing was loaded. */
  readonly stallMs: readonly number[];
  readonly idleStallMs: number;
  /** Above what the process had before the first load: after the first, after the last, and the most while two tables were alive. */
  readonly addedMb: readonly [first: number, last: number];
  readonly peakMb: number;
  readonly hitUs: number;
  readonly missUs: number;
}

const [, , file = '', count = '0', loads = '1'] = process.argv;
const LOOK_UPS = 200_000;
const SETTLE_MS = 500;
const TIMER_MS = 1;
const MB = 1_024 * 1_024;

const residentMb = () => process.memoryUsage.rss() / MB;

function watch() {
  let last = performance.now();
  let stallMs = 0;
  let peakMb = 0;
  const look = () => {
    const now = performance.now();
    stallMs = Math.max(stallMs, now - last - TIMER_MS);
    peakMb = Math.max(peakMb, residentMb());
    last = now;
  };
  const timer = setInterval(look, TIMER_MS);
  return () => {
    clearInterval(timer);
    look();
    return { stallMs, peakMb };
  };
}

/** What lives, without what V8 has not collected yet. */
async function settledMb(): Promise<number> {
  globalThis.gc?.();
  await sleep(SETTLE_MS);
  globalThis.gc?.();
  return residentMb();
}

/** A look-up in a channel's senders, in microseconds; the second time, when the code is warm. */
function lookUpUs({ senders, channels }: RoutingTable, offset: number): number {
  const rule = channels.get('chat')?.senders;
  const keys = Array.from({ length: LOOK_UPS }, () => senderAt(offset + Math.floor(Math.random() * Number(count))));
  const once = () => {
    const startedAt = performance.now();
    for (const key of keys) senders.authIdOf(key, rule);
    return ((performance.now() - startedAt) * 1_000) / LOOK_UPS;
  };
  once();
  return once();
}

const before = await settledMb();
const loadMs: number[] = [];
const stallMs: number[] = [];
const addedMb: number[] = [];
let peakMb = 0;
let table: RoutingTable | undefined;
for (let load = 0; load < Number(loads); load += 1) {
  const watched = watch();
  const startedAt = performance.now();
  const next = await loadRouting(file, {}, providers);
  loadMs.push(performance.now() - startedAt);
  const seen = watched();
  stallMs.push(seen.stallMs);
  peakMb = Math.max(peakMb, seen.peakMb - before);
  // The one before is in force, and used, until here.
  if (table !== undefined) lookUpUs(table, 0);
  table = next;
  addedMb.push((await settledMb()) - before);
}
if (table === undefined) throw new Error('nothing was loaded');
const idle = watch();
await sleep(Math.max(...loadMs));
const cost: SendersCost = {
  loadMs,
  stallMs,
  idleStallMs: idle().stallMs,
  addedMb: [addedMb[0] ?? Number.NaN, addedMb.at(-1) ?? Number.NaN],
  peakMb,
  hitUs: lookUpUs(table, 0),
  missUs: lookUpUs(table, 100_000_000),
};
console.log(JSON.stringify(cost));
