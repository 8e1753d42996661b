import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Message } from '../src/message.ts';
import { matches } from '../src/routing/condition.ts';
import { parseRouting, type ReadRouting } from '../src/routing/load.ts';
import { listedSenders, rulesOf } from '../src/routing/senders/senders.ts';
import { createTable, type RoutingTable } from '../src/routing/table.ts';
import { warningsOf } from '../src/routing/warnings.ts';
import { providers } from '../src/webhook/providers/registry.ts';
import { type Condition, routingOf, type SendersKind, writeSenders } from './routing-file.ts';
import type { SendersCost } from './senders.ts';
import { scratchFolder } from './server.ts';
import { median, printTable, type Row } from './table.ts';

const ROUNDS = 9;
const CALLS = 3_000;
const ROUTES = 10_000;
const CHANNELS = 500;
const LOADS = 6;
const LONG_TEXT = 10_000;

const number = (index: number) => `+9198${String(index).padStart(8, '0')}`;
const KNOWN = '+919820012345';
const UNKNOWN = '+919820012346';

/** What the routes want, and a message that only the one of that index fits. */
const CONDITIONS: Readonly<Record<string, readonly [Condition, (index: number) => Partial<Message>]>> = {
  'recipient, with its +': [(index) => ({ recipient: number(index) }), (index) => ({ recipient: number(index) })],
  'recipient, digits only': [
    (index) => ({ recipient: number(index) }),
    (index) => ({ recipient: number(index).slice(1) }),
  ],
  sender: [(index) => ({ sender: number(index) }), (index) => ({ sender: number(index) })],
  'fields.x': [(index) => ({ 'fields.x': `v${index}` }), (index) => ({ fields: { x: `v${index}` } })],
  'prefix of the text': [
    (index) => ({ text: { prefix: `p${index} ` } }),
    (index) => ({ text: `p${index} and then what is written` }),
  ],
  'text, auth_id of senders': [(index) => ({ text: `t${index}` }), (index) => ({ text: `t${index}`, sender: KNOWN })],
  'pattern, (?i)^p1': [
    (index) => ({ text: { matches: `(?i)^p${index}\\b` } }),
    (index) => ({ text: `P${index} and then what is written` }),
  ],
};

/** What a message costs to route, what a routing file costs to read, and what a million senders cost. */
export async function measureRouting(): Promise<void> {
  placing();
  patterns();
  reading();
  await senders();
}

function placing(): void {
  const rows = Object.entries(CONDITIONS).map(([name, [condition, messageAt]]): Row => {
    const one = placer(1, 1, condition, messageAt);
    const many = placer(CHANNELS, ROUTES, condition, messageAt);
    const wide = placer(1, ROUTES, condition, messageAt);
    const rounds = Array.from({ length: ROUNDS }, () => [one(CALLS), many(CALLS), wide(CALLS / 100)] as const);
    const more = rounds.map(([first, second]) => second - first);
    return [
      name,
      ...[0, 1].map((index) => median(rounds.map((round) => round[index] ?? Number.NaN)).toFixed(1)),
      median(more).toFixed(1),
      Math.max(...more).toFixed(1),
      median(rounds.map(([, , figure]) => figure)).toFixed(0),
    ];
  });
  printTable(
    `Routing a message, µs (median of ${ROUNDS} rounds of ${CALLS}; it fits the last route of its channel)`,
    ['', '1 route', `${ROUTES} on ${CHANNELS} channels`, 'more', 'worst round', `${ROUTES} on one channel`],
    rows,
  );
}

/** @returns what placing takes, in microseconds, over so many calls */
function placer(
  channels: number,
  routes: number,
  condition: Condition,
  messageAt: (index: number) => Partial<Message>,
) {
  const { table } = tableOf(routingOf(channels, routes, condition));
  const last = routes - 1;
  const rest = { sender: UNKNOWN, recipient: 'chat', text: 'Hello', fields: {}, attachments: [] };
  const message: Message = { ...rest, ...messageAt(last) };
  const channel = `c${last % channels}`;
  const placement = table.place(channel, message);
  if (placement.route !== `routes[${last}]`) throw new Error(`it went by ${placement.route}`);
  return (calls: number) => {
    const startedAt = performance.now();
    for (let call = 0; call < calls; call += 1) table.place(channel, message);
    return ((performance.now() - startedAt) * 1_000) / calls;
  };
}

function tableOf(source: string): { readonly table: RoutingTable; readonly read: ReadRouting } {
  const read = parseRouting(source, 'routing.yaml', {}, providers);
  const senders = listedSenders(read.file.senders, rulesOf(read.file, providers));
  return { table: createTable(read.file, { version: 'bench', source, senders }, providers), read };
}

