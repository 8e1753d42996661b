import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Disk, mountDisk } from './disk.ts';
import { accountYaml, type FarEnd, openFarEnd } from './far-end.ts';
import { seeded } from './random.ts';
import { Supervised } from './supervised.ts';

export interface StageOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly speed: number;
  readonly withFullDisk: boolean;
}

/** All that a run takes place on: the bridge, its disk, and one Haptik for each account. */
export interface Stage extends AsyncDisposable {
  readonly bridge: Supervised;
  readonly farEnds: ReadonlyMap<string, FarEnd>;
  /** Undefined where none is wanted, or mounting is not allowed. */
  readonly disk: Disk | undefined;
  readonly folder: string;
  readonly database: string;
}

/** Each has a channel and a Haptik of its own. */
export const ACCOUNTS = ['north', 'south', 'west'];
/** Those whose conversations wait for a person when nobody knows, or when a message is refused for good. */
export const TENDED = ['west'];
/** Of one call to Haptik: short, so that many of them run into it. */
export const TIMEOUT_MS = 700;

export async function setStage({ seed, seconds, speed, withFullDisk }: StageOptions): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await mkdtempDisposable(join(tmpdir(), 'haptik-bridge-chaos-')));
  // Room for what the run stores, and for two copies of it: a second of it is less than half a megabyte.
  const disk = withFullDisk ? stack.use(await mountDisk(folder.path, 32 + Math.ceil(1.5 * seconds))) : undefined;
  const farEnds = new Map<string, FarEnd>();
  for (const [index, account] of ACCOUNTS.entries()) {
    farEnds.set(
      account,
      stack.adopt(await openFarEnd(seeded(seed + index)), (farEnd) => farEnd.close()),
    );
  }
  const routingFile = join(folder.path, 'routing.yaml');
  const database = join(folder.path, 'bridge.db');
  await writeFile(routingFile, routing(farEnds));
  const env = {
    HOST: '127.0.0.1',
    PORT: '0',
    ADMIN_PORT: '0',
    ROUTING_FILE: routingFile,
    DATABASE_URL: `sqlite:${database}`,
    DELIVERY_TIMEOUT_MS: String(TIMEOUT_MS),
    LOG_LEVEL: 'warn',
    LOG_FORMAT: 'json',
  };
  const bridge = stack.adopt(
    new Supervised({ env, seed, speed, isDiskFull: () => disk?.isFull ?? false }),
    (supervised) => supervised.abandon(),
  );
  const all = stack.move();
  return { bridge, farEnds, disk, folder: folder.path, database, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

function routing(farEnds: ReadonlyMap<string, FarEnd>): string {
  const lines = (line: (account: string) => string) => ACCOUNTS.map(line).join('');
  const accounts = [...farEnds].map(([account, { url }]) => accountYaml(account, url)).join('');
  const channels = lines((account) => `  ${account}: { verify: none }\n`);
  const routes = lines((account) => {
    const inTrouble = TENDED.includes(account) ? ', on_unknown: stop, on_dead: stop' : '';
    return `  - { channel: ${account}, account: ${account}, business_id: 343, auth_id: "{{ sender }}"${inTrouble} }\n`;
  });
  return `accounts:\n${accounts}channels:\n${channels}routes:\n${routes}`;
}
