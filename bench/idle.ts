import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startPostgres } from './postgres.ts';
import { scratchFolder, startBridge } from './server.ts';
import { printTable, type Row } from './table.ts';
import { startWire, type Traffic } from './wire.ts';

const REPLICAS = 10;
const ACCOUNTS = [1, 50];
/** By then each has seen the others, and what is done at a start is done. */
const SETTLE_MS = 15_000;
/** Long enough that what is done once a minute is done once. */
const WATCH_MS = 60_000;
/** Of all replicas together, in a second. */
const ALLOWED = 20;

/** What replicas ask of the database while there is nothing to do. */
export async function measureIdle(): Promise<void> {
  await using postgres = await startPostgres();
  const rows: Row[] = [];
  for (const accounts of ACCOUNTS) {
    const { requests, transactions } = await watch(await postgres.newDatabase(), accounts);
    const perSecond = (count: number) => ((count * 1_000) / WATCH_MS).toFixed(1);
    rows.push([`${accounts} ${accounts === 1 ? 'account' : 'accounts'}`, perSecond(requests), perSecond(transactions)]);
  }
  rows.push(['allowed', `< ${ALLOWED}`, '']);
  printTable(
    `${REPLICAS} idle replicas, all together, over ${WATCH_MS / 1_000} s`,
    ['', 'requests/s', 'transactions/s'],
    rows,
  );
}

/** Runs replicas with nothing to do. @returns what they asked for, once they had settled */
async function watch(databaseUrl: string, accounts: number): Promise<Traffic> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await scratchFolder());
  const routingFile = join(folder.path, 'routing.yaml');
  await writeFile(routingFile, routing(accounts));
  const wire = stack.use(await startWire(databaseUrl));
  for (let index = 0; index < REPLICAS; index += 1) {
    const env = { DATABASE_URL: wire.url, ROUTING_FILE: routingFile, LOG_LEVEL: 'warn' };
    stack.use(await startBridge(folder.path, env));
  }
  await sleep(SETTLE_MS);
  const before = { ...wire.traffic };
  await sleep(WATCH_MS);
  const { requests, transactions } = wire.traffic;
  return { requests: requests - before.requests, transactions: transactions - before.transactions };
}

/** Each account has a channel of its own. JSON, which YAML reads too. */
function routing(accounts: number): string {
  const names = Array.from({ length: accounts }, (_, index) => `account${index}`);
  const each = (value: (name: string) => object) => Object.fromEntries(names.map((name) => [name, value(name)]));
  return JSON.stringify({
    accounts: each((name) => ({ base_url: `http://127.0.0.1:9/${name}`, client_id: 'bench', token: 'bench-token' })),
    channels: each(() => ({ verify: 'none' })),
    routes: names.map((name) => ({ channel: name, account: name, business_id: 1, auth_id: '{{ sender }}' })),
  });
}
