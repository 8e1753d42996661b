import { expect, test } from '@jest/globals';
import type { Json } from '../../src/message.ts';
import { readSamples, type SampleRequest, send, startFor, stored } from './samples.ts';

/** One in so many is tried at every run; `MANGLE_STEP=1 npm run jest -- mangled` tries all, for a minute or two. */
const STEP = Number(process.env.MANGLE_STEP ?? 7);

/** What a sender may change one day, or somebody may try, in the place of anything. */
const STAND_INS: readonly Json[] = [
  null,
  0,
  true,
  1e300,
  '',
  'x',
  '[',
  '{"a":1}',
  'x'.repeat(2_000),
  '\u0000\ud800',
  [],
  {},
  [null],
  [[]],
  [{}],
];

const byProvider = Map.groupBy(
  [...readSamples().values()]
    .flat()
    .filter(({ kind, channel }) => kind === 'message' && !['generic', 'form'].includes(channel.provider)),
  ({ channel }) => channel.provider,
);

/**
 * A preset's sender cannot mend what it sends, and what is not answered 2xx it sends again, or switches the webhook off:
 * whatever stands where something else was expected is taken or passed over.
 */
test.each([...byProvider.values()].flatMap((samples) => (samples[0] ? [{ first: samples[0], samples }] : [])))(
  '$first.channel.provider takes or passes over what it does not understand',
  async ({ first, samples }) => {
    const { provider, fields } = first.channel;
    const bridge = await startFor(first, { provider, verify: 'none', ...(fields !== undefined && { fields }) });
    const requests = samples.flatMap(({ request }) => [...mangled(request)]);
    for (const [index, request] of requests.entries()) {
      if (index % STEP !== 0) continue;
      const { status } = await send(bridge.bridge.url, request);
      if (status !== 200) expect({ status, request }).toEqual({ status: 200, request });
    }
    await stored(bridge);
    expect(bridge.lines.filter(({ level, message }) => level === 'error' && message !== 'dead')).toEqual([]);
  },
  120_000,
);

function* mangled(request: SampleRequest): Generator<SampleRequest> {
  const { body, path, headers } = request;
  const [where = '', query = ''] = path.split('?');
  if (body === undefined) {
    for (const other of mangledForm(query)) yield { ...request, path: `${where}?${other}` };
  } else if (/urlencoded/.test(JSON.stringify(headers))) {
    for (const other of mangledForm(body)) yield { ...request, body: other };
  } else if (/^[[{]/.test(body)) {
    for (const other of mangledJson(JSON.parse(body))) yield { ...request, body: JSON.stringify(other) };
  }
}

function* mangledForm(text: string): Generator<string> {
  const pairs = [...new URLSearchParams(text)];
  for (const [index, [name]] of pairs.entries()) {
    const others = pairs.toSpliced(index, 1);
    yield new URLSearchParams(others).toString();
    yield new URLSearchParams([...pairs, [name, 'again']]).toString();
    for (const standIn of STAND_INS) {
      const value = typeof standIn === 'string' ? standIn : JSON.stringify(standIn);
      yield new URLSearchParams([...others, [name, value]]).toString();
    }
  }
}

function* mangledJson(value: Json): Generator<Json> {
  yield* STAND_INS;
  if (typeof value !== 'object' || value === null) return;
  if (isList(value)) {
    for (const [index, one] of value.entries()) {
      for (const other of mangledJson(one)) yield value.toSpliced(index, 1, other);
    }
    return;
  }
  for (const [name, one] of Object.entries(value)) {
    const { [name]: _left, ...rest } = value;
    yield rest;
    for (const other of mangledJson(one)) yield { ...value, [name]: other };
  }
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
