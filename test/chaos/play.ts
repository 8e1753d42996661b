import { setTimeout as sleep } from 'node:timers/promises';
import { type Actor, describeAct } from './acts.ts';
import { describeBlow, strike, strikeDatabase } from './blows.ts';
import type { FarEnd } from './far-end.ts';
import type { Blow, Schedule } from './schedule.ts';
import type { Stage } from './stage.ts';

/** Blows and weathers, each process' and each account's by themselves, until the schedule ends; and acts for as long as these go on. */
export async function play(
  { blows, databaseBlows, acts, weathers }: Schedule,
  stage: Stage,
  actor: Actor,
  say: (what: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const { replicas, farEnds } = stage;
  const wait = (ms: number, until = signal) => sleep(ms, undefined, { signal: until }).catch(() => undefined);
  const strikeAll = async (
    steps: Schedule['databaseBlows'],
    whom: string,
    deal: (blow: Blow) => Promise<void> | void,
  ) => {
    for (const { afterMs, blow } of steps) {
      await wait(afterMs);
      if (signal.aborted) return;
      say(`${whom}: ${describeBlow(blow)}`);
      await deal(blow);
    }
  };
  const actAll = async (until: AbortSignal) => {
    for (const { afterMs, act } of acts) {
      await wait(afterMs, until);
      if (until.aborted) return;
      say(describeAct(act));
      await actor.act(act, until);
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
  // An operator waits for answers, and the longer the more the bridge is down.
  const over = new AbortController();
  const acting = actAll(AbortSignal.any([signal, over.signal]));
  await Promise.all([
    ...replicas.map((replica, index) =>
      strikeAll(blows[index] ?? [], replica.bridge.name, (blow) => strike(replica, stage, blow)),
    ),
    strikeAll(databaseBlows, 'database', (blow) => strikeDatabase(stage, blow)),
    ...[...farEnds].map(([account, farEnd]) => change(account, farEnd)),
  ]);
  over.abort();
  await acting;
}
