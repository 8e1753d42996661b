import { Agent } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Running, startSimulator, startTestBridge } from '../support/bridge.ts';
import { ManualClock, onTestEnd } from '../support/fixtures.ts';
import { send } from '../support/send.ts';
import { type Scheme, type Signed, schemes } from './sdk-schemes.ts';

/**
 * The providers' own libraries are the judges here: what they sign gets in, what they would not let in does not. They look at
 * the machine's clock, so it is with that time that the bridge's stands still.
 */
const clock = new ManualClock(Date.now());
const REQUESTS = 60;
const PUBLIC_URLS = 4;
/** What the log says of a message that is in the store. */
const STORED = ['accepted', 'duplicate', 'dead'];

const publicUrl = fc
  .record({
    scheme: fc.constantFrom('https', 'http'),
    port: fc.option(fc.oneof(fc.constantFrom(80, 443, 8443), fc.integer({ min: 1, max: 65_535 }))),
    path: fc.array(fc.stringMatching(/^[A-Za-z0-9._~-]{0,8}[A-Za-z0-9]$/), { maxLength: 2 }),
  })
  .map(({ scheme, port, path }) => {
    const host = `${scheme}://bridge.example.com${port === null ? '' : `:${port}`}`;
    return [host, ...path].join('/');
  });

const place = fc.record({ part: fc.nat(), at: fc.nat(), to: fc.integer({ min: 1, max: 255 }) });
type Place = typeof place extends fc.Arbitrary<infer T> ? T : never;

/** With one byte other than it was, somewhere in what is signed. Undefined where that would be no other request. */
function tampered(request: Signed, covers: readonly string[], { part, at, to }: Place): Signed | undefined {
  const query = request.path.indexOf('?') + 1;
  const parts = covers.filter((name) =>
    name === 'body' ? request.body.length > 0 : name === 'query' ? query > 0 : name in request.headers,
  );
  const chosen = parts[part % parts.length] ?? '';
  if (chosen === 'body') {
    const body = Buffer.from(request.body);
    const index = at % body.length;
    body[index] = (body[index] ?? 0) ^ to;
    return { ...request, body };
  }
  if (chosen === 'query') {
    const index = query + (at % (request.path.length - query));
    return { ...request, path: replaced(request.path, index, to) };
  }
  const value = request.headers[chosen] ?? '';
  const scheme = chosen === 'Authorization' ? 'Bearer '.length : 0;
  const other = replaced(value, scheme + (at % (value.length - scheme)), to);
  // The digits of a signature in hex are the same in both cases.
  const isSame = /[=]?[0-9a-f]{64}$/.test(value) && other.toLowerCase() === value.toLowerCase();
  return isSame ? undefined : { ...request, headers: { ...request.headers, [chosen]: other } };
}

/** By a sign that may stand in a URL as in a header. */
function replaced(text: string, index: number, to: number): string {
  const code = 0x21 + (to % (0x7f - 0x21));
  return text.slice(0, index) + String.fromCharCode(code === 0x23 ? 0x24 : code) + text.slice(index + 1);
}

/** As a failure is to show it. */
function shown({ method, path, headers, body }: Signed): object {
  return { method, path, headers, body: body.toString() };
}

/** Signs one request after another, changes each here and there, and looks at what became of them all. */
async function judge(scheme: Scheme, { bridge, lines, database }: Running, base: string): Promise<void> {
  const agent = new Agent({ keepAlive: true });
  onTestEnd(() => agent.destroy());
  const becameOf = async (request: Signed) => {
    lines.length = 0;
    const { status } = await send(bridge.url, request, { agent });
    const stored = lines.map(({ message }) => message).filter((message) => STORED.includes(message));
    return { request: shown(request), isTaken: status >= 200 && status < 300, status, stored };
  };
  const texts: string[] = [];
  const seconds = Math.floor(clock.now() / 1_000);
  await fc.assert(
    fc.asyncProperty(scheme.signed, fc.array(place, { minLength: 3, maxLength: 3 }), async (sign, places) => {
      const request = await sign({ base, id: `message-${texts.length}`, now: seconds });
      const verdict = { request: shown(request), accepts: await scheme.accepts(request, base) };
      expect(verdict).toEqual({ request: expect.anything(), accepts: true });
      const became = await becameOf(request);
      texts.push(request.text);
      expect(became).toEqual({ ...became, isTaken: true, stored: ['accepted'] });

      for (const where of places) {
        const other = tampered(request, scheme.covers, where);
        // `%2b` is as good as `%2B` where it is parameters that are signed.
        if (other === undefined || (await scheme.accepts(other, base))) continue;
        const became = await becameOf(other);
        expect(became).toEqual({ ...became, status: 401, stored: [] });
      }
    }),
    { numRuns: REQUESTS },
  );
  await bridge.stop();
  const file = new DatabaseSync(database);
  const rows = file.prepare('select message from messages order by seq').all();
  file.close();
  expect(rows.map(({ message }) => JSON.parse(String(message)).text)).toEqual(texts);
}

const routing = ({ channel }: Scheme) => `
channels:
  signed: ${channel}
routes:
  - { channel: signed, business_id: 1, auth_id: "{{ sender | sha256 }}" }
`;

test.each(Object.entries(schemes))(
  '%s: what its library signs gets in, and with one byte changed it does not',
  async (_, scheme) => {
    const haptik = await startSimulator();
    const urls = fc.asyncProperty(scheme.signsUrl ? publicUrl : fc.constant(undefined), async (url) => {
      const env = url === undefined ? {} : { PUBLIC_URL: url };
      const running = await startTestBridge({ routing: routing(scheme), env, overrides: { clock }, haptik });
      await judge(scheme, running, url ?? running.bridge.url);
    });
    // To look for a simpler URL would take a bridge for each.
    await fc.assert(urls, { numRuns: scheme.signsUrl ? PUBLIC_URLS : 1, endOnFailure: true });
  },
);
