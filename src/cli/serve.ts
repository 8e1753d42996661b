import { startBridge } from '../bridge.ts';
import { type Environment, readSettings } from '../settings.ts';
import { untilSignal } from './signals.ts';

/** Runs the bridge until a signal. */
export async function serve(env: Environment): Promise<void> {
  const signal = untilSignal();
  const bridge = await startBridge(readSettings(env));
  await signal;
  await bridge.stop();
  process.exit(0);
}
