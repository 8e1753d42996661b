import { readdirSync, readFileSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { basename, join } from 'node:path';
import fetch, { Response } from 'node-fetch';
import { type Running, startTestBridge } from '../support/bridge.ts';
import { ManualClock, until } from '../support/fixtures.ts';
import { ROOT } from '../support/process.ts';

const FOLDER = join(ROOT, 'test/fixtures/providers');

/** What URLs are signed with. */
const PUBLIC_URL = 'https://bridge.example.com';

/** When the samples were signed, and when they arrive where they do not say otherwise. */
export const SIGNED_AT = Date.parse('2026-11-22T12:30:00Z');
const ARRIVES_AT = SIGNED_AT + 2_000;

/** A channel as the routing file has it. */
export interface ChannelEntry {
  readonly provider: string;
  readonly verify: 'none' | Readonly<Record<string, unknown>>;
  readonly [key: string]: unknown;
}

/** An attachment that must arrive. Only what is given is compared; null stands for what the provider does not say. */
export type ExpectedAttachment = Readonly<Record<string, string | number | null>>;

/** A message that must arrive. Only what is given is compared; null stands for what the provider does not say. */
export interface ExpectedMessage {
  readonly sender: string;
  readonly recipient: string;
  /** `holds`: in whatever words, but these must be among them. */
  readonly text?: string | { readonly holds: readonly string[] };
  readonly id: string | null;
  readonly sent_at?: string | null;
  readonly name?: string;
  readonly email?: string;
  readonly phone?: string;
  readonly attachments?: readonly ExpectedAttachment[];
}

/**
 * One recorded request and what must come of it.
 *
 * - message         its messages are delivered
 * - non-message     answered like one, and nothing is stored
 * - challenge       a handshake: answered, and nothing is stored
 * - bad-signature   refused, and nothing is stored
 * - signature-only  a published vector of which only the signature matters: not refused as unverified
 * - answered        only the answer matters
 */
export interface Sample {
  readonly file: string;
  readonly name: string;
  readonly kind: 'message' | 'non-message' | 'challenge' | 'bad-signature' | 'signature-only' | 'answered';
  readonly notes?: string;
  readonly channel: ChannelEntry;
  /** When it arrives. */
  readonly now: number;
  /** A change of the body is a change of what is signed. */
  readonly covers_body: boolean;
  /** How long what is signed is good, before and after; null: for ever. */
  readonly tolerance_seconds: number | null;
  readonly request: SampleRequest;
  readonly response?: {
    readonly status: number;
    /** null: none. */
    readonly content_type: string | null;
    readonly body?: string;
    readonly headers?: Readonly<Record<string, string>>;
  };
  readonly messages?: readonly ExpectedMessage[];
}

export interface SampleRequest {
  readonly method: string;
  /** With its query, as it is sent and signed. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

interface SampleFile {
  readonly channel: ChannelEntry;
  readonly covers_body: boolean;
  readonly tolerance_seconds: number | null;
  readonly samples: readonly (Omit<Sample, 'file' | 'now'> & { readonly now?: string })[];
}

/** By file: the provider's name, or what it shows of `generic`. */
export function readSamples(): ReadonlyMap<string, readonly Sample[]> {
  const files = readdirSync(FOLDER).sort();
  return new Map(files.map((name) => [basename(name, '.json'), readFile(name)]));
}

function readFile(name: string): Sample[] {
  const { samples, ...common }: SampleFile = JSON.parse(readFileSync(join(FOLDER, name), 'utf8'));
  return samples.map(({ now, ...sample }) => ({
    ...common,
    ...sample,
    file: basename(name, '.json'),
    now: now === undefined ? ARRIVES_AT : Date.parse(now),
  }));
}

/** All that the bridge knows of a message, as JSON: what it makes of one can be read at Haptik. */
const REQUIRED = ['sender', 'recipient', 'text', 'attachments'];
const OPTIONAL = ['id', 'sent_at', 'name', 'email', 'phone'];
const MESSAGE_BODY = `{${REQUIRED.map((name) => `"${name}":{{ ${name} | json }}`).join(',')}${OPTIONAL.map(
  (name) => `{% if ${name} %},"${name}":{{ ${name} | json }}{% endif %}`,
).join('')}}`;

export interface Bridge extends Running {
  readonly clock: ManualClock;
}

/** A bridge with one channel, called as in the path that was recorded, at a time of its own. */
export async function startFor(
  { request, now }: Pick<Sample, 'request' | 'now'>,
  channel: ChannelEntry,
): Promise<Bridge> {
  const clock = new ManualClock(now);
  const name = channelName(request);
  // JSON is YAML.
  const routing = JSON.stringify({
    channels: { [name]: channel },
    routes: [{ channel: name, business_id: 1, auth_id: '{{ sender | sha256 }}', message_body: MESSAGE_BODY }],
  }).slice(1, -1);
  const accounts = `{"accounts":{"main":{"base_url":"$\{HAPTIK_BASE_URL}","client_id":"test-client","token":"test-token"}},`;
  const running = await startTestBridge({
    accounts,
    routing: `${routing}}`,
    env: { PUBLIC_URL },
    overrides: { clock, fetch: withinThisMachine },
  });
  return { ...running, clock };
}

/** Nobody outside is called: who is asked for a confirmation says yes. */
const withinThisMachine: typeof fetch = async (url, init) =>
  new URL(String(url)).hostname === '127.0.0.1' ? fetch(url, init) : new Response('done');

export function channelName({ path }: SampleRequest): string {
  return /^\/webhooks\/([^/?]+)/.exec(path)?.[1] ?? '';
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Sends it as it was recorded: no URL is parsed, no header added but Host and Content-Length. */
export function send(url: string, { method, path, headers, body }: SampleRequest): Promise<Answer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ hostname, port, method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString('utf8'),
        });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

interface StoredMessage {
  readonly state: string;
  readonly reason: string | null;
}

/** What the bridge has stored, once it has dealt with it. */
export async function stored({ admin }: Bridge): Promise<readonly StoredMessage[]> {
  let items: readonly StoredMessage[] = [];
  await until('every message is settled', async () => {
    const answer = await admin.get('/api/messages');
    items = answer.body.items;
    return items.every(({ state }) => state !== 'waiting');
  });
  return items.map(({ state, reason }) => ({ state, reason }));
}

export interface Delivered {
  readonly sender: string;
  readonly recipient: string;
  readonly text: string;
  readonly id?: string;
  readonly sent_at?: string;
  readonly name?: string;
  readonly email?: string;
  readonly phone?: string;
  readonly attachments: readonly Readonly<Record<string, string | number>>[];
}

/** What Haptik got, each sender's messages in the order in which they came; senders have none among them. */
export function delivered({ simulator }: Bridge): Delivered[] {
  return bySender(simulator.messages.map(({ message_body }): Delivered => JSON.parse(message_body)));
}

export function bySender<T extends { readonly sender: string }>(messages: readonly T[]): T[] {
  return messages.toSorted((a, b) => (a.sender < b.sender ? -1 : a.sender > b.sender ? 1 : 0));
}

/** Of a message only what is expected to be known of it. */
export function comparable(message: Delivered, expected: ExpectedMessage): object {
  const { text, attachments, ...rest } = expected;
  const known = Object.keys(rest).map((name) => [name, message[name as keyof typeof rest] ?? null]);
  return {
    ...Object.fromEntries(known),
    ...(message.sent_at !== undefined && 'sent_at' in rest && { sent_at: new Date(message.sent_at).toISOString() }),
    ...(text !== undefined && { text: message.text }),
    ...(attachments !== undefined && {
      attachments: message.attachments.map((attachment, index) =>
        Object.fromEntries(Object.keys(attachments[index] ?? attachment).map((key) => [key, attachment[key] ?? null])),
      ),
    }),
  };
}
