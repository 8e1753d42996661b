import { between, inTurns, type Random, seeded } from './random.ts';
import { HOLDS, REFUSALS, type Weather, weathersOf } from './weather.ts';

/** What happens to a process of the bridge, to its machine, its network, or its database. */
export type Blow =
  | { readonly kind: 'kill' | 'stop' }
  /** SIGSTOP, and SIGCONT later. */
  | { readonly kind: 'pause'; readonly forMs: number }
  /** The machine's time is set forward by so much, or back. */
  | { readonly kind: 'jump'; readonly byMs: number }
  | { readonly kind: 'full disk'; readonly forMs: number; readonly isKilled: boolean }
  /** The network to the database: connections are reset and refused; nothing gets through; no answer comes back. */
  | { readonly kind: 'cut' | 'hang' | 'mute'; readonly forMs: number }
  /** Each piece takes longer over the network to the database, either way. */
  | { readonly kind: 'slow'; readonly forMs: number; readonly byMs: number }
  | { readonly kind: 'restart'; readonly mode: 'fast' | 'immediate' }
  /** The database dies, and its standby takes its place. */
  | { readonly kind: 'failover' };

/** What an operator does, and the bridge should not suffer from. */
export type Act =
  | { readonly kind: 'hold'; readonly account: string; readonly forMs: number }
  | { readonly kind: 'backup' };

interface Step {
  readonly afterMs: number;
  readonly blow: Blow;
}

export interface Schedule {
  /** Of each process one after the other, each so long after the one before. */
  readonly blows: readonly (readonly Step[])[];
  /** And of the database that they share. */
  readonly databaseBlows: readonly Step[];
  /** Meanwhile, and one after the other as well. */
  readonly acts: readonly { readonly afterMs: number; readonly act: Act }[];
  /** For each account one after the other, each for so long. */
  readonly weathers: ReadonlyMap<string, readonly { readonly forMs: number; readonly weather: Weather }[]>;
}

/** One process with a database of its own, or several that share one. */
export type Site =
  | {
      readonly kind: 'alone';
      /** How many times as fast the bridge's clock goes. */
      readonly speed: number;
      readonly canFillDisk: boolean;
    }
  | { readonly kind: 'shared'; readonly replicas: number; readonly canFailOver: boolean };

export interface ScheduleOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly site: Site;
  readonly accounts: readonly string[];
  /** Those whose dead letters a person deals with. */
  readonly tended: readonly string[];
  /** Those whose credentials are refused now and then. */
  readonly doubted: readonly string[];
  /** The bridge's DELIVERY_TIMEOUT_MS. */
  readonly timeoutMs: number;
}

type Ranges = Readonly<Record<Site['kind'], readonly [low: number, high: number]>>;

const HOUR_MS = 3_600_000;
/** By the bridge's clock: shorter and longer than its leases of 15 s. */
const PAUSE_MS = [1_000, 25_000] as const;
const LONG_PAUSE_MS = [16_500, 20_000] as const;
const SHORT_MS = [500, 4_000] as const;
const LONG_MS = [6_000, 20_000] as const;
/** Longer than what is in flight may take to end, and others to hear of it. */
const HOLD_MS: Ranges = { alone: [2_500, 4_500], shared: [8_000, 11_000] };
/** Between two blows to the same. */
const BETWEEN_MS: Ranges = { alone: [300, 2_000], shared: [1_000, 4_000] };
const BETWEEN_RESTARTS_MS = [4_000, 12_000] as const;
/** When the database fails over, as a share of the whole time. */
const FAILOVER_AT = [0.3, 0.7] as const;

