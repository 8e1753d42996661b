import { readFile } from 'node:fs/promises';
import { startBridge } from '../bridge.ts';
import { RoutingRefused } from '../routing/problem.ts';
import { splitNote } from '../routing/versions/note.ts';
import { type Environment, readSettings } from '../settings.ts';
import { versionsOf } from './versions.ts';

/** Runs the bridge until `stopped`. SIGHUP makes it read the routing file again, and `.env` for what that refers to. */
export async function serve(readEnvironment: () => Environment, stopped: Promise<void>): Promise<void> {
  let reload = async () => {};
  // Unheard it would end the process, also while it is starting.
  process.on('SIGHUP', () => void reload());
  const settings = readSettings(readEnvironment());
  const bridge = await startBridge(settings, { env: readEnvironment }).catch(async (error) => {
    if (error instanceof RoutingRefused) await tellOfWayBack(settings.routingFile, readEnvironment());
    throw error;
  });
  reload = bridge.reload;
  await stopped;
  await bridge.stop();
  process.exit(0);
}

/** Whoever has to start a bridge at night may not have to find the fault first. */
async function tellOfWayBack(routingFile: string, env: Environment): Promise<void> {
  const [last] = await versionsOf(env)
    .list()
    .catch(() => []);
  if (last === undefined) return;
  const textOf = (file: string) => readFile(file, 'utf8').then((source) => splitNote(source).text);
  // Where it says what it said then, or cannot be read, something else is to blame.
  const isOther = await Promise.all([textOf(routingFile), textOf(last.file)]).then(
    ([now, then]) => now !== then,
    () => false,
  );
  if (!isOther) return;
  const since = new Date(last.at).toISOString();
  console.error(`The routing file is refused. Version ${last.version}, in force since ${since}, is put back by:`);
  console.error(`  haptik-bridge rollback ${last.version}\n`);
}
