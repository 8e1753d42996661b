import { readdirSync, readFileSync } from 'node:fs';
import { METHODS } from 'node:http';
import { join, parse } from 'node:path';
import fc from 'fast-check';
import type { Outgoing } from '../support/send.ts';
import { type Change, changed, changedPairs, changes, parsed, toForm, toJson } from './fuzz-mutate.ts';

/** A channel as the routing file has it. */
export interface ChannelEntry {
  readonly provider: string;
  readonly verify: 'none' | Readonly<Record<string, unknown>>;
}

/** What a provider is known to send. */
export interface Sample {
  /** Other than what its file says. */
  readonly channel?: ChannelEntry;
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: string;
  };
}

export interface Samples {
  readonly name: string;
  readonly channel: ChannelEntry;
  readonly samples: readonly Sample[];
}

export function readSamples(folder: string): readonly Samples[] {
  const files = readdirSync(folder).filter((file) => file.endsWith('.json'));
  return files.map((file) => ({ ...JSON.parse(readFileSync(join(folder, file), 'utf8')), name: parse(file).name }));
}

export interface Input extends Outgoing {
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body: Buffer;
  readonly channel: string;
}

/** Answered with a tunnel, and not by Node's client. */
const methods = METHODS.filter((method) => method !== 'CONNECT');
const TYPES = [
  'application/json',
  'application/json; charset=utf-16le',
  'application/json; charset=nonsense',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'multipart/form-data',
  'text/plain; charset=UTF-8',
  'application/cloudevents+json',
  '',
];

/** Whatever HTTP allows in a header's value. */
const headerValue = fc
  .array(
    fc.integer({ min: 0x20, max: 0xff }).filter((code) => code !== 0x7f),
    { maxLength: 40 },
  )
  .map((codes) => String.fromCharCode(...codes));
const signature = fc.constantFrom(
  '',
  ' ',
  ',',
  '=',
  'v0=',
  't=,v1=',
  't=1e99,v1=00',
  'sha256=',
  'Bearer ',
  'Bearer a.b.c',
  'Bearer ..',
  'Basic Og==',
  'Basic !',
  'x'.repeat(4_000),
);

interface HeaderChange {
  readonly at: number;
  readonly value: string | null | readonly [string, string];
  readonly other: string;
}
const headerChanges: fc.Arbitrary<readonly HeaderChange[]> = fc.array(
  fc.record({
    at: fc.nat(),
    value: fc.oneof(signature, headerValue, fc.constant(null), fc.tuple(headerValue, headerValue)),
    other: fc.constantFrom(
      '',
      '',
      'Authorization',
      'Content-Type',
      'Origin',
      'X-Forwarded-Host',
      'X-Forwarded-Proto',
      'X-Forwarded-Port',
      'X-Forwarded-Prefix',
      'Idempotency-Key',
      'Accept',
    ),
  }),
  { maxLength: 2 },
);

function changedHeaders(headers: Sample['request']['headers'], all: readonly HeaderChange[]): Input['headers'] {
  const before: Record<string, string | string[]> = { ...headers };
  for (const { at, value, other } of all) {
    const names = Object.keys(before);
    const name = other || names[at % Math.max(1, names.length)] || 'X-Signature';
    if (value === null) delete before[name];
    // Node joins, or takes the first, by the header.
    else before[name] = typeof value === 'string' ? value : [...value];
  }
  return before;
}

/** What is longer never gets to the bridge: Node itself refuses it with 431. */
const LONGEST_PATH = 8_000;

const damage = fc.record({ at: fc.nat(), put: fc.uint8Array({ maxLength: 4 }), cut: fc.nat({ max: 40 }) });

function damaged(body: Buffer, { at, put, cut }: typeof damage extends fc.Arbitrary<infer T> ? T : never): Buffer {
  const place = body.length === 0 ? 0 : at % body.length;
  return Buffer.concat([body.subarray(0, place), put, body.subarray(place + cut)]);
}

function typeOf(headers: Sample['request']['headers']): string {
  return Object.entries(headers).find(([name]) => name.toLowerCase() === 'content-type')?.[1] ?? '';
}

const pairsOf = (text: string) => [...new URLSearchParams(text)];

