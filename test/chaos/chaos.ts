import { setTimeout as sleep } from 'node:timers/promises';
import { Actor } from './acts.ts';
import { check, type Disturbance, isKept, type Report } from './checker.ts';
import { inspect, readDatabase } from './database.ts';
import { startLoad } from './load.ts';
import { Operator } from './operator.ts';
import { tend } from './person.ts';
import { play } from './play.ts';
import { CLEAR, makeSchedule } from './schedule.ts';
import { watchStalls } from './span.ts';
import { ACCOUNTS, type Stage, type StageOptions, setStage, TENDED, TIMEOUT_MS } from './stage.ts';
import type { Decision } from './tended.ts';

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
  /** What else went wrong: it ended by itself, refused a sender or an operator, or left a database damaged. */
  readonly misdeeds: readonly string[];
  readonly isKept: boolean;
}

const LOOK_MS = 100;

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
  const operators = startOperators(stage, () => load.acknowledged.map(({ id }) => id));
  bridge.start();

  const schedule = makeSchedule({
    ...options,
    accounts: ACCOUNTS,
    tended: TENDED,
    timeoutMs: TIMEOUT_MS,
    canFillDisk: disk !== undefined,
  });
  await play(schedule, stage, operators.actor, say, signal);
  for (const farEnd of farEnds.values()) farEnd.setWeather(CLEAR);
  say('all faults are over');
  await load.stop();
  const unrest = await drained(operators.operator, options.drainMs);
  await operators.stop();
  await bridge.close();
  endWatch();
  say('stopped');

  const { waiting, unknown, dead, damage } = readDatabase(stage.database);
  const { backup, holds } = operators.actor;
  const report = check({
    acknowledged: load.acknowledged,
    arrivals: [...farEnds].flatMap(([account, { messages }]) =>
      messages.map(({ auth_id, message_body }) => ({ account, conversation: auth_id, id: message_body })),
    ),
    calls: [...farEnds.values()].flatMap(({ calls }) => calls),
    disturbances: [...bridge.disturbances, ...stalls],
    births: bridge.births,
    told: bridge.told,
    decisions: operators.decisions,
    holds,
    once: TENDED,
    waiting,
    unknown,
    dead,
    timeoutMs: TIMEOUT_MS,
  });
  const copy = backup ? await inspect(backup) : [];
  if (backup) say(`the last backup was asked for after ${backup.holds.length} messages`);
  const misdeeds = [...bridge.misdeeds, ...load.refusals, ...operators.misdeeds, ...unrest, ...damage, ...copy];
  return { report, misdeeds, isKept: isKept(report) && misdeeds.length === 0 };
}

/** Who tends the accounts that want it, and who acts by the schedule. */
function startOperators({ bridge, disk, farEnds, folder }: Stage, acknowledged: () => readonly string[]) {
  const decisions: Decision[] = [];
  const misdeeds: string[] = [];
  const onMisdeed = (what: string) => misdeeds.push(what);
  const operator = new Operator({ url: () => bridge.adminUrl, isDiskFull: () => disk?.isFull ?? false, onMisdeed });
  const ending = new AbortController();
  const people = [...farEnds]
    .filter(([account]) => TENDED.includes(account))
    .map(([account, farEnd]) => {
      const onDecided = (decision: Decision) => decisions.push(decision);
      return tend({ account, operator, farEnd, onDecided, onMisdeed }, ending.signal);
    });
  return {
    operator,
    actor: new Actor({ operator, folder, acknowledged }),
    decisions,
    misdeeds,
    async stop() {
      ending.abort();
      await Promise.all(people);
    },
  };
}

/** Waits until nothing waits any more. @returns that it still did when the time was up */
async function drained(operator: Operator, limitMs: number): Promise<readonly string[]> {
  for (const end = Date.now() + limitMs; Date.now() < end; await sleep(LOOK_MS)) {
    if (await operator.isAtRest()) return [];
  }
  return [`something still waited ${limitMs / 1_000} s after the last fault`];
}
