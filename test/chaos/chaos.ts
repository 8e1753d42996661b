import { setTimeout as sleep } from 'node:timers/promises';
import { Actor } from './acts.ts';
import { check, type Disturbance, isKept, type Report } from './checker.ts';
import { inspect } from './database.ts';
import type { Kept } from './kept.ts';
import { type LoadOptions, startLoad } from './load.ts';
import { Operator } from './operator.ts';
import { tend } from './person.ts';
import { play } from './play.ts';
import { inTurns, seeded } from './random.ts';
import { makeSchedule, type Schedule, type Site } from './schedule.ts';
import { watchStalls } from './span.ts';
import { ACCOUNTS, type Stage, type StageOptions, setStage, TENDED } from './stage.ts';
import type { Decision, Hold } from './tended.ts';
import { CLEAR } from './weather.ts';

export interface ChaosOptions extends StageOptions, LoadOptions {
  /** Accounts whose credentials are refused now and then. */
  readonly doubted: readonly string[];
  /** How long what waits may take to arrive when all faults are over. */
  readonly drainMs: number;
  /** Is told what happens, while it happens. */
  readonly say: (line: string) => void;
}

export interface ChaosResult {
  readonly report: Report;
  /** What was done to processes and database, and by operators, by kind. */
  readonly faults: Readonly<Record<string, number>>;
  /** How long it took until nothing waited any more, when all faults were over. */
  readonly restMs: number;
  /** What else went wrong: it ended by itself, refused a sender or an operator, or left a database damaged. */
  readonly misdeeds: readonly string[];
  readonly isKept: boolean;
}

const LOOK_MS = 100;
const AUDIT_MS = 1_000;

/** Runs the bridge under load and faults until the time is up or `signal` aborts; then judges what became of its promises. */
export async function runChaos(options: ChaosOptions, signal: AbortSignal): Promise<ChaosResult> {
  const startedAt = Date.now();
  const say = (what: string) => options.say(`${((Date.now() - startedAt) / 1_000).toFixed(1).padStart(7)} s  ${what}`);
  await using stage = await setStage(options);
  const { replicas, disk, farEnds, cluster, timeoutMs } = stage;
  if (options.site.kind === 'alone' && options.site.withFullDisk && !disk) {
    say('no full disk: mounting is not allowed here');
  }
  const stalls: Disturbance[] = [];
  const endWatch = watchStalls(timeoutMs / 8, (stall) => stalls.push({ cause: 'stall', ...stall }));
  const load = startLoad(options, stage);
  const operators = startOperators(options.seed, stage, () => load.acknowledged.map(({ id }) => id));
  const audits = startAudits(stage);
  for (const { bridge } of replicas) bridge.start();

  const site: Site =
    options.site.kind === 'alone'
      ? { ...options.site, canFillDisk: disk !== undefined }
      : { ...options.site, canFailOver: cluster?.canFailOver ?? false };
  const schedule = makeSchedule({ ...options, site, accounts: ACCOUNTS, tended: TENDED, timeoutMs });
  await play(schedule, stage, operators.actor, say, signal);
  for (const farEnd of farEnds.values()) farEnd.setWeather(CLEAR);
  say('all faults are over');
  const overAt = Date.now();
  await load.stop(options.drainMs);
  const unrest = await drained(operators.operator, options.drainMs);
  const restMs = Date.now() - overAt;
  say(unrest[0] ?? 'nothing waits any more');
  await operators.stop();
  await audits.stop();
  await Promise.all(replicas.map(({ bridge }) => bridge.close()));
  endWatch();
  say('stopped');

  const kept = await stage.read();
  const { decisions } = operators;
  const { backup, holds } = operators.actor;
  const report = judge(stage, { load, stalls, decisions, holds, kept });
  const copy = backup ? await inspect(backup) : [];
  if (backup) say(`the last backup was asked for after ${backup.holds.length} messages`);
  const misdeeds = [
    ...replicas.flatMap(({ bridge }) => bridge.misdeeds),
    ...load.refusals,
    ...operators.misdeeds,
    ...unrest,
    ...audits.found,
    ...kept.damage,
    ...copy,
  ];
  return { report, faults: countsOf(schedule), restMs, misdeeds, isKept: isKept(report) && misdeeds.length === 0 };
}

