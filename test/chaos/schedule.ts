import type { Fault } from '../../src/haptik/simulator.ts';
import { between, inTurns, type Random, seeded } from './random.ts';

/** What happens to the process of the bridge, or to its machine. */
export type Blow =
  | { readonly kind: 'kill' | 'stop' }
  /** SIGSTOP, and SIGCONT later. */
  | { readonly kind: 'pause'; readonly forMs: number }
  /** The machine's time is set forward by so much, or back. */
  | { readonly kind: 'jump'; readonly byMs: number }
  | { readonly kind: 'full disk'; readonly forMs: number; readonly isKilled: boolean };

/** What an operator does, and the bridge should not suffer from. */
export type Act =
  | { readonly kind: 'hold'; readonly account: string; readonly forMs: number }
  | { readonly kind: 'backup' };

/** How a Haptik behaves for a while. */
export interface Weather {
  readonly name: string;
  readonly faults: readonly Fault[];
}

export interface Schedule {
  /** One after the other, each so long after the one before. */
  readonly blows: readonly { readonly afterMs: number; readonly blow: Blow }[];
  /** Meanwhile, and one after the other as well. */
  readonly acts: readonly { readonly afterMs: number; readonly act: Act }[];
  /** For each account one after the other, each for so long. */
  readonly weathers: ReadonlyMap<string, readonly { readonly forMs: number; readonly weather: Weather }[]>;
}

export interface ScheduleOptions {
  readonly seed: number;
  readonly seconds: number;
  /** How many times as fast the bridge's clock goes. */
  readonly speed: number;
  readonly accounts: readonly string[];
  /** Those whose dead letters a person deals with. */
  readonly tended: readonly string[];
  /** The bridge's DELIVERY_TIMEOUT_MS. */
  readonly timeoutMs: number;
  readonly canFillDisk: boolean;
}

const HOUR_MS = 3_600_000;
/** By the bridge's clock: shorter and longer than its leases of 15 s. */
const PAUSE_MS = [1_000, 25_000] as const;
/** Longer than what is in flight may take to end. */
const HOLD_MS = [2_500, 4_500] as const;

/** The same options give the same schedule. */
export function makeSchedule(options: ScheduleOptions): Schedule {
  const { seed, seconds, accounts, tended, timeoutMs } = options;
  const random = seeded(seed);
  const kinds = inTurns<() => Blow>(random, blowsOf(options, random));
  const blows = fill(
    seconds,
    () => ({ afterMs: between(random, 300, 2_000), blow: kinds.next().value() }),
    ({ afterMs, blow }) => lengthOf(afterMs, blow),
  );
  const weathersFor = (account: string) => {
    const skies = inTurns(random, [...weathersOf(timeoutMs), ...(tended.includes(account) ? REFUSALS : [])]);
    const next = () => ({ forMs: between(random, 300, 2_000), weather: skies.next().value });
    return fill(seconds, next, ({ forMs }) => forMs);
  };
  const weathers = new Map(accounts.map((account) => [account, weathersFor(account)]));
  const deeds = inTurns<() => Act>(random, [
    ...accounts.map((account) => (): Act => ({ kind: 'hold', account, forMs: between(random, ...HOLD_MS) })),
    () => ({ kind: 'backup' }),
    () => ({ kind: 'backup' }),
  ]);
  const acts = fill(
    seconds,
    () => ({ afterMs: between(random, 300, 2_000), act: deeds.next().value() }),
    ({ afterMs, act }) => lengthOf(afterMs, act),
  );
  return { blows, weathers, acts };
}

function blowsOf({ speed, canFillDisk }: ScheduleOptions, random: Random): (() => Blow)[] {
  const pause = (): Blow => ({ kind: 'pause', forMs: Math.round(between(random, ...PAUSE_MS) / speed) });
  const jump = (low: number, high: number) => (): Blow => ({
    kind: 'jump',
    byMs: between(random, low, high),
  });
  const fullDisk = (): Blow => ({
    kind: 'full disk',
    forMs: between(random, 500, 3_000),
    isKilled: random() < 0.5,
  });
  return [
    () => ({ kind: 'kill' }),
    () => ({ kind: 'kill' }),
    () => ({ kind: 'stop' }),
    pause,
    jump(0, HOUR_MS),
    jump(HOUR_MS, 6 * HOUR_MS),
    jump(-HOUR_MS, 0),
    jump(-6 * HOUR_MS, -HOUR_MS),
    ...(canFillDisk ? [fullDisk] : []),
  ];
}

export const CLEAR: Weather = { name: 'clear', faults: [] };
const often = (name: string, fault: Omit<Fault, 'rate'>): Weather => ({ name, faults: [{ rate: 0.3, ...fault }] });

/** They refuse messages for good, and users. */
const REFUSALS = [often('400', { status: 400 }), often('400 to messages', { status: 400, path: 'message' })];

/** No fault here refuses a message for good, so that none may end as a dead letter. */
function weathersOf(timeoutMs: number): Weather[] {
  return [
    CLEAR,
    CLEAR,
    often('500', { status: 500 }),
    often('503', { status: 503 }),
    often('429', { status: 429 }),
    often('429 retry-after 1', { status: 429, headers: { 'retry-after': '1' } }),
    often('502', { status: 502 }),
    often('504', { status: 504 }),
    often('401 now and then', { status: 401 }),
    { name: '401', faults: [{ rate: 1, status: 401 }] },
    often('drop', { action: 'drop' }),
    { name: 'down', faults: [{ rate: 1, action: 'drop' }] },
    often('accept, then drop', { action: 'accept_then_drop' }),
    often('garbage', { action: 'garbage' }),
    { name: 'hang', faults: [{ rate: 0.1, action: 'hang' }] },
    often('slow', { delay_ms: Math.round(timeoutMs / 4) }),
    { name: 'too late', faults: [{ rate: 0.1, delay_ms: timeoutMs + 300 }] },
    {
      name: 'storm',
      faults: [
        { rate: 0.1, status: 500 },
        { rate: 0.1, action: 'accept_then_drop' },
        { rate: 0.1, status: 504 },
        { rate: 0.1, action: 'drop' },
        { rate: 0.02, action: 'hang' },
      ],
    },
  ];
}

/** As many as it takes to fill the time. */
function fill<T>(seconds: number, next: () => T, lengthMs: (item: T) => number): T[] {
  const items: T[] = [];
  for (let leftMs = seconds * 1_000; leftMs > 0; ) {
    const item = next();
    leftMs -= lengthMs(item);
    if (leftMs > 0 || items.length === 0) items.push(item);
  }
  return items;
}

function lengthOf(afterMs: number, what: Blow | Act): number {
  return afterMs + ('forMs' in what ? what.forMs : 0);
}
