import { utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import supertest from 'supertest';
import { type Bridge, type Overrides, startBridge } from '../../src/bridge.ts';
import { Simulator } from '../../src/haptik/simulator.ts';
import { readSettings } from '../../src/settings.ts';
import { type LogLine, memoryLog, onTestEnd, temporaryFolder } from './fixtures.ts';

export const CREDENTIALS = { clientId: 'test-client', token: 'test-token' };

export interface Running {
  readonly bridge: Bridge;
  readonly simulator: Simulator;
  readonly request: ReturnType<typeof supertest>;
  /** Asks the operator's listener. */
  readonly admin: ReturnType<typeof supertest>;
  readonly lines: LogLine[];
  /** The database's path. */
  readonly database: string;
}

interface Options {
  /** The routing file but for its accounts. */
  readonly routing: string;
  readonly accounts?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly overrides?: Partial<Overrides>;
  /** One that others use too. */
  readonly haptik?: Awaited<ReturnType<typeof startSimulator>>;
  readonly folder?: string;
}

/** `accounts` of a routing file, for the simulator that `startTestBridge` starts. */
export const ACCOUNTS = `
accounts:
  main: { base_url: ${'$'}{HAPTIK_BASE_URL}, client_id: ${CREDENTIALS.clientId}, token: ${CREDENTIALS.token} }
`;

/** The smallest useful routing: any sender, one channel called `chat`. */
export const CHAT = `
channels:
  chat: { verify: none }
routes:
  - { channel: chat, business_id: 343, auth_id: "{{ sender | alnum }}" }
`;

export async function startSimulator(): Promise<{ readonly simulator: Simulator; readonly url: string }> {
  const simulator = new Simulator({ ...CREDENTIALS, now: Date.now, random: Math.random });
  const url = await simulator.listen();
  onTestEnd(() => simulator.close());
  return { simulator, url };
}

const LONG_AGO = new Date('2026-11-22T12:00:00Z');

/** A whole bridge with a real database and a simulated Haptik, on ports of their own. */
export async function startTestBridge({
  routing,
  accounts = ACCOUNTS,
  env,
  overrides,
  folder,
  haptik,
}: Options): Promise<Running> {
  const { simulator, url } = haptik ?? (await startSimulator());
  const place = folder ?? (await temporaryFolder());
  const file = join(place, 'routing.yaml');
  await writeFile(file, accounts + routing);
  // A start waits for a file that has just been written, and these are many.
  await utimes(file, LONG_AGO, LONG_AGO);
  const { log, lines } = memoryLog();
  const database = join(place, 'bridge.db');
  const settings = readSettings({
    HOST: '127.0.0.1',
    PORT: '0',
    ADMIN_PORT: '0',
    ROUTING_FILE: file,
    DATABASE_URL: `sqlite:${database}`,
    HAPTIK_BASE_URL: url,
    SHUTDOWN_GRACE_MS: '2000',
    ...env,
  });
  const bridge = await startBridge({ ...settings, dataFolder: place }, { log, ...overrides });
  onTestEnd(() => bridge.stop());
  return { bridge, simulator, request: supertest(bridge.url), admin: supertest(bridge.adminUrl), lines, database };
}
