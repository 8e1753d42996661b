import { once } from 'node:events';
import { createServer, type Server as HttpServer } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { scratchFolder, startBridge } from './server.ts';
import { median, printTable } from './table.ts';

const ROUTING_FILE = join(import.meta.dirname, 'isolation.yaml');
const ROUNDS = 5;
const MESSAGES = 1_000;
/** A pace that leaves the machine mostly idle: what is waited for is other messages, not the processor. */
const EVERY_MS = 10;
const CONVERSATIONS = 200;
const WARM_UP = 300;
const FLOOD = 10_000;
/** What one answer takes: it keeps the flood waiting for as long as a round lasts, and longer. */
const ANSWER_MS = 5;
const BATCH = 5_000;
const IN_TROUBLE = 500;
const LATE_MS = 60_000;
/** What the others may lose by the trouble of some: twice the latency of an idle system, and this. */
const ALLOWED_MS = 25;

/** How long messages of a healthy account take to Haptik, alone, and beside a flood and two accounts in trouble. */
export async function measureIsolation(): Promise<void> {
  const rounds: (readonly [idle: number, troubled: number])[] = [];
  for (let round = 0; round < ROUNDS; round += 1) rounds.push([await latency(false), await latency(true)]);
  const idle = median(rounds.map(([figure]) => figure));
  const troubled = median(rounds.map(([, figure]) => figure));
  const ratios = rounds.map(([alone, beside]) => beside / alone);
  printTable(
    `Isolation (p99 from webhook to Haptik, ms; median of ${ROUNDS} rounds of ${MESSAGES} messages)`,
    ['', 'ms', 'ratio', 'lowest–highest'],
    [
      ['alone', idle.toFixed(1), '1.00', ''],
      [
        'beside a flood and two accounts in trouble',
        troubled.toFixed(1),
        (troubled / idle).toFixed(2),
        `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`,
      ],
      ['allowed: 2 × alone + 25 ms', (2 * idle + ALLOWED_MS).toFixed(1), '', ''],
    ],
  );
}

/** @returns the 99th percentile, in milliseconds */
async function latency(isTroubled: boolean): Promise<number> {
  await using folder = await scratchFolder();
  await using haptik = await startHaptik();
  await using bridge = await startBridge(folder.path, {
    HAPTIK_BASE_URL: haptik.url,
    ROUTING_FILE,
    LOG_LEVEL: 'error',
  });
  if (isTroubled) await makeTrouble(bridge.url);
  await send(bridge.url, haptik, WARM_UP);
  const took = await send(bridge.url, haptik, MESSAGES);
  return took.toSorted((a, b) => a - b)[Math.floor(MESSAGES * 0.99)] ?? Number.NaN;
}

/** A conversation with a flood in it, an account whose token is refused, and one that never answers. */
async function makeTrouble(url: string): Promise<void> {
  for (let sent = 0; sent < FLOOD; sent += BATCH) {
    await post(`${url}/webhooks/healthy`, {
      messages: Array.from({ length: BATCH }, () => ({ sender: 'flood', text: 'flood' })),
    });
  }
  for (const channel of ['refusing', 'hanging']) {
    const messages = Array.from({ length: IN_TROUBLE }, (_, index) => ({ sender: `u${index}`, text: 'trouble' }));
    await post(`${url}/webhooks/${channel}`, { messages });
  }
}

/** Posts at a steady pace, whether answered or not. @returns how long each took to arrive */
async function send(url: string, haptik: Haptik, count: number): Promise<number[]> {
  const took: Promise<number>[] = [];
  const startedAt = performance.now();
  for (let index = 0; index < count; index += 1) {
    await sleep(Math.max(0, startedAt + index * EVERY_MS - performance.now()));
    const text = crypto.randomUUID();
    const sentAt = performance.now();
    took.push(haptik.arrival(text).then((arrivedAt) => arrivedAt - sentAt));
    void post(`${url}/webhooks/healthy`, { sender: `u${index % CONVERSATIONS}`, text });
  }
  return Promise.all(took);
}

async function post(url: string, body: object): Promise<void> {
  const headers = { 'Content-Type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  await response.arrayBuffer();
  if (response.status !== 202) throw new Error(`${url} answered ${response.status}`);
}

interface Haptik extends AsyncDisposable {
  readonly url: string;
  /** When a message of that text arrives, by the clock of this process. */
  arrival(text: string): Promise<number>;
}

/** By its path it is healthy, refuses every token, or never answers. */
async function startHaptik(): Promise<Haptik> {
  const awaited = new Map<string, (at: number) => void>();
  const server: HttpServer = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const arrivedAt = performance.now();
      if (request.url?.startsWith('/hanging')) return;
      response.setHeader('Content-Type', 'application/json');
      if (request.url?.startsWith('/refusing')) return void response.writeHead(401).end('{}');
      const { message_body: text } = JSON.parse(Buffer.concat(chunks).toString()) as { message_body: string };
      awaited.get(text)?.(arrivedAt);
      awaited.delete(text);
      setTimeout(() => response.end('{"message_id":1}'), ANSWER_MS);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('there is no free port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    arrival: (text) =>
      new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error('a message did not arrive')), LATE_MS);
        awaited.set(text, (at) => {
          clearTimeout(late);
          resolve(at);
        });
      }),
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}
