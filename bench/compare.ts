import { type Cost, type Load, measure, type Subject } from './load.ts';
import { startPostgres } from './postgres.ts';
import { type Server, scratchFolder, startBenchServer, startBridge } from './server.ts';
import { median, printTable, type Row, ratioColumns } from './table.ts';

/** What to compare; the first of several is what the others are compared with. */
export interface Contestant extends Subject {
  readonly name: string;
}

interface Rounds {
  readonly rounds: number;
  readonly load: Load;
  readonly haptik?: Server;
}

/** What it costs to store before answering. */
export async function compareAccept(): Promise<void> {
  await using folder = await scratchFolder();
  await using plain = await startBenchServer('app.ts');
  await using durable = await startBenchServer('app.ts', { DATABASE: `${folder.path}/accept.db` });
  const contestants = [
    { name: 'answers 202, stores nothing', servers: [plain] },
    { name: 'durable accept', servers: [durable] },
  ];
  await compare('Accept', contestants, { rounds: 9, load: { amount: 6_000 } });
}

/** What a message costs from webhook to Haptik, on either database. */
export async function compareEndToEnd(): Promise<void> {
  await using folder = await scratchFolder();
  await using other = await scratchFolder();
  await using third = await scratchFolder();
  await using postgres = await startPostgres();
  await using haptik = await startBenchServer('haptik.ts');
  const env = { HAPTIK_BASE_URL: haptik.url };
  await using naive = await startBenchServer('naive.ts', env);
  await using atWarn = await startBridge(folder.path, { ...env, LOG_LEVEL: 'warn' });
  await using atInfo = await startBridge(other.path, { ...env, LOG_LEVEL: 'info' });
  const shared = { DATABASE_URL: await postgres.newDatabase() };
  await using onPostgres = await startBridge(third.path, { ...env, ...shared, LOG_LEVEL: 'warn' });
  const contestants = [
    { name: 'naive bridge', servers: [naive] },
    { name: 'SQLite, LOG_LEVEL=warn', servers: [atWarn] },
    { name: 'SQLite, LOG_LEVEL=info', servers: [atInfo] },
    { name: 'PostgreSQL, LOG_LEVEL=warn', servers: [onPostgres], database: postgres },
  ];
  await compare('Accept and deliver', contestants, { rounds: 9, load: { amount: 3_000 }, haptik });
}

/** Each round measures all, one after the other, so that what else the machine does falls on all alike. */
async function compare(title: string, contestants: readonly Contestant[], options: Rounds): Promise<void> {
  const { rounds, load, haptik } = options;
  for (const contestant of contestants) await measure(contestant, load, haptik);
  const costs: Cost[][] = [];
  for (let round = 0; round < rounds; round += 1) {
    const costsOfRound: Cost[] = [];
    for (const contestant of contestants) costsOfRound.push(await measure(contestant, load, haptik));
    costs.push(costsOfRound);
  }
  printCosts(`${title} (median of ${rounds} rounds of ${load.amount} messages)`, contestants, costs);
}

/** @param rounds of each round the cost of each contestant */
export function printCosts(
  title: string,
  contestants: readonly Contestant[],
  rounds: readonly (readonly Cost[])[],
): void {
  const hasDatabase = contestants.some(({ database }) => database !== undefined);
  const rows = contestants.map(({ name }, index): Row => {
    const ofDatabase = rounds.map((round) => round[index]?.databaseCpuPerMessage ?? Number.NaN);
    return [
      name,
      ...ratioColumns(figures(rounds, 'messagesPerSecond'), index),
      ...ratioColumns(figures(rounds, 'cpuPerMessage'), index),
      ...(hasDatabase ? [ofDatabase.some(Number.isNaN) ? '' : median(ofDatabase).toFixed(0)] : []),
    ];
  });
  const head = ['', 'messages/s', 'ratio', 'lowest–highest', 'CPU µs/message', 'ratio', 'lowest–highest'];
  printTable(title, hasDatabase ? [...head, "and the database's"] : head, rows);
}

function figures(rounds: readonly (readonly Cost[])[], name: 'messagesPerSecond' | 'cpuPerMessage') {
  return rounds.map((round) => round.map((cost) => cost[name]));
}
