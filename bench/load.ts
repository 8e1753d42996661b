import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import autocannon from 'autocannon';
import type { Server } from './server.ts';

const SENDERS = 500;
const CONNECTIONS = 50;
const TEXT = 'Hello, my order 20931 has not arrived yet. Could you please look into it? Thank you — Aśha';
const POLL_MS = 20;
const DELIVERY_LIMIT_MS = 60_000;
/** After Haptik has answered the last message: time for the bridge to write the outcome. */
const SETTLE_MS = 100;

/** What one run of messages took. */
export interface Cost {
  readonly messagesPerSecond: number;
  /** Microseconds of the measured process. */
  readonly cpuPerMessage: number;
}

/** Posts messages to a server, and takes what they cost it until all are accepted, and with `haptik` delivered too. */
export async function measure(server: Server, amount: number, haptik?: Server): Promise<Cost> {
  const expected = haptik ? (await received(haptik)) + amount : 0;
  const cpuBefore = server.cpuMs();
  const { startedAt, answeredAt } = await post(server.url, amount);
  let endedAt = answeredAt;
  while (haptik && (await received(haptik)) < expected) {
    endedAt = performance.now();
    if (endedAt - startedAt > DELIVERY_LIMIT_MS) throw new Error('not everything was delivered');
    await sleep(POLL_MS);
  }
  await sleep(SETTLE_MS);
  return {
    messagesPerSecond: (amount * 1_000) / (endedAt - startedAt),
    cpuPerMessage: ((server.cpuMs() - cpuBefore) * 1_000) / amount,
  };
}

/** All requests are built before the first is sent, so that the load costs little while it runs. */
async function post(url: string, amount: number): Promise<{ readonly startedAt: number; readonly answeredAt: number }> {
  let startedAt = 0;
  let answeredAt = 0;
  const result = await autocannon({
    url: `${url}/webhooks/chat`,
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Api-Key': 'bench-key' },
    connections: CONNECTIONS,
    amount,
    sampleInt: 50,
    setupClient: (client) => client.setRequests(Array.from({ length: Math.ceil(amount / CONNECTIONS) }, request)),
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

function request(): { readonly body: string } {
  const sender = `+9198200${String(randomInt(SENDERS)).padStart(5, '0')}`;
  return { body: JSON.stringify({ sender, text: TEXT, id: randomUUID() }) };
}

async function received(haptik: Server): Promise<number> {
  const response = await fetch(haptik.url);
  const { count } = (await response.json()) as { count: number };
  return count;
}