function changedSample(
  { request: { method, path, headers, body = '' } }: Sample,
  all: readonly Change[],
): Omit<Input, 'headers' | 'channel'> {
  if (body !== '') return { method, path, body: Buffer.from(changedBody(body, typeOf(headers), all)) };
  const [place = '', query = ''] = path.split(/\?(.*)/s);
  return { method, path: `${place}?${toForm(changedPairs(pairsOf(query), all))}`, body: Buffer.alloc(0) };
}

/** By what it is: JSON whatever its type says, a form, or parts. */
function changedBody(body: string, type: string, all: readonly Change[]): string {
  const data = parsed(body);
  if (data !== undefined) return toJson(changed(data, all));
  const boundary = /^multipart.*boundary=(.*)$/.exec(type)?.[1];
  return boundary === undefined ? toForm(changedPairs(pairsOf(body), all)) : changedParts(body, `--${boundary}`, all);
}

function changedParts(body: string, boundary: string, all: readonly Change[]): string {
  const parts = body.split(boundary).slice(1, -1);
  const pairs = parts.map((part) => {
    const [head = '', value = ''] = part.split(/\r\n\r\n(.*)\r\n$/s);
    return [head, value] as const;
  });
  const written = changedPairs(pairs, all).map(([head, value]) => `${boundary}${head}\r\n\r\n${value}\r\n`);
  return `${written.join('')}${boundary}--\r\n`;
}

function rarely<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> {
  return fc.oneof({ weight: 8, arbitrary: fc.constant(null) }, { weight: 1, arbitrary });
}

/** As a provider sends it; with changes; or anything at all, to one of its channels. */
export function inputsFor(channels: readonly string[], samples: readonly Sample[]): fc.Arbitrary<Input> {
  const channel = fc.constantFrom(...channels);
  const method = fc.oneof(
    { weight: 2, arbitrary: fc.constant('POST') },
    { weight: 1, arbitrary: fc.constantFrom('GET', 'HEAD', 'PUT', 'OPTIONS') },
    { weight: 1, arbitrary: fc.constantFrom(...methods) },
  );
  const query = fc.oneof(
    fc.constant(''),
    fc.constantFrom(
      '?',
      '?%',
      '?a=%ff&a=%00',
      '?__proto__=1',
      '?hub.mode=subscribe',
      '?hub.mode=subscribe&hub.verify_token=x&hub.challenge=1',
    ),
    changes.map((all) => `?${toForm(changedPairs([['From', '1']], all))}`),
  );
  const anything = fc
    .record({
      channel,
      method,
      query,
      type: fc.oneof(fc.constantFrom(...TYPES), headerValue),
      headers: headerChanges,
      body: fc.oneof(
        { weight: 8, arbitrary: fc.uint8Array({ maxLength: 300 }) },
        { weight: 8, arbitrary: fc.jsonValue().map((data) => Buffer.from(JSON.stringify(data))) },
        {
          weight: 1,
          arbitrary: fc
            .constantFrom('[', '{"a":', '{}', 'null', '[[],null,1]', '--x\r\n\r\n')
            .map((text) => Buffer.from(text)),
        },
      ),
    })
    .map(({ channel, method, query, type, headers, body }) => ({
      channel,
      method,
      path: `/webhooks/${channel}${query}`.slice(0, LONGEST_PATH),
      headers: changedHeaders(type === '' ? {} : { 'Content-Type': type }, headers),
      body: Buffer.from(body),
    }));
  const sample = fc.constantFrom(...samples);
  const known = fc
    .record({
      channel,
      sample,
      changes: fc.option(changes, { freq: 8 }),
      headers: headerChanges,
      harm: rarely(damage),
      method: rarely(method),
    })
    .map(({ channel, sample, changes, headers, harm, method }): Input => {
      const made = changedSample(sample, changes ?? []);
      return {
        channel,
        method: method ?? made.method,
        path: made.path.replace(/^[^?]*/, () => `/webhooks/${channel}`).slice(0, LONGEST_PATH),
        headers: changedHeaders(sample.request.headers, headers),
        body: harm === null ? made.body : damaged(made.body, harm),
      };
    });
  return fc.oneof({ weight: 5, arbitrary: known }, { weight: 1, arbitrary: anything });
}
