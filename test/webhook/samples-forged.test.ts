import { describe, expect, test } from '@jest/globals';
import {
  type Bridge,
  type ChannelEntry,
  channelName,
  readSamples,
  type Sample,
  type SampleRequest,
  SIGNED_AT,
  send,
  startFor,
  stored,
} from './samples.ts';

const samples = [...readSamples().values()].flat();

/** Those that are checked, by file and channel; each of its messages with one bridge. */
const checked = Map.groupBy(
  samples.filter(({ kind, channel }) => kind === 'message' && channel.verify !== 'none'),
  ({ file, channel, request }) => `${file} ${channelName(request)} ${JSON.stringify(channel)}`,
);

describe.each(
  [...checked.values()].flatMap((all) => {
    const [first] = all;
    return first === undefined ? [] : [{ first, all, what: `${first.file}: ${schemeOf(first.channel)}` }];
  }),
)('$what', ({ first, all }) => {
  test('refuses what was signed with another secret', async () => {
    const bridge = await startFor(first, withVerify(first.channel, wrong));
    for (const { name, request } of all) expect([name, await outcome(bridge, request)]).toEqual([name, 401]);
    expect(await stored(bridge)).toEqual([]);
  });

  test('with mode: report lets it in, and counts it', async () => {
    const bridge = await startFor(
      first,
      withVerify(first.channel, (verify) => ({ mode: 'report', ...wrong(verify) })),
    );
    for (const { name, request } of all) expect([name, await outcome(bridge, request)]).toEqual([name, 'accepted']);
    expect((await stored(bridge)).length).toBeGreaterThan(0);
    const { text } = await bridge.admin.get('/metrics');
    const line = new RegExp(
      `^haptik_bridge_unverified_total\\{channel="${channelName(first.request)}"\\} (\\d+)$`,
      'm',
    );
    expect(line.exec(text)?.[1]).toBe(String(all.length));
  });

  const rotates = all.filter(({ channel }) => JSON.stringify(channel.verify).includes('"secret"'));
  if (rotates.length > 0) {
    test('takes one of several secrets', async () => {
      const bridge = await startFor(first, withVerify(first.channel, rotating));
      for (const { name, request } of rotates)
        expect([name, await outcome(bridge, request)]).toEqual([name, 'accepted']);
    });
  }

  const covered = all.filter(({ covers_body, channel }) => covers_body && !isFixed(channel));
  if (covered.length > 0) {
    test('refuses what was changed', async () => {
      const bridge = await startFor(first, first.channel);
      for (const sample of covered) {
        expect([sample.name, await outcome(bridge, changed(sample))]).toEqual([sample.name, 401]);
      }
      expect(await stored(bridge)).toEqual([]);
    });
  }

  const timed = all.filter(({ tolerance_seconds, channel }) => tolerance_seconds !== null && !isFixed(channel));
  if (timed.length > 0) {
    test('refuses what is old, or from the future', async () => {
      const bridge = await startFor({ ...first, now: SIGNED_AT }, first.channel);
      for (const { name, request, tolerance_seconds } of timed) {
        const ms = (tolerance_seconds ?? 0) * 1_000;
        for (const [late, expected] of [
          [ms + 1_000, 401],
          [-ms - 1_000, 401],
          [ms - 2_000, 'accepted'],
        ] as const) {
          bridge.clock.jump(SIGNED_AT + late - bridge.clock.now());
          expect([name, late, await outcome(bridge, request)]).toEqual([name, late, expected]);
        }
      }
    });
  }
});

/** A repeat is taken too, and some say so in another way. */
async function outcome({ bridge }: Bridge, request: SampleRequest): Promise<'accepted' | number> {
  const { status } = await send(bridge.url, request);
  return status >= 200 && status < 300 ? 'accepted' : status;
}

type Verify = Readonly<Record<string, unknown>>;

function schemeOf({ verify }: ChannelEntry): string {
  return verify === 'none' ? 'none' : Object.keys(verify).join(', ');
}

/** Who sends the secret itself has signed nothing with it. */
function isFixed({ verify }: ChannelEntry): boolean {
  return verify !== 'none' && ['query', 'header', 'basic'].some((scheme) => scheme in verify);
}

function withVerify(channel: ChannelEntry, change: (verify: Verify) => Verify): ChannelEntry {
  return channel.verify === 'none' ? channel : { ...channel, verify: change(channel.verify) };
}

/** The same with other secrets, wherever they stand. */
function wrong(verify: Verify): Verify {
  return mapped(verify, (key, value) => {
    if (key === 'secret') return wrongSecret(value);
    if (key === 'public_key') return Buffer.alloc(32, 7).toString('base64');
    return key === 'certificate' ? otherCertificate(value) : value;
  });
}

function rotating(verify: Verify): Verify {
  return mapped(verify, (key, value) => (key === 'secret' ? [wrongSecret(value), value] : value));
}

function mapped(verify: Verify, change: (key: string, value: string) => unknown): Verify {
  return Object.fromEntries(
    Object.entries(verify).map(([key, value]) => [
      key,
      typeof value === 'string' ? change(key, value) : mapped(value as Verify, change),
    ]),
  );
}

/** Still base64 where it was, still user:password where it was. */
function wrongSecret(secret: string): string {
  return secret.startsWith('whsec_')
    ? `whsec_${Buffer.from('another secret of good length').toString('base64')}`
    : `${secret}x`;
}

function otherCertificate(certificate: string): string {
  const all = samples.flatMap(({ channel: { verify } }) => (verify === 'none' ? [] : [verify.certificate]));
  const other = all.find((candidate) => typeof candidate === 'string' && candidate !== certificate);
  return String(other);
}

/** With one letter changed: in the middle of the body, or of the query where there is no body. */
function changed({ file, request }: Sample): SampleRequest {
  if (request.body === undefined) return { ...request, path: otherLetter(request.path, request.path.length / 2) };
  // Of a notification only some fields are signed.
  const from = file === 'aws-sns' ? request.body.indexOf('messageBody') : request.body.length / 2;
  return { ...request, body: otherLetter(request.body, from) };
}

function otherLetter(text: string, from: number): string {
  const letters = [...text.matchAll(/[a-z]/g)].map(({ index }) => index);
  const place = letters.find((index) => index >= from) ?? 0;
  return text.slice(0, place) + (text[place] === 'x' ? 'y' : 'x') + text.slice(place + 1);
}
