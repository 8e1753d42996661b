import { type Contestant, printCosts } from './compare.ts';
import { type Cost, delivered, type Load, measure, received, takeCost } from './load.ts';
import { startPostgres } from './postgres.ts';
import { type Bridge, type Server, scratchFolder, startBenchServer, startBridge } from './server.ts';

const REPLICAS = [1, 2, 4];
const ROUNDS = 3;
/**
 * What waits when the drain begins is what was accepted just before: of few conversations, which replicas get in each
 * other's way at, and of many. There are as many connections as four replicas keep busy: a batch holds what arrives while
 * the one before is stored, and small batches cost more.
 */
const LOADS: readonly Load[] = [1_000, 90_000].map((senders) => ({ amount: 20_000, senders, connections: 200 }));
/** For each replica: V8 has compiled by then what is run often. */
const WARM_UP = 4_000;

interface Replicas extends Contestant {
  readonly servers: readonly Bridge[];
}

/** What replicas of the bridge accept and deliver on one PostgreSQL, against one bridge on SQLite. */
export async function measureReplicas(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const haptik = stack.use(await startBenchServer('haptik.ts'));
  const postgres = stack.use(await startPostgres());
  const start = async (env: Readonly<Record<string, string>>) => {
    const folder = stack.use(await scratchFolder());
    return stack.use(await startBridge(folder.path, { HAPTIK_BASE_URL: haptik.url, LOG_LEVEL: 'warn', ...env }));
  };

  const contestants: Replicas[] = [{ name: 'SQLite', servers: [await start({})] }];
  for (const count of REPLICAS) {
    const env = { DATABASE_URL: await postgres.newDatabase() };
    const servers: Bridge[] = [];
    for (let index = 0; index < count; index += 1) servers.push(await start(env));
    const name = `PostgreSQL, ${count} ${count === 1 ? 'replica' : 'replicas'}`;
    contestants.push({ name, servers, database: postgres });
  }

  for (const load of LOADS) await compareReplicas(contestants, load, haptik);
}

async function compareReplicas(contestants: readonly Replicas[], load: Load, haptik: Server): Promise<void> {
  for (const contestant of contestants) {
    await acceptAndDrain(contestant, { ...load, amount: WARM_UP * contestant.servers.length }, haptik);
  }
  const accepts: Cost[][] = [];
  const drains: Cost[][] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const costs: { readonly accept: Cost; readonly drain: Cost }[] = [];
    for (const contestant of contestants) costs.push(await acceptAndDrain(contestant, load, haptik));
    accepts.push(costs.map(({ accept }) => accept));
    drains.push(costs.map(({ drain }) => drain));
  }
  const rounds = `median of ${ROUNDS} rounds of ${load.amount} messages of ${load.senders} senders`;
  printCosts(`Accept, while the account is paused (${rounds})`, contestants, accepts);
  printCosts(`Drain, from resume to the last delivery (${rounds})`, contestants, drains);
}

async function acceptAndDrain(replicas: Replicas, load: Load, haptik: Server) {
  const expected = (await received(haptik)) + load.amount;
  await tellAll(replicas, 'pause');
  const accept = await measure(replicas, load);
  const drain = await takeCost(replicas, load.amount, async () => {
    const startedAt = performance.now();
    await tellAll(replicas, 'resume');
    return { startedAt, endedAt: await delivered(haptik, expected, startedAt) };
  });
  return { accept, drain };
}

/** Each of them, since what one is told the others see only when they look. */
async function tellAll({ servers }: Replicas, action: 'pause' | 'resume'): Promise<void> {
  const answers = servers.map(async ({ adminUrl }) => {
    const response = await fetch(`${adminUrl}/api/accounts/main/${action}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
    });
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`${action} was answered ${response.status}`);
  });
  await Promise.all(answers);
}