/** The same options give the same schedule. */
export function makeSchedule(options: ScheduleOptions): Schedule {
  const { seed, seconds, site, accounts, tended, doubted, timeoutMs } = options;
  const random = seeded(seed);
  const blowsFor = (first: readonly Step[]) => {
    const kinds = inTurns<() => Blow>(random, site.kind === 'alone' ? lonelyBlows(site, random) : sharedBlows(random));
    const next = () => ({ afterMs: between(random, ...BETWEEN_MS[site.kind]), blow: kinds.next().value() });
    return [...first, ...fill(seconds * 1_000 - sum(first), next, ({ afterMs, blow }) => lengthOf(afterMs, blow))];
  };
  // A sleep that is longer than a lease has to begin early to fit into a short run: the first replica's first.
  const sleep = (): Step => ({ afterMs: between(random, 1_000, 2_000), blow: longPause(random) });
  const blows = Array.from({ length: site.kind === 'alone' ? 1 : site.replicas }, (_, index) =>
    blowsFor(site.kind === 'shared' && index === 0 ? [sleep()] : []),
  );
  const weathersFor = (account: string) => {
    const skies = inTurns(random, [
      ...weathersOf(timeoutMs),
      ...(doubted.includes(account) ? HOLDS : []),
      ...(tended.includes(account) ? REFUSALS : []),
    ]);
    const next = () => ({ forMs: between(random, 300, 2_000), weather: skies.next().value });
    return fill(seconds * 1_000, next, ({ forMs }) => forMs);
  };
  const weathers = new Map(accounts.map((account) => [account, weathersFor(account)]));
  const deeds = inTurns<() => Act>(random, [
    ...accounts.map((account) => (): Act => ({ kind: 'hold', account, forMs: between(random, ...HOLD_MS[site.kind]) })),
    ...(site.kind === 'alone' ? [backup, backup] : []),
  ]);
  const acts = fill(
    seconds * 1_000,
    () => ({ afterMs: between(random, 300, 2_000), act: deeds.next().value() }),
    ({ afterMs, act }) => lengthOf(afterMs, act),
  );
  return { blows, databaseBlows: site.kind === 'shared' ? databaseBlows(seconds, site, random) : [], acts, weathers };
}

const backup = (): Act => ({ kind: 'backup' });
const kill = (): Blow => ({ kind: 'kill' });
const stop = (): Blow => ({ kind: 'stop' });
const longPause = (random: Random): Blow => ({ kind: 'pause', forMs: between(random, ...LONG_PAUSE_MS) });

function jumps(random: Random): (() => Blow)[] {
  const jump = (low: number, high: number) => (): Blow => ({ kind: 'jump', byMs: between(random, low, high) });
  return [jump(0, HOUR_MS), jump(HOUR_MS, 6 * HOUR_MS), jump(-HOUR_MS, 0), jump(-6 * HOUR_MS, -HOUR_MS)];
}

function lonelyBlows({ speed, canFillDisk }: Extract<Site, { kind: 'alone' }>, random: Random): (() => Blow)[] {
  const pause = (): Blow => ({ kind: 'pause', forMs: Math.round(between(random, ...PAUSE_MS) / speed) });
  const fullDisk = (): Blow => ({
    kind: 'full disk',
    forMs: between(random, 500, 3_000),
    isKilled: random() < 0.5,
  });
  return [kill, kill, stop, pause, ...jumps(random), ...(canFillDisk ? [fullDisk] : [])];
}

function sharedBlows(random: Random): (() => Blow)[] {
  const forMs = () => (random() < 0.7 ? between(random, ...SHORT_MS) : between(random, ...LONG_MS));
  return [
    kill,
    kill,
    stop,
    stop,
    () => ({ kind: 'pause', forMs: between(random, ...SHORT_MS) }),
    () => longPause(random),
    jumps(random)[between(random, 0, 3)] ?? kill,
    () => ({ kind: 'cut', forMs: forMs() }),
    () => ({ kind: 'hang', forMs: forMs() }),
    () => ({ kind: 'mute', forMs: forMs() }),
    () => ({ kind: 'slow', forMs: between(random, ...SHORT_MS), byMs: between(random, 5, 40) }),
  ];
}

function databaseBlows(seconds: number, { canFailOver }: Extract<Site, { kind: 'shared' }>, random: Random): Step[] {
  const modes = inTurns(random, ['fast', 'immediate'] as const);
  const restart = (): Step => ({
    afterMs: between(random, ...BETWEEN_RESTARTS_MS),
    blow: { kind: 'restart', mode: modes.next().value },
  });
  const restarts = fill(seconds * 1_000, restart, ({ afterMs }) => afterMs);
  if (!canFailOver) return restarts;
  // The standby stands by once.
  const at = seconds * 1_000 * (FAILOVER_AT[0] + random() * (FAILOVER_AT[1] - FAILOVER_AT[0]));
  let passed = 0;
  const index = restarts.findIndex(({ afterMs }) => {
    passed += afterMs;
    return passed >= at;
  });
  return restarts.map((step, place) => (place === index ? { ...step, blow: { kind: 'failover' } } : step));
}

/** As many as it takes to fill the time. */
function fill<T>(ms: number, next: () => T, lengthMs: (item: T) => number): T[] {
  const items: T[] = [];
  for (let leftMs = ms; leftMs > 0; ) {
    const item = next();
    leftMs -= lengthMs(item);
    if (leftMs > 0 || items.length === 0) items.push(item);
  }
  return items;
}

function lengthOf(afterMs: number, what: Blow | Act): number {
  return afterMs + ('forMs' in what ? what.forMs : 0);
}

function sum(steps: readonly Step[]): number {
  return steps.reduce((ms, { afterMs, blow }) => ms + lengthOf(afterMs, blow), 0);
}
