import { startBridge } from '../bridge.ts';
import { type Environment, readSettings } from '../settings.ts';

/** Runs the bridge until `stopped`. */
export async function serve(env: Environment, stopped: Promise<void>): Promise<void> {
  const bridge = await startBridge(readSettings(env));
  await stopped;
  await bridge.stop();
  process.exit(0);
}
