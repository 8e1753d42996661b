import { createHmac } from 'node:crypto';
import { Agent, type OutgoingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Running, startTestBridge } from '../support/bridge.ts';
import { onTestEnd, until } from '../support/fixtures.ts';

/** A short look at every run; `FUZZ_SECONDS=600 npm run jest -- fuzz` is a long one. */
const SECONDS = Number(process.env.FUZZ_SECONDS ?? 2);
const BUDGET = {
  numRuns: 1_000_000,
  interruptAfterTimeLimit: SECONDS * 1_000,
  markInterruptAsFailure: false,
};
const TEST_TIMEOUT_MS = SECONDS * 1_000 + 30_000;
/** An answer that takes longer than this is a hang. */
const ANSWER_MS = 5_000;

const SECRET = 'fuzz-secret';
const ROUTING = `
channels:
  chat: { verify: none }
  mapped: { verify: none, default_country: IN, fields: { sender: from.phone, text: 'items[0].text', id: '["1.3"]', fields: extra } }
  signed: { verify: { hmac: { secret: ${SECRET}, header: x-signature } } }
  contact: { provider: form, verify: none, rate_limit: 1000000000 }
  listed: { provider: form, verify: none, rate_limit: 1000000000, allowed_origins: ["https://shop.example"], redirect: "https://shop.example/thanks" }
routes:
  - { channel: chat, when: { text: { matches: "^x" } }, business_id: 1, auth_id: "{{ sender }}", message_body: "{{ fields | json }}{{ name | upcase }}" }
  - { channel: chat, business_id: 2, auth_id: "{{ sender | sha256 }}" }
  - { channel: mapped, when: { "fields.a": [x, "1"] }, business_id: 3, auth_id: "{{ sender | digits }}" }
  - { channel: mapped, business_id: 4, auth_id: "{{ sender | sha256 }}", user: { name: "{{ fields.name }}" } }
  - { channel: signed, business_id: 5, auth_id: "{{ sender | sha256 }}" }
  - { channel: contact, business_id: 6, auth_id: "{{ sender | sha256 }}" }
  - { channel: listed, business_id: 7, auth_id: "{{ sender | alnum }}" }
`;

interface Sent {
  readonly channel: string;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Uint8Array;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

const channel = fc.constantFrom('chat', 'mapped', 'signed', 'contact', 'listed', 'nobody', '__proto__');

/** Whatever HTTP allows in a header's value. */
const headerValue = fc
  .array(
    fc.integer({ min: 0x20, max: 0xff }).filter((code) => code !== 0x7f),
    { maxLength: 60 },
  )
  .map((codes) => String.fromCharCode(...codes));

const mediaType = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('application/json', 'application/x-www-form-urlencoded') },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      'application/json; charset=utf-16le',
      'application/json; charset="latin1"',
      'application/json; charset=nonsense',
      'application/vnd.x+json',
      'multipart/form-data',
      'multipart/form-data; boundary=',
      'text/plain',
    ),
  },
  headerValue,
);

const headers = fc.record(
  {
    'Idempotency-Key': headerValue,
    'X-Request-Id': headerValue,
    traceparent: headerValue,
    Origin: fc.oneof(fc.constantFrom('null', 'https://shop.example'), headerValue),
    Referer: headerValue,
    'X-Forwarded-For': fc.oneof(fc.constantFrom('::1', 'fe80::1%eth0', '1::2::3', '203.0.113.7:80, x'), headerValue),
    'Access-Control-Request-Headers': headerValue,
    Accept: fc.oneof(fc.constant('text/html'), headerValue),
    'Sec-Fetch-Mode': fc.constantFrom('cors', 'navigate'),
    'Content-Encoding': fc.constantFrom('identity', 'gzip', 'x, y'),
  },
  { requiredKeys: [] },
);

/** Text with what trips code up: NUL, half surrogates, joiners, digits that look like phone numbers. */
const text = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: 'grapheme', maxLength: 40 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom('x', '+919820012345', '98200 12345', 'a@b.c', '', ' ', '\0', '\ud800', '{{ x }}'),
  },
);
const value = fc.oneof({ weight: 5, arbitrary: text }, fc.jsonValue(), fc.double(), fc.bigInt().map(String));

