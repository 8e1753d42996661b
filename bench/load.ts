import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import autocannon from 'autocannon';
import type { Server } from './server.ts';

const SENDERS = 500;
const CONNECTIONS = 50;
export const TEXT = 'Hello, my order 20931 has not arrived yet. Could you please look into it? Thank you — Aśha';
const POLL_MS = 20;
const DELIVERY_LIMIT_MS = 120_000;
/** After the last answer: time for the bridge to write the outcome. */
const SETTLE_MS = 100;

/** Whatever uses the processor. */
export interface Busy {
  /** User and system time so far. */
  cpuMs(): number;
}

/** What one run of messages took. */
export interface Cost {
  readonly messagesPerSecond: number;
  /** Microseconds of the measured processes. */
  readonly cpuPerMessage: number;
  /** Microseconds of the database's processes, where it has some of its own. */
  readonly databaseCpuPerMessage: number | undefined;
}

/** What is measured together. */
export interface Subject {
  /** One, or replicas of one bridge. */
  readonly servers: readonly Server[];
  readonly database?: Busy | undefined;
}

export interface Load {
  readonly amount: number;
  /** Different ones, at random. */
  readonly senders?: number;
  /** Each posts its next message when the one before is answered. */
  readonly connections?: number;
}

/** Posts messages, and takes what they cost until all are accepted, and with `haptik` delivered too. */
export function measure({ servers, database }: Subject, load: Load, haptik?: Server): Promise<Cost> {
  return takeCost({ servers, database }, load.amount, async () => {
    const expected = haptik ? (await received(haptik)) + load.amount : 0;
    const { startedAt, answeredAt } = await post(servers, load);
    return { startedAt, endedAt: haptik ? await delivered(haptik, expected, answeredAt) : answeredAt };
  });
}

/** What `amount` messages cost while `work` goes on, and by the times that it gives. */
export async function takeCost(
  { servers, database }: Subject,
  amount: number,
  work: () => Promise<{ readonly startedAt: number; readonly endedAt: number }>,
): Promise<Cost> {
  const cpuOfServers = () => servers.reduce((sum, server) => sum + server.cpuMs(), 0);
  const before = { cpu: cpuOfServers(), databaseCpu: database?.cpuMs() };
  const { startedAt, endedAt } = await work();
  await sleep(SETTLE_MS);
  return {
    messagesPerSecond: (amount * 1_000) / (endedAt - startedAt),
    cpuPerMessage: ((cpuOfServers() - before.cpu) * 1_000) / amount,
    databaseCpuPerMessage:
      database && before.databaseCpu !== undefined
        ? ((database.cpuMs() - before.databaseCpu) * 1_000) / amount
        : undefined,
  };
}

/** How many messages Haptik has got so far. */
export async function received(haptik: Server): Promise<number> {
  const response = await fetch(haptik.url);
  const { count } = (await response.json()) as { count: number };
  return count;
}

/** Waits until Haptik has got so many. @returns when that was, `since` where it was so already */
export async function delivered(haptik: Server, expected: number, since: number): Promise<number> {
  const startedAt = performance.now();
  let endedAt = since;
  for (;;) {
    const missing = expected - (await received(haptik));
    if (missing <= 0) return endedAt;
    endedAt = performance.now();
    if (endedAt - startedAt > DELIVERY_LIMIT_MS) {
      throw new Error(`${missing} messages were not delivered within ${DELIVERY_LIMIT_MS / 1_000} s`);
    }
    await sleep(POLL_MS);
  }
}

/** Each server gets its part of the messages and of the connections. */
async function post(servers: readonly Server[], load: Load) {
  const { amount, senders = SENDERS, connections = CONNECTIONS } = load;
  const part = amount / servers.length;
  if (!Number.isInteger(part)) throw new Error(`${amount} messages cannot be divided among ${servers.length} servers`);
  const each = { amount: part, senders, connections: Math.ceil(connections / servers.length) };
  const runs = await Promise.all(servers.map(({ url }) => postTo(url, each)));
  return {
    startedAt: Math.min(...runs.map(({ startedAt }) => startedAt)),
    answeredAt: Math.max(...runs.map(({ answeredAt }) => answeredAt)),
  };
}

/** All requests are built before the first is sent, so that the load costs little while it runs. */
async function postTo(url: string, { amount, senders, connections }: Required<Load>) {
  let startedAt = 0;
  let answeredAt = 0;
  const newRequest = () => request(senders);
  const result = await autocannon({
    url: `${url}/webhooks/chat`,
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Api-Key': 'bench-key' },
    connections,
    amount,
    sampleInt: 50,
    setupClient: (client) => client.setRequests(Array.from({ length: Math.ceil(amount / connections) }, newRequest)),
  })
    .on('start', () => {
      startedAt = performance.now();
    })
    .on('response', () => {
      answeredAt = performance.now();
    });
  if (result['2xx'] !== amount) {
    throw new Error(`of ${amount} requests ${result.non2xx} were refused and ${result.errors} failed`);
  }
  return { startedAt, answeredAt };
}

function request(senders: number): { readonly body: string } {
  const sender = `+9198200${String(randomInt(senders)).padStart(5, '0')}`;
  return { body: JSON.stringify({ sender, text: TEXT, id: randomUUID() }) };
}
