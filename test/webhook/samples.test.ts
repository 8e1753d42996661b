import { expect, test } from '@jest/globals';
import { providers } from '../../src/webhook/providers/registry.ts';
import {
  type Answer,
  type Bridge,
  bySender,
  comparable,
  delivered,
  type ExpectedMessage,
  readSamples,
  type Sample,
  send,
  startFor,
  stored,
} from './samples.ts';

const files = readSamples();
const samples = [...files.values()].flat();

test('every provider has samples, and every sample a provider', () => {
  const used = new Set(samples.map(({ channel }) => channel.provider));
  expect([...used].sort()).toEqual(Object.keys(providers).sort());
  for (const [file, [first]] of files) expect(['generic', file]).toContain(first?.channel.provider);
});

test.each(samples.map((sample) => [`${sample.file}: ${sample.name}`, sample] as const))('%s', async (_, sample) => {
  const bridge = await startFor(sample, sample.channel);
  const answer = await send(bridge.bridge.url, sample.request);
  expectResponse(answer, sample);
  switch (sample.kind) {
    case 'message':
      await expectMessages(bridge, sample.messages ?? []);
      await expectNothingNew(bridge, sample, answer);
      break;
    case 'non-message':
    case 'challenge':
    case 'bad-signature':
      expect(await stored(bridge)).toEqual([]);
      break;
    case 'signature-only':
      expect(answer.status).not.toBe(401);
      break;
    case 'answered':
      break;
    default:
      sample.kind satisfies never;
  }
});

function expectResponse(answer: Answer, { response }: Sample): void {
  if (response === undefined) return;
  const { status, content_type, body, headers = {} } = response;
  expect(answer).toMatchObject({ status, headers, ...(body !== undefined && { body }) });
  const [type = null, ...parameters] = answer.headers['content-type']?.split(/;\s*/) ?? [];
  expect(type).toBe(content_type);
  expect(parameters.filter((parameter) => parameter.toLowerCase() !== 'charset=utf-8')).toEqual([]);
}

async function expectMessages(bridge: Bridge, expected: readonly ExpectedMessage[]): Promise<void> {
  expect(await stored(bridge)).toEqual(expected.map(() => ({ state: 'delivered', reason: null })));
  const sorted = bySender(expected);
  const got = delivered(bridge).map((message, index) => {
    const one = sorted[index];
    return one === undefined ? message : comparable(message, one);
  });
  expect(got).toEqual(
    sorted.map(({ text, ...rest }) => ({ ...rest, ...(text !== undefined && { text: textLike(text) }) })),
  );
}

function textLike(text: NonNullable<ExpectedMessage['text']>): unknown {
  if (typeof text === 'string') return text;
  const anywhere = text.holds.map((part) => `(?=[^]*${part.replace(/\W/g, '\\$&')})`).join('');
  return expect.stringMatching(new RegExp(`^${anywhere}[^]*\\S`));
}

/** Providers send again what was not answered in time, byte by byte. */
async function expectNothingNew(bridge: Bridge, sample: Sample, first: Answer): Promise<void> {
  const count = bridge.simulator.messages.length;
  const again = await send(bridge.bridge.url, sample.request);
  expect(Math.floor(again.status / 100)).toBe(Math.floor(first.status / 100));
  expect(await stored(bridge)).toHaveLength(count);
  expect(bridge.simulator.messages).toHaveLength(count);
}

test.each(
  samples.filter(
    ({ kind, channel, messages = [] }) =>
      kind === 'message' && ['form', 'cf7', 'wpforms'].includes(channel.provider) && messages[0]?.id === null,
  ),
)('$file: $name: is a new message after a minute, since nothing in it tells a repeat', async (sample) => {
  const bridge = await startFor(sample, sample.channel);
  await send(bridge.bridge.url, sample.request);
  bridge.clock.advance(61_000);
  await send(bridge.bridge.url, sample.request);
  expect(await stored(bridge)).toHaveLength(2);
});

test('a GET that is asked about by HEAD first is answered with the same headers, and only it is a message', async () => {
  const [get, head] = ['sms-get', 'sms-head-probe'].map((name) => samples.find((sample) => sample.name === name));
  if (get === undefined || head === undefined) throw new Error('there is no such sample');
  const bridge = await startFor(get, get.channel);
  const [probed, answered] = [await send(bridge.bridge.url, head.request), await send(bridge.bridge.url, get.request)];
  const lasting = ({ headers: { date: _, 'x-request-id': __, ...rest } }: Answer) => rest;
  expect(lasting(probed)).toEqual(lasting(answered));
  expect(await stored(bridge)).toHaveLength(1);
});
