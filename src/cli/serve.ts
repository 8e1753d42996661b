import { startBridge } from '../bridge.ts';
import { RoutingRefused } from '../routing/problem.ts';
import { type Environment, readSettings } from '../settings.ts';
import { versionsOf } from './versions.ts';

/** Runs the bridge until `stopped`. SIGHUP makes it read the routing file again, and `.env` for what that refers to. */
export async function serve(readEnvironment: () => Environment, stopped: Promise<void>): Promise<void> {
  let reload = async () => {};
  // Unheard it would end the process, also while it is starting.
  process.on('SIGHUP', () => void reload());
  const settings = readSettings(readEnvironment());
  const bridge = await startBridge(settings, { env: readEnvironment }).catch(async (error) => {
    if (error instanceof RoutingRefused && !isUnreadable(error)) await tellOfWayBack(readEnvironment());
    throw error;
  });
  reload = bridge.reload;
  await stopped;
  await bridge.stop();
  process.exit(0);
}

/** Then what it says is not to blame. */
function isUnreadable({ problems: [problem] }: RoutingRefused): boolean {
  return problem?.code === 'unreadable_file';
}

/** Whoever has to start a bridge at night may not have to find the fault first. */
async function tellOfWayBack(env: Environment): Promise<void> {
  const [last] = await versionsOf(env)
    .list()
    .catch(() => []);
  if (last === undefined) return;
  const since = new Date(last.at).toISOString();
  console.error(`The routing file is refused. Version ${last.version}, in force since ${since}, is put back by:`);
  console.error(`  haptik-bridge rollback ${last.version}\n`);
}
