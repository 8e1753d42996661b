import nodeFetch, { Headers } from 'node-fetch';
import { z } from 'zod';
import { onStopSignal } from '../../src/cli/signals.ts';
import type { Clock } from '../../src/clock.ts';
import { NAME_HEADER } from './name.ts';
import { seeded } from './random.ts';
import { watchStalls } from './span.ts';

const stopped = onStopSignal();
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
process.on('disconnect', () => process.exit(1));

/** What the harness says: by how much the machine's time is wrong from now on. */
const order = z.object({ offsetMs: z.number() });
const started = z
  .object({
    CHAOS_NAME: z.string(),
    CHAOS_SEED: z.coerce.number(),
    CHAOS_SPEED: z.coerce.number(),
    CHAOS_EPOCH_MS: z.coerce.number(),
    CHAOS_OFFSET_MS: z.coerce.number(),
  })
  .parse(process.env);

/**
 * All of the bridge's time goes `speed` times as fast, so that nobody waits half a minute for a held account to be tried:
 * leases, waits and probes keep their proportions. Calls to Haptik are timed by Node's own timers, and those are real.
 */
function fastClock(real: Clock, { CHAOS_SPEED: speed, CHAOS_EPOCH_MS: epoch, CHAOS_OFFSET_MS: start }: typeof started) {
  let offsetMs = start;
  process.on('message', (message) => {
    offsetMs = order.parse(message).offsetMs;
  });
  return {
    now: () => Math.round(epoch + (real.now() - epoch) * speed + offsetMs),
    elapsed: () => real.elapsed() * speed,
    sleep: (ms: number, signal?: AbortSignal) => real.sleep(ms / speed, signal),
  };
}

// As in the command line itself, after the signals are heard: this is what takes long.
const { startBridge } = await import('../../src/bridge.ts');
const { systemClock } = await import('../../src/clock.ts');
const { readSettings } = await import('../../src/settings.ts');
const { exitCodeOf, explain } = await import('../../src/cli/exit.ts');

try {
  const settings = readSettings(process.env);
  const bridge = await startBridge(settings, {
    clock: fastClock(systemClock, started),
    // The real waits between attempts grow to minutes; these stay short and still differ.
    random: (
      (random) => () =>
        random() / 10
    )(seeded(started.CHAOS_SEED)),
    // So that the far end can tell who called.
    fetch: (url, init) => {
      const headers = new Headers(init?.headers);
      headers.set(NAME_HEADER, started.CHAOS_NAME);
      return nodeFetch(url, { ...init, headers });
    },
  });
  watchStalls(settings.deliveryTimeoutMs / 8, (stall) => process.send?.({ stall }));
  process.send?.({ url: bridge.url, adminUrl: bridge.adminUrl });
  await stopped;
  await bridge.stop();
  process.exit(0);
} catch (error) {
  process.stderr.write(`${explain(error)}\n`);
  process.exit(exitCodeOf(error));
}
