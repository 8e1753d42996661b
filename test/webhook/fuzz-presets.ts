import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { inspect } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import fetch, { Response } from 'node-fetch';
import { startBridge } from '../../src/bridge.ts';
import { systemClock } from '../../src/clock.ts';
import { readSettings } from '../../src/settings.ts';
import { providers } from '../../src/webhook/providers/registry.ts';
import { type Answer, send } from '../support/send.ts';
import { type ChannelEntry, type Input, inputsFor, readSamples, type Samples } from './fuzz-requests.ts';

// Knows nothing of Jest: a long run is no test.

export interface FuzzOptions {
  readonly seed: number;
  readonly runs: number;
  /** Ends it, however many are left. */
  readonly seconds?: number;
  readonly say?: (line: string) => void;
}

export interface FuzzResult {
  /** What went wrong first, with the smallest input that was found to show it; undefined: nothing. */
  readonly fault: string | undefined;
  readonly runs: number;
  readonly seconds: number;
  readonly slowestMs: number;
  /** How often each status was answered. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly stored: number;
  /** Of the whole process, the generator too, after each tenth: what is in use once garbage is collected, and all. */
  readonly memory: readonly { readonly usedMb: number; readonly rssMb: number }[];
}

const SAMPLES = join(import.meta.dirname, '../fixtures/providers');
/** The time at which the samples are valid, and the URL that they are signed for. */
const NOW = 1_795_350_602_000;
const PUBLIC_URL = 'https://bridge.example.com';
/** For what a file of samples shows: channels that verify as there, and one that does not verify. */
function channelsOf({ name, channel, samples }: Samples): Record<string, ChannelEntry> {
  const others = samples.flatMap((sample) => sample.channel ?? []).map((other) => JSON.stringify(other));
  return Object.fromEntries([
    [name, unlimited(channel)],
    [`${name}-open`, unlimited({ ...channel, verify: 'none' })],
    ...[...new Set(others)].map((other, index) => [`${name}-${index}`, unlimited(JSON.parse(other))]),
  ]);
}

function unlimited(channel: ChannelEntry): ChannelEntry {
  return { ...channel, ...(providers[channel.provider]?.rateLimit && { rate_limit: 1e9 }) };
}

/** A 5xx that says on purpose: send it again. */
function mayBeUnavailable({ provider, verify }: ChannelEntry, { headers }: Input): boolean {
  if (verify === 'none') return false;
  const authorization = Object.entries(headers).find(([name]) => name.toLowerCase() === 'authorization')?.[1];
  const isUnsigned = !/^Bearer +\S/i.test(String(authorization));
  return (provider === 'vonage' && isUnsigned) || ('topic_arn' in verify && !('certificate' in verify));
}

/** What is in the store of one request, and what of it was not worth storing. */
interface Told {
  kept: number;
  ignored: number;
  error: unknown;
}

