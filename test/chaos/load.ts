import type { ChaosOptions } from './chaos.ts';
import type { Acknowledged } from './checker.ts';
import { produce } from './producer.ts';
import { seeded } from './random.ts';
import { ACCOUNTS, type Stage } from './stage.ts';

/** Every account has as many producers as every other. */
export function startLoad({ seed, conversations, pauseMs }: ChaosOptions, { bridge }: Stage) {
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