const message = fc
  .record(
    {
      sender: value,
      text: value,
      recipient: value,
      id: value,
      sent_at: value,
      name: value,
      email: value,
      phone: value,
      fields: value,
      message: value,
      comments: value,
      from: fc.record({ phone: value }),
      items: fc.array(fc.record({ text: value }), { maxLength: 2 }),
      extra: value,
    },
    { requiredKeys: ['sender', 'text', 'email', 'message', 'from', 'items'] },
  )
  .chain((known) => fc.dictionary(text, value, { maxKeys: 2 }).map((others) => ({ ...others, ...known })));
const json = fc
  .oneof(
    { weight: 5, arbitrary: message },
    { weight: 2, arbitrary: fc.record({ messages: fc.array(fc.oneof(message, fc.jsonValue()), { maxLength: 4 }) }) },
    fc.jsonValue(),
  )
  .map((data) => Buffer.from(JSON.stringify(data)));
const urlencoded = fc
  .array(fc.tuple(fc.oneof(fc.constantFrom('email', 'message', 'sender', 'text', '__proto__'), text), text), {
    maxLength: 8,
  })
  .map((pairs) => Buffer.from(pairs.map(([name, held]) => `${encode(name)}=${encode(held)}`).join('&')));
const anyBytes = fc.uint8Array({ maxLength: 300 });

function encode(part: string): string {
  return encodeURIComponent(part.toWellFormed());
}

const BOUNDARY = 'xYzZY';
const part = fc
  .tuple(
    fc.oneof(fc.constantFrom('email', 'message', 'sender', 'text', ''), text),
    fc.option(fc.oneof(fc.constantFrom('a.pdf', ''), text)),
    fc.oneof(text, headerValue),
  )
  .map(([name, file, held]) => {
    const disposition = `form-data; name="${name}"${file === null ? '' : `; filename="${file}"`}`;
    return `--${BOUNDARY}\r\nContent-Disposition: ${disposition}\r\n\r\n${held}\r\n`;
  });
const multipart = fc
  .tuple(fc.array(part, { maxLength: 5 }), fc.constantFrom(`--${BOUNDARY}--\r\n`, `--${BOUNDARY}`, '', '\r\n--'))
  .map(([parts, end]) => Buffer.from(parts.join('') + end));

/** Mostly what its type says, cut or changed here and there, so that it gets past the first check. */
const body: fc.Arbitrary<{ readonly type: string; readonly body: Uint8Array }> = fc.oneof(
  { weight: 5, arbitrary: json.map((bytes) => ({ type: 'application/json', body: bytes })) },
  { weight: 3, arbitrary: urlencoded.map((bytes) => ({ type: 'application/x-www-form-urlencoded', body: bytes })) },
  {
    weight: 3,
    arbitrary: multipart.map((bytes) => ({ type: `multipart/form-data; boundary=${BOUNDARY}`, body: bytes })),
  },
  { weight: 2, arbitrary: fc.record({ type: mediaType, body: fc.oneof(json, urlencoded, multipart, anyBytes) }) },
);
const damage = fc.option(fc.tuple(fc.nat(), fc.uint8Array({ maxLength: 4 }), fc.nat({ max: 8 })), { freq: 5 });

const sent: fc.Arbitrary<Sent> = fc.tuple(channel, headers, body, damage).map(([to, others, { type, body }, harm]) => {
  const bytes = harm === null ? Buffer.from(body) : damaged(Buffer.from(body), ...harm);
  const signature = createHmac('sha256', SECRET).update(bytes).digest('hex');
  return { channel: to, body: bytes, headers: { ...others, 'Content-Type': type, 'X-Signature': signature } };
});

function damaged(bytes: Buffer, at: number, put: Uint8Array, cut: number): Buffer {
  const place = bytes.length === 0 ? 0 : at % bytes.length;
  return Buffer.concat([bytes.subarray(0, place), put, bytes.subarray(place + cut)]);
}

/** Rejects when there is no answer in time. */
function send(bridge: Running['bridge'], agent: Agent, { channel, headers, body }: Sent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request(`${bridge.url}/webhooks/${channel}`, { method: 'POST', agent, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject);
      response.on('end', () => {
        const type = response.headers['content-type'] ?? '';
        resolve({ status: response.statusCode ?? 0, type, text: Buffer.concat(chunks).toString() });
      });
    });
    call.on('error', reject);
    call.setTimeout(ANSWER_MS, () => call.destroy(new Error(`no answer within ${ANSWER_MS} ms`)));
    call.end(body);
  });
}

