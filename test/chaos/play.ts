import { setTimeout as sleep } from 'node:timers/promises';
import { type Actor, describeAct } from './acts.ts';
import { describeBlow, strike } from './blows.ts';
import type { FarEnd } from './far-end.ts';
import type { Schedule } from './schedule.ts';
import type { Stage } from './stage.ts';

/** Blows and weathers, each account's by itself, until the schedule ends; and acts for as long as these go on. */
export async function play(
  { blows, acts, weathers }: Schedule,
  { bridge, disk, farEnds }: Stage,
  actor: Actor,
  say: (what: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const wait = (ms: number, until = signal) => sleep(ms, undefined, { signal: until }).catch(() => undefined);
  const strikeAll = async () => {
    for (const { afterMs, blow } of blows) {
      await wait(afterMs);
      if (signal.aborted) return;
      say(describeBlow(blow));
      await strike({ bridge, disk }, blow);
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
  await Promise.all([strikeAll(), ...[...farEnds].map(([account, farEnd]) => change(account, farEnd))]);
  over.abort();
  await acting;
}
