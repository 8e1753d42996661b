import { appendFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { freePort, newFolder, Server, waitFor } from './server.ts';

const NAME = 'standby';

/** Follows a primary, which acknowledges a commit only when it is here too. */
export class Standby extends Server {
  /** Resolves when it is a primary itself, with all that the one it followed has acknowledged. */
  async promote(): Promise<void> {
    await this.run(join(this.bin, 'pg_ctl'), ['promote', '--pgdata', this.dataFolder]);
  }
}

/**
 * A synchronous standby of a server, in step with it. The server is stopped for it, so it has no connections left.
 * From then on its commits wait while the standby is away. Is to be closed by the one who asked for it.
 */
export async function startStandby(primary: Server): Promise<Standby> {
  const folder = await newFolder(dirname(dirname(primary.dataFolder)));
  const { hostname, port, username, password } = new URL(primary.url);
  const standby = new Standby({
    bin: primary.bin,
    folder,
    port: await freePort(),
    settings: {
      ...primary.settings,
      primary_conninfo: `host=${hostname} port=${port} user=${username} password=${password} application_name=${NAME}`,
      // After a primary that was away: otherwise it looks for it every five seconds.
      wal_retrieve_retry_interval: '100ms',
    },
  });
  try {
    await primary.stop();
    await standby.run('cp', ['-a', primary.dataFolder, standby.dataFolder]);
    await writeFile(join(standby.dataFolder, 'standby.signal'), '');
    // While it is stopped: one that is told to read it again may have commits that do not wait yet.
    await appendFile(join(primary.dataFolder, 'postgresql.auto.conf'), `synchronous_standby_names = '${NAME}'\n`);
    await primary.start();
    await standby.start();
    await waitFor('the standby is in step', async () => {
      const [row] = await primary.query<{ sync_state: string }>('select sync_state from pg_stat_replication');
      return row?.sync_state === 'sync';
    });
    return standby;
  } catch (error) {
    await standby.close();
    throw error;
  }
}
