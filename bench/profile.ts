import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { measure } from './load.ts';
import { startPostgres } from './postgres.ts';
import { scratchFolder, startBenchServer, startBridge } from './server.ts';
import { printTable } from './table.ts';

const WARM_UP = 3_000;
const MESSAGES = 6_000;
const INTERVAL_US = 500;
const TOP = 20;

/** What the CPU is spent on, by the files that do it. A frame of no part is charged to its caller. */
const PARTS: readonly (readonly [name: string, files: RegExp])[] = [
  ['validation: express-validator', /node_modules\/(express-validator|validator)\//],
  ['templates: liquidjs', /node_modules\/liquidjs\//],
  [
    'logs: winston',
    /node_modules\/(winston|logform|winston-transport|readable-stream|safe-stable-stringify)\/|src\/log\.ts/,
  ],
  ['phone numbers: libphonenumber-js', /node_modules\/libphonenumber-js\/|src\/sender\.ts/],
  ['patterns: re2js', /node_modules\/re2js\//],
  ['schemas: zod', /node_modules\/zod\//],
  ['ids: uuid', /node_modules\/uuid\//],
  ['PostgreSQL client: pg', /node_modules\/(pg|pg-[a-z-]+|pgpass|postgres-[a-z]+)\//],
  ['store: src/outbox, node:sqlite', /src\/outbox\/|node:sqlite/],
  [
    'client: node-fetch, node:http client',
    /node_modules\/(node-fetch|fetch-blob)\/|node:_http_(client|agent)|src\/haptik\/client/,
  ],
  ['src/haptik, the rest', /src\/haptik\//],
  ['src/webhook', /src\/webhook\//],
  ['src/routing', /src\/routing\//],
  ['src, the rest', /\/src\/[^/]+\.ts/],
  ['helmet', /node_modules\/helmet\//],
  ['rate limit: express-rate-limit', /node_modules\/express-rate-limit\//],
  ['express', /node_modules\/(express|router|send|body-parser|finalhandler|proxy-addr)\//],
  ['server: node:http', /node:_http_server/],
];
/** Where nobody above called: Node's own work for sockets and the event loop. */
const NODE: readonly (readonly [name: string, files: RegExp])[] = [
  ['server: node:http', /node:_http/],
  ['Node: sockets, streams, timers, promises', /^node:/],
];
/** V8's own names for what is no function. */
const WITHOUT_FILE: ReadonlyMap<string, string> = new Map([
  ['(garbage collector)', 'garbage collection'],
  ['(program)', 'Node: native code'],
]);

/** The format of V8, as far as it is read here. Times are microseconds of the monotonic clock. */
interface Profile {
  readonly nodes: readonly Node[];
  readonly startTime: number;
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface Node {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

/** Where the CPU of the bridge goes, by package and room. */
export async function profileBridge(): Promise<void> {
  await profile('SQLite', {});
}

/** The same on PostgreSQL, whose own work is not in it. */
export async function profileOnPostgres(): Promise<void> {
  await using postgres = await startPostgres();
  await profile('PostgreSQL', { DATABASE_URL: await postgres.newDatabase() });
}

async function profile(database: string, env: Readonly<Record<string, string>>): Promise<void> {
  await using folder = await scratchFolder();
  const { window, cpuPerMessage } = await record(folder.path, env);
  const recorded = await readProfile(folder.path);
  const selfTime = selfTimeByNode(recorded, window);
  const parents = new Map(recorded.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node])));

  const byPart = new Map<string, number>();
  const byFunction = new Map<string, number>();
  let total = 0;
  for (const node of recorded.nodes) {
    const time = selfTime.get(node.id) ?? 0;
    if (time === 0 || node.callFrame.functionName === '(idle)') continue;
    total += time;
    add(byPart, partOf(stackOf(node, parents)), time);
    add(byFunction, placeOf(node), time);
  }
  const rows = (times: ReadonlyMap<string, number>) =>
    [...times]
      .sort(([, a], [, b]) => b - a)
      .map(([name, time]) => [name, percent(time / total), ((time / total) * cpuPerMessage).toFixed(0)]);
  const head = ['', 'share', 'µs/message'];
  const title = `Where the CPU goes at LOG_LEVEL=warn on ${database}, with the profiler on (${MESSAGES} messages)`;
  printTable(title, head, rows(byPart));
  printTable(`The ${TOP} functions that cost most by themselves`, head, rows(byFunction).slice(0, TOP));
}

interface Window {
  readonly from: number;
  readonly to: number;
}

/** Runs the bridge under V8's profiler. The window leaves start and warm-up out. */
async function record(
  folder: string,
  env: Readonly<Record<string, string>>,
): Promise<{ readonly window: Window; readonly cpuPerMessage: number }> {
  await using haptik = await startBenchServer('haptik.ts');
  await using bridge = await startBridge(folder, { HAPTIK_BASE_URL: haptik.url, LOG_LEVEL: 'warn', ...env }, [
    '--cpu-prof',
    `--cpu-prof-dir=${folder}`,
    `--cpu-prof-interval=${INTERVAL_US}`,
  ]);
  const subject = { servers: [bridge] };
  await measure(subject, { amount: WARM_UP }, haptik);
  const from = monotonicUs();
  const { cpuPerMessage } = await measure(subject, { amount: MESSAGES }, haptik);
  return { window: { from, to: monotonicUs() }, cpuPerMessage };
}

/** The same clock as V8's. */
function monotonicUs(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

async function readProfile(folder: string): Promise<Profile> {
  const file = (await readdir(folder)).find((name) => name.endsWith('.cpuprofile'));
  if (file === undefined) throw new Error('Node wrote no profile');
  return JSON.parse(await readFile(join(folder, file), 'utf8')) as Profile;
}

function selfTimeByNode({ startTime, samples, timeDeltas }: Profile, { from, to }: Window): Map<number, number> {
  const times = new Map<number, number>();
  let at = startTime;
  for (const [index, id] of samples.entries()) {
    at += timeDeltas[index] ?? 0;
    // A sample stands for the time until the next one.
    if (at >= from && at <= to) add(times, id, timeDeltas[index + 1] ?? 0);
  }
  return times;
}

function add<K>(times: Map<K, number>, key: K, time: number): void {
  times.set(key, (times.get(key) ?? 0) + time);
}

/** From the function that ran, up to who called first. */
function stackOf(node: Node, parents: ReadonlyMap<number, Node>): readonly Node[] {
  const stack: Node[] = [];
  for (let frame: Node | undefined = node; frame; frame = parents.get(frame.id)) stack.push(frame);
  return stack;
}

function partOf(stack: readonly Node[]): string {
  const named = WITHOUT_FILE.get(stack[0]?.callFrame.functionName ?? '');
  return named ?? firstOf(PARTS, stack) ?? firstOf(NODE, stack) ?? 'rest';
}

function firstOf(parts: typeof PARTS, stack: readonly Node[]): string | undefined {
  for (const { callFrame } of stack) {
    const part = parts.find(([, files]) => files.test(callFrame.url));
    if (part) return part[0];
  }
  return undefined;
}

function placeOf({ callFrame: { functionName, url, lineNumber } }: Node): string {
  const file = url.replace(/^.*\/(?=node_modules\/|src\/)/, '').replace('node_modules/', '');
  return url === '' ? functionName : `${functionName || '(anonymous)'} ${file}:${lineNumber + 1}`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
