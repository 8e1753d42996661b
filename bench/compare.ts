import { type Cost, measure } from './load.ts';
import { type Server, scratchFolder, startBenchServer, startBridge } from './server.ts';
import { median, printTable } from './table.ts';

/** A server to compare; the first of several is what the others are compared with. */
interface Contestant {
  readonly name: string;
  readonly server: Server;
}

interface Rounds {
  readonly rounds: number;
  readonly messages: number;
  readonly warmUp: number;
  readonly haptik?: Server;
}

/** What it costs to store before answering. */
export async function compareAccept(): Promise<void> {
  await using folder = await scratchFolder();
  await using plain = await startBenchServer('app.ts');
  await using durable = await startBenchServer('app.ts', { DATABASE: `${folder.path}/accept.db` });
  const contestants = [
    { name: 'answers 202, stores nothing', server: plain },
    { name: 'durable accept', server: durable },
  ];
  await compare('Accept', contestants, { rounds: 9, messages: 6_000, warmUp: 6_000 });
}

/** What a message costs from webhook to Haptik. */
export async function compareEndToEnd(): Promise<void> {
  await using folder = await scratchFolder();
  await using other = await scratchFolder();
  await using haptik = await startBenchServer('haptik.ts');
  const env = { HAPTIK_BASE_URL: haptik.url };
  await using naive = await startBenchServer('naive.ts', env);
  await using atWarn = await startBridge(folder.path, { ...env, LOG_LEVEL: 'warn' });
  await using atInfo = await startBridge(other.path, { ...env, LOG_LEVEL: 'info' });
  const contestants = [
    { name: 'naive bridge', server: naive },
    { name: 'haptik-bridge, LOG_LEVEL=warn', server: atWarn },
    { name: 'haptik-bridge, LOG_LEVEL=info', server: atInfo },
  ];
  await compare('Accept and deliver', contestants, { rounds: 9, messages: 3_000, warmUp: 3_000, haptik });
}

/** Each round measures all, one after the other, so that what else the machine does falls on all alike. */
async function compare(title: string, contestants: readonly Contestant[], options: Rounds): Promise<void> {
  const { rounds, messages, warmUp, haptik } = options;
  for (const { server } of contestants) await measure(server, warmUp, haptik);
  const costs: Cost[][] = [];
  for (let round = 0; round < rounds; round += 1) {
    const costsOfRound: Cost[] = [];
    for (const { server } of contestants) costsOfRound.push(await measure(server, messages, haptik));
    costs.push(costsOfRound);
  }
  const rows = contestants.map(({ name }, index) => [
    name,
    ...columns(costs, index, ({ messagesPerSecond }) => messagesPerSecond),
    ...columns(costs, index, ({ cpuPerMessage }) => cpuPerMessage),
  ]);
  const head = ['', 'messages/s', 'ratio', 'lowest–highest', 'CPU µs/message', 'ratio', 'lowest–highest'];
  printTable(`${title} (median of ${rounds} rounds of ${messages} messages)`, head, rows);
}

/** The figure itself, and its ratio to the first contestant's figure of the same round. */
function columns(costs: readonly (readonly Cost[])[], index: number, figure: (cost: Cost) => number): string[] {
  const figures = costs.map((round) => round.map(figure));
  const ratios = figures.map((round) => (round[index] ?? Number.NaN) / (round[0] ?? Number.NaN));
  const range = index === 0 ? '' : `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`;
  return [median(figures.map((round) => round[index] ?? Number.NaN)).toFixed(0), median(ratios).toFixed(2), range];
}
