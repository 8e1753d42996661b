import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeBlow, strike } from './blows.ts';
import { type Acknowledged, check, type Disturbance, isKept, type Report } from './checker.ts';
import type { FarEnd } from './far-end.ts';
import { produce } from './producer.ts';
import { seeded } from './random.ts';
import { makeSchedule, type Schedule, type Weather } from './schedule.ts';
import { watchStalls } from './span.ts';
import { ACCOUNTS, type Stage, type StageOptions, setStage, TIMEOUT_MS } from './stage.ts';

export interface ChaosOptions extends StageOptions {
  /** Conversations that go on at the same time. */
  readonly conversations: number;
  /** Between two messages of a conversation at most. */
  readonly pauseMs: number;
  /** How long what waits may take to arrive when all faults are over. */
  readonly drainMs: number;
  /** Is told what happens, while it happens. */
  readonly say: (line: string) => void;
}

export interface ChaosResult {
  readonly report: Report;
  /** What else went wrong: it ended by itself, refused a sender, or left its database damaged. */
  readonly misdeeds: readonly string[];
  readonly isKept: boolean;
}

const CLEAR: Weather = { name: 'clear', faults: [] };
const LOOK_MS = 50;

/** Runs the bridge under load and faults until the time is up or `signal` aborts; then judges what became of its promises. */
export async function runChaos(options: ChaosOptions, signal: AbortSignal): Promise<ChaosResult> {
  const startedAt = Date.now();
  const say = (what: string) => options.say(`${((Date.now() - startedAt) / 1_000).toFixed(1).padStart(7)} s  ${what}`);
  await using stage = await setStage(options);
  const { bridge, disk, farEnds } = stage;
  if (options.withFullDisk && !disk) say('no full disk: mounting is not allowed here');
  const stalls: Disturbance[] = [];
  const endWatch = watchStalls(TIMEOUT_MS / 8, (stall) => stalls.push({ cause: 'stall', ...stall }));
  const load = startLoad(options, stage);
  bridge.start();

  const schedule = makeSchedule({
    ...options,
    accounts: ACCOUNTS,
    timeoutMs: TIMEOUT_MS,
    canFillDisk: disk !== undefined,
  });
  await play(schedule, stage, say, signal);
  for (const farEnd of farEnds.values()) farEnd.setWeather(CLEAR);
  say('all faults are over');
  await load.stop();
  await drained(load.acknowledged, farEnds, options.drainMs);
  await bridge.close();
  endWatch();
  say('stopped');

  const { waiting, dead, damage } = readDatabase(stage.database);
  const report = check({
    acknowledged: load.acknowledged,
    arrivals: [...farEnds].flatMap(([account, { messages }]) =>
      messages.map(({ auth_id, message_body }) => ({ account, conversation: auth_id, id: message_body })),
    ),
    calls: [...farEnds.values()].flatMap(({ calls }) => calls),
    disturbances: [...bridge.disturbances, ...stalls],
    told: bridge.told,
    waiting,
    dead,
    timeoutMs: TIMEOUT_MS,
  });
  const misdeeds = [...bridge.misdeeds, ...load.refusals, ...damage];
  return { report, misdeeds, isKept: isKept(report) && misdeeds.length === 0 };
}

/** Every account has as many producers as every other. */
function startLoad({ seed, conversations, pauseMs }: ChaosOptions, { bridge }: Stage) {
  const acknowledged: Acknowledged[] = [];
  const refusals: string[] = [];
  const ending = new AbortController();
  const producers = Array.from({ length: conversations }, (_, number) => {
    const channel = ACCOUNTS[number % ACCOUNTS.length] ?? '';
    const random = seeded(seed + number);
    const onAcknowledged = (message: Acknowledged) => acknowledged.push(message);
    const onRefused = (status: number) => refusals.push(`a sender was answered ${status}`);
    const options = { name: `${channel}${number}`, channel, random, pauseMs, onAcknowledged, onRefused };
    return produce({ ...options, url: () => bridge.url }, ending.signal);
  });
  return {
    acknowledged,
    refusals,
    /** What has begun to be sent is sent until it is taken. */
    async stop() {
      ending.abort();
      await Promise.all(producers);
    },
  };
}

/** Blows and weathers, each account's by itself, until the schedule ends. */
async function play(
  { blows, weathers }: Schedule,
  { bridge, disk, farEnds }: Stage,
  say: (what: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const wait = (ms: number) => sleep(ms, undefined, { signal }).catch(() => undefined);
  const strikeAll = async () => {
    for (const { afterMs, blow } of blows) {
      await wait(afterMs);
      if (signal.aborted) return;
      say(describeBlow(blow));
      await strike({ bridge, disk }, blow);
    }
  };
  const change = async (account: string, farEnd: FarEnd) => {
    for (const { forMs, weather } of weathers.get(account) ?? []) {
      if (signal.aborted) return;
      say(`${account}: ${weather.name}`);
      farEnd.setWeather(weather);
      await wait(forMs);
    }
  };
  await Promise.all([strikeAll(), ...[...farEnds].map(([account, farEnd]) => change(account, farEnd))]);
}

/** Waits until all of it has arrived, or the time is up: then the report says what has not. */
async function drained(
  acknowledged: readonly Acknowledged[],
  farEnds: ReadonlyMap<string, FarEnd>,
  limitMs: number,
): Promise<void> {
  const hasAll = () => {
    const arrived = new Set([...farEnds.values()].flatMap(({ messages }) => messages.map((each) => each.message_body)));
    return acknowledged.every(({ id }) => arrived.has(id));
  };
  for (const end = Date.now() + limitMs; Date.now() < end && !hasAll(); ) await sleep(LOOK_MS);
}

function readDatabase(file: string) {
  using database = new DatabaseSync(file);
  const rows = (state: string) =>
    database
      .prepare('select provider_id, reason from messages where state = ?')
      .all(state)
      .map(({ provider_id, reason }) => [String(provider_id), String(reason)] as const);
  const integrity = String(database.prepare('pragma integrity_check').get()?.integrity_check);
  return {
    waiting: rows('waiting').map(([id]) => id),
    dead: new Map(rows('dead')),
    damage: integrity === 'ok' ? [] : [`the database is damaged: ${integrity}`],
  };
}