export interface Witnessed {
  readonly load: Pick<ReturnType<typeof startLoad>, 'acknowledged'>;
  /** When the harness itself got no time. */
  readonly stalls: readonly Disturbance[];
  readonly decisions: readonly Decision[];
  readonly holds: readonly Hold[];
  readonly kept: Kept;
}

/** Judges what was seen on a stage whose bridge has stopped. */
export function judge(stage: Stage, { load, stalls, decisions, holds, kept }: Witnessed): Report {
  const { replicas, farEnds, timeoutMs, noticeMs } = stage;
  const bridges = replicas.map(({ bridge }) => bridge);
  return check({
    ...kept,
    acknowledged: load.acknowledged,
    arrivals: [...farEnds].flatMap(([account, { messages }]) =>
      messages.map(({ auth_id, message_body }) => ({ account, conversation: auth_id, id: message_body })),
    ),
    calls: [...farEnds.values()].flatMap(({ calls }) => calls),
    disturbances: [...bridges.flatMap(({ disturbances }) => disturbances), ...stalls],
    births: bridges.flatMap(({ births }) => births),
    deaf: bridges.flatMap(({ name: by, troubles }) => troubles.spans.map(({ from, to }) => ({ by, from, to }))),
    noticeMs,
    told: new Set(bridges.flatMap(({ told }) => [...told])),
    decisions,
    holds,
    once: TENDED,
    timeoutMs,
  });
}

/** Who tends the accounts that want it, and who acts by the schedule. */
function startOperators(seed: number, stage: Stage, acknowledged: () => readonly string[]) {
  const { replicas, farEnds, folder } = stage;
  const decisions: Decision[] = [];
  const misdeeds: string[] = [];
  const onMisdeed = (what: string) => misdeeds.push(what);
  const desks = inTurns(
    seeded(seed),
    replicas.map(({ bridge }) => bridge),
  );
  const operator = new Operator({ desk: () => desks.next().value, onMisdeed });
  const ending = new AbortController();
  const people = [...farEnds]
    .filter(([account]) => TENDED.includes(account))
    .map(([account, farEnd]) => {
      const onDecided = (decision: Decision) => decisions.push(decision);
      return tend({ account, operator, farEnd, random: seeded(seed), onDecided, onMisdeed }, ending.signal);
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

/** Looks at what the database counts, again and again: at the end, when nothing waits, little is left to be wrong. */
function startAudits(stage: Stage) {
  const found = new Set<string>();
  const ending = new AbortController();
  const looking = (async () => {
    while (!ending.signal.aborted) {
      for (const what of await stage.audit()) found.add(what);
      await sleep(AUDIT_MS, undefined, { signal: ending.signal }).catch(() => undefined);
    }
  })();
  return {
    found,
    async stop() {
      ending.abort();
      await looking;
    },
  };
}

function countsOf({ blows, databaseBlows, acts }: Schedule): Record<string, number> {
  const kinds = [
    ...blows.flat().map(({ blow }) => blow.kind),
    ...databaseBlows.map(({ blow }) => `database ${blow.kind}`),
    ...acts.map(({ act }) => act.kind),
  ];
  return Object.fromEntries([...Map.groupBy(kinds, (kind) => kind)].map(([kind, { length }]) => [kind, length]));
}

/** Waits until nothing waits any more. @returns that it still did when the time was up */
export async function drained(operator: Operator, limitMs: number): Promise<readonly string[]> {
  for (const end = Date.now() + limitMs; Date.now() < end; await sleep(LOOK_MS)) {
    if (await operator.isAtRest()) return [];
  }
  return [`something still waited ${limitMs / 1_000} s after the last fault`];
}