function keptConnections(): Agent {
  const agent = new Agent({ keepAlive: true });
  onTestEnd(() => agent.destroy());
  return agent;
}

/** The ids of an answer by what it says became of them. */
function idsOf({ type, text }: Answer, status: string): string[] {
  if (!type.startsWith('application/json')) return [];
  const data = JSON.parse(text);
  return [data.messages ?? data].flat().flatMap((receipt) => (receipt.status === status ? [String(receipt.id)] : []));
}

/** Everything that is in the file, once nobody has it open any more. */
function stored(database: string): { readonly id: string; readonly state: string }[] {
  const file = new DatabaseSync(database);
  onTestEnd(() => file.close());
  return file.prepare('select id, state from messages').all() as { id: string; state: string }[];
}

describe('whatever is sent', () => {
  test(
    'is answered 2xx, 3xx or 4xx at once; what is accepted arrives or is a dead letter, and nothing else is stored',
    async () => {
      const { bridge, lines, database } = await startTestBridge({ routing: ROUTING });
      const agent = keptConnections();
      const accepted = new Set<string>();
      const duplicates = new Set<string>();
      let withoutId = 0;
      await fc.assert(
        fc.asyncProperty(sent, async (webhook) => {
          const answer = await send(bridge, agent, webhook);
          expect([200, 202, 303, 400, 401, 403, 404, 413, 415, 422]).toContain(answer.status);
          if (answer.status >= 400) expect(answer.type).toMatch(/^application\/problem\+json/);
          for (const id of idsOf(answer, 'accepted')) accepted.add(id);
          for (const id of idsOf(answer, 'duplicate')) duplicates.add(id);
          if (answer.status === 303 || answer.type.startsWith('text/html')) withoutId += 1;
        }),
        BUDGET,
      );

      const told = (word: string) => lines.filter(({ message }) => message === word);
      const ended = () => new Set([...told('delivered'), ...told('dead')].map(({ id }) => id));
      await until('every message has arrived or is a dead letter', () =>
        told('accepted').every(({ id }) => ended().has(id)),
      );
      await bridge.stop();
      const rows = stored(database);
      const ids = new Set(rows.map(({ id }) => id));
      expect(rows.filter(({ state }) => state === 'waiting')).toEqual([]);
      // What a robot filled in is answered like the rest, and is not stored.
      const missing = [...accepted].filter((id) => !ids.has(id));
      expect(missing.length).toBeLessThanOrEqual(told('trapped').length);
      expect([...duplicates].filter((id) => !ids.has(id))).toEqual([]);
      const unasked = rows.filter(({ id }) => !accepted.has(id));
      expect(unasked.length).toBeLessThanOrEqual(withoutId);
      expect(accepted.size).toBeGreaterThan(0);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'on a bare connection, broken off anywhere, leaves the bridge ready and stores nothing that was not whole',
    async () => {
      const { bridge, database, lines } = await startTestBridge({ routing: ROUTING });
      const { hostname, port } = new URL(bridge.url);
      const whole = Buffer.from(
        'POST /webhooks/chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n{"sender":"raw","text":"x"}',
      );
      const cut = fc.nat({ max: whole.length - 1 }).map((length) => whole.subarray(0, length));
      const bytes = fc.oneof(cut, fc.uint8Array({ maxLength: 200 }), fc.tuple(cut, anyBytes).map(Buffer.concat));
      await fc.assert(
        fc.asyncProperty(bytes, fc.constantFrom('destroy', 'end'), async (sent, ending) => {
          const answer = await new Promise<string>((resolve) => {
            const socket = connect(Number(port), hostname);
            let heard = '';
            socket.on('data', (chunk) => {
              heard += chunk.toString('latin1');
            });
            socket.on('error', () => undefined).on('close', () => resolve(heard));
            socket.setTimeout(ANSWER_MS, () => resolve('no answer'));
            socket.write(sent, () => (ending === 'end' ? socket.end() : socket.destroy()));
          });
          expect(answer).not.toMatch(/^HTTP\/1\.1 5|^no answer/);
        }),
        BUDGET,
      );
      const ready = await fetch(`${bridge.url}/readyz`);
      expect(ready.status).toBe(200);
      const accepted = lines.filter(({ message }) => message === 'accepted').length;
      await bridge.stop();
      expect(stored(database)).toHaveLength(accepted);
    },
    TEST_TIMEOUT_MS,
  );
});
