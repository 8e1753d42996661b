import { scratchFolder, startBridge } from './server.ts';
import { median, printTable } from './table.ts';

const ROUNDS = 7;

interface Start {
  readonly ms: number;
  readonly mb: number;
}

/** From spawn to ready, with and without what the compile cache kept of the start before. */
export async function measureStart(): Promise<void> {
  const first: Start[] = [];
  const second: Start[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    await using folder = await scratchFolder();
    first.push(await startOnce(folder.path));
    second.push(await startOnce(folder.path));
  }
  const row = (name: string, starts: readonly Start[]) => [
    name,
    median(starts.map(({ ms }) => ms)).toFixed(0),
    median(starts.map(({ mb }) => mb)).toFixed(0),
  ];
  printTable(
    `Start to ready (median of ${ROUNDS})`,
    ['', 'ms', 'RSS MB'],
    [row('first start, empty compile cache', first), row('second start', second)],
  );
}

async function startOnce(folder: string): Promise<Start> {
  await using bridge = await startBridge(folder, { HAPTIK_BASE_URL: 'http://127.0.0.1:9', LOG_LEVEL: 'warn' });
  return { ms: bridge.startMs, mb: bridge.residentMb() };
}