/** Sends whatever may come, one after another, to a bridge in this process with channels for every provider. */
export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const files = readSamples(SAMPLES).map((file) => ({ channels: channelsOf(file), samples: file.samples }));
  const channels: Record<string, ChannelEntry> = Object.assign({}, ...files.map(({ channels }) => channels));
  const inputs = fc.oneof(...files.map(({ channels, samples }) => inputsFor(Object.keys(channels), samples)));

  const folder = await mkdtemp(join(tmpdir(), 'haptik-bridge-fuzz-'));
  const agent = new Agent({ keepAlive: true });
  const told: Told = { kept: 0, ignored: 0, error: undefined };
  const bridge = await start(folder, channels, told);
  const rejections: unknown[] = [];
  const onRejection = (reason: unknown) => rejections.push(reason);
  process.on('unhandledRejection', onRejection);

  const began = performance.now();
  const statuses: Record<string, number> = {};
  const sums = { runs: 0, slowestMs: 0, stored: 0, ignored: 0, asked: 0, silent: 0 };
  const memory: FuzzResult['memory'][number][] = [];
  try {
    const judged = fc.asyncProperty(inputs, async (input) => {
      Object.assign(told, { kept: 0, ignored: 0, error: undefined });
      const sent = performance.now();
      const answer = await send(bridge.url, input, { agent });
      sums.slowestMs = Math.max(sums.slowestMs, performance.now() - sent);
      sums.runs += 1;
      sums.stored += told.kept;
      sums.ignored += told.ignored;
      statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
      if (isSilent(answer, told)) sums[isQuestion(input) ? 'asked' : 'silent'] += 1;
      if (sums.runs % Math.ceil(options.runs / 10) === 0) {
        memory.push(memoryNow());
        options.say?.(`${sums.runs} runs, ${memory.at(-1)?.usedMb} MB, ${JSON.stringify(statuses)}`);
      }
      const fault =
        faultOf(input, channels[input.channel], answer, told.kept) ??
        rejections.map((reason) => `unhandled: ${reason}`)[0];
      if (fault !== undefined) throw new Error(fault, { cause: told.error });
    });
    const details = await fc.check(judged, {
      seed: options.seed,
      numRuns: options.runs,
      ...(options.seconds && { interruptAfterTimeLimit: options.seconds * 1_000 }),
    });
    const seconds = (performance.now() - began) / 1_000;
    const counted = await ignoredOf(bridge.adminUrl);
    await bridge.stop();
    const fault =
      (details.failed ? describe(details) : undefined) ??
      uncounted(sums, counted) ??
      illFormed(join(folder, 'bridge.db'));
    return { fault, runs: sums.runs, seconds, slowestMs: sums.slowestMs, statuses, stored: sums.stored, memory };
  } finally {
    process.off('unhandledRejection', onRejection);
    agent.destroy();
    await bridge.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Without garbage: how much of that there is depends on when it was last looked for. */
function memoryNow() {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  const { heapUsed, external, rss } = process.memoryUsage();
  const toMb = (bytes: number) => Math.round(bytes / 2 ** 20);
  return { usedMb: toMb(heapUsed + external), rssMb: toMb(rss) };
}

function start(folder: string, channels: object, told: Told) {
  const routing = {
    accounts: { main: { base_url: 'https://haptik.example.com', client_id: 'client', token: 'token' } },
    channels,
    routes: Object.keys(channels).flatMap((channel) => [
      {
        channel,
        when: { text: { matches: '(?i)^x|(a+)+$' } },
        business_id: 1,
        auth_id: '{{ sender }}',
        message_body: '{{ fields | json }}{{ name | upcase }}',
      },
      { channel, business_id: 2, auth_id: '{{ sender | sha256 }}', user: { name: '{{ name }}', email: '{{ email }}' } },
    ]),
  };
  const note = (message: string, { count = 1, error }: { count?: number; error?: unknown } = {}) => {
    if (['accepted', 'duplicate', 'dead'].includes(message)) told.kept += 1;
    if (message === 'ignored') told.ignored += count;
    if (message === 'refused') told.error = error;
  };
  const log = { error: note, warn: note, info: note, debug: note };
  // JSON is YAML.
  return writeFile(join(folder, 'routing.yaml'), JSON.stringify(routing)).then(() =>
    startBridge(
      readSettings({
        HOST: '127.0.0.1',
        PORT: '0',
        ADMIN_PORT: '0',
        PUBLIC_URL,
        ROUTING_FILE: join(folder, 'routing.yaml'),
        DATABASE_URL: `sqlite:${join(folder, 'bridge.db')}`,
      }),
      { clock: { ...systemClock, now: () => NOW }, log, fetch: farEnd },
    ),
  );
}

/** Haptik takes all; there is nobody else. */
const farEnd: typeof fetch = async (url) => {
  const { hostname } = new URL(String(url));
  if (hostname !== 'haptik.example.com') throw new Error(`${hostname} cannot be reached`);
  return new Response('{"message_id":1,"created_at":"2026-11-22T12:30:02Z"}', { status: 200 });
};

/** With the request as a person can send it again. */
function describe(details: fc.RunDetails<[Input]>): string {
  const [input] = details.counterexample ?? [];
  const shown = input && { ...input, body: input.body.toString() };
  const { seed, counterexamplePath: path, numRuns, numShrinks } = details;
  const found = `found by request ${numRuns} of seed ${seed}, made smaller ${numShrinks} times (path ${path})`;
  return [found, inspect(shown, { maxStringLength: 4_000 }), inspect(details.errorInstance)].join('\n');
}

/** A browser that has posted a form is sent on to another page. */
function isSuccess({ status }: Answer): boolean {
  return (status >= 200 && status < 300) || status === 303;
}

/** Taken, and not a word of it in the log: then it must be counted. */
function isSilent(answer: Answer, { kept, ignored }: Told): boolean {
  return isSuccess(answer) && kept === 0 && ignored === 0;
}

/** Asks what would be, or what may be. */
function isQuestion({ method }: Input): boolean {
  return method === 'HEAD' || method === 'OPTIONS';
}

function faultOf(input: Input, channel: ChannelEntry | undefined, answer: Answer, kept: number): string | undefined {
  const { status, headers, text } = answer;
  if (kept > 0 && !isSuccess(answer)) return `answered ${status} and stored`;
  if (isSuccess(answer)) return undefined;
  const isRefusal = status >= 400 && status < 500;
  if (!isRefusal && !(status === 503 && channel && mayBeUnavailable(channel, input)))
    return `answered ${status} ${text}`;
  const isProblem = /^application\/problem\+json/.test(String(headers['content-type']));
  return isProblem ? undefined : `answered ${status} in words of its own`;
}

/** Handshakes are counted and not logged; a question may be one. */
function uncounted(
  { ignored, asked, silent }: Readonly<Record<'ignored' | 'asked' | 'silent', number>>,
  counted: number,
) {
  const isEven = counted >= ignored + silent && counted <= ignored + silent + asked;
  return isEven ? undefined : `of ${ignored + silent} requests that were taken and not stored ${counted} are counted`;
}

/** As the bridge itself counts. */
async function ignoredOf(adminUrl: string): Promise<number> {
  const metrics = await (await fetch(`${adminUrl}/metrics`)).text();
  return [...metrics.matchAll(/^haptik_bridge_ignored_total\{.*\} (\d+)$/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );
}

/** Names and values: none may hold what no database and no agent could read. */
function illFormed(database: string): string | undefined {
  const file = new DatabaseSync(database, { readOnly: true });
  try {
    for (const { channel, message, delivery } of file
      .prepare('select channel, message, delivery from messages')
      .iterate()) {
      for (const column of [message, delivery]) {
        // JSON writes both as escapes. A backslash that stands for itself is two of them.
        const text = String(column);
        const escaped = /(?<!\\)(?:\\\\)*\\u(0000|d[89a-f]..)/i.exec(text);
        if (escaped)
          return `${channel} has stored \\u${escaped[1]}: …${text.slice(Math.max(0, escaped.index - 80), escaped.index + 20)}`;
      }
    }
    return undefined;
  } finally {
    file.close();
  }
}