/** Patterns that texts are made for: they hold what RE2 looks for first, and never fit. */
const PATTERNS: readonly (readonly [pattern: string, letters: string, end: string])[] = [
  ['(?i)^billing', 'abil ', ''],
  ['(?i)billing|invoice|refund', 'abil ', ''],
  ['\\d{4,}', 'ab1 ', ''],
  ['(a|b)*a(a|b){20}$', 'ab', '!'],
  ['(?s)foo.{0,50}bar', 'fo', ' bar foo'],
  ['(\\w+\\s*){1,50}$', 'ab ', '!'],
];

function patterns(): void {
  const rows = PATTERNS.map(([pattern, letters, end]): Row => {
    const fits = matches(pattern);
    const cost = (length: number) => {
      const took = Array.from({ length: 50 }, () => {
        const text = randomText(length, letters) + end;
        const startedAt = performance.now();
        fits(text);
        return (performance.now() - startedAt) * 1_000;
      });
      return [median(took).toFixed(length > 100 ? 0 : 1), Math.max(...took).toFixed(0)];
    };
    cost(100);
    return [pattern, ...cost(100), ...cost(LONG_TEXT)];
  });
  const head = ['', '100 characters', 'worst', `${LONG_TEXT} characters`, 'worst'];
  printTable('One pattern, µs (median of 50 texts)', head, rows);
}

function randomText(length: number, letters: string): string {
  return Array.from({ length }, () => letters[Math.floor(Math.random() * letters.length)]).join('');
}

/** It is read by the thread that serves: for as long, nothing else is done. */
function reading(): void {
  const rows = ['recipient, with its +', 'recipient, digits only', 'prefix of the text'].flatMap((name): Row[] =>
    [CHANNELS, 1].map((channels) => {
      const [condition = () => ({})] = CONDITIONS[name] ?? [];
      const source = routingOf(channels, ROUTES, condition);
      const rounds = Array.from({ length: 3 }, () => {
        const startedAt = performance.now();
        const { read } = tableOf(source);
        const readAt = performance.now();
        warningsOf(read.file, read.document, providers);
        return [readAt - startedAt, performance.now() - readAt] as const;
      });
      const figures = [0, 1].map((index) => median(rounds.map((round) => round[index] ?? Number.NaN)).toFixed(0));
      return [`${name}; ${channels} ${channels === 1 ? 'channel' : 'channels'}`, ...figures];
    }),
  );
  printTable(`Reading ${ROUTES} routes, ms (median of 3)`, ['', 'read and compiled', "check's warnings"], rows);
}

const CHAT = { verify: 'none' };
const FOUR_RULES = {
  chat: CHAT,
  sms: { provider: 'vonage', verify: 'none' },
  telegram: { provider: 'telegram', verify: 'none' },
  india: { verify: 'none', default_country: 'IN' },
};
const KINDS: readonly (readonly [name: string, count: number, kind: SendersKind])[] = [
  ['1,000', 1_000, { isParted: false, channels: { chat: CHAT } }],
  ['100,000', 100_000, { isParted: false, channels: { chat: CHAT } }],
  ['1,000,000', 1_000_000, { isParted: false, channels: { chat: CHAT } }],
  ['1,000,000, with blanks', 1_000_000, { isParted: true, channels: { chat: CHAT } }],
  ['the same, four rules', 1_000_000, { isParted: true, channels: FOUR_RULES }],
];

async function senders(): Promise<void> {
  const rows: Row[] = [];
  for (const [name, count, kind] of KINDS) {
    await using folder = await scratchFolder();
    const file = await writeSenders(folder.path, count, kind);
    const { loadMs, stallMs, idleStallMs, addedMb, peakMb, hitUs, missUs } = await costOf(file, count);
    rows.push([
      name,
      median(loadMs).toFixed(0),
      Math.max(...loadMs).toFixed(0),
      median(stallMs).toFixed(0),
      Math.max(...stallMs).toFixed(0),
      idleStallMs.toFixed(0),
      addedMb.map((mb) => mb.toFixed(0)).join(', '),
      peakMb.toFixed(0),
      hitUs.toFixed(2),
      missUs.toFixed(2),
    ]);
  }
  printTable(
    `Senders (${LOADS} loads in one process; ms, MB above what it had, µs a look-up)`,
    ['', 'load', 'worst', 'stall', 'worst', 'idle', 'added: first, last', 'two tables', 'hit', 'miss'],
    rows,
  );
}

/** In a process of its own: memory is of what it did, and of nothing that was done before. */
async function costOf(file: string, count: number): Promise<SendersCost> {
  const script = join(import.meta.dirname, 'senders.ts');
  const args = ['--expose-gc', script, file, String(count), String(LOADS)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout) as SendersCost;
}
