import { startBridge } from '../bridge.ts';
import { type Environment, readSettings } from '../settings.ts';

/** Runs the bridge until `stopped`. SIGHUP makes it read the routing file again, and `.env` for what that refers to. */
export async function serve(readEnvironment: () => Environment, stopped: Promise<void>): Promise<void> {
  let reload = async () => {};
  // Unheard it would end the process, also while it is starting.
  process.on('SIGHUP', () => void reload());
  const bridge = await startBridge(readSettings(readEnvironment()), { env: readEnvironment });
  reload = bridge.reload;
  await stopped;
  await bridge.stop();
  process.exit(0);
}
