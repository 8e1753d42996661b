import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { parse } from 'yaml';
import { explainPayload } from '../src/cli/explain.ts';
import { type RecordedRequest, Simulator } from '../src/haptik/simulator.ts';
import { anyTable, FRESH, type Webhook } from './support/any-table.ts';
import { startSimulator, startTestBridge } from './support/bridge.ts';
import { onTestEnd, temporaryFolder, until } from './support/fixtures.ts';

/** As `explain` tells it. */
interface Told {
  readonly message: { readonly [name: string]: unknown };
  readonly routes: readonly {
    readonly route: string;
    readonly conditions: readonly { readonly subject: string; readonly holds: boolean }[];
  }[];
  readonly route: string | null;
  readonly reason?: string;
  readonly detail?: string;
  readonly account?: string;
  readonly business_id?: number;
  readonly auth_id?: string;
  readonly request: { readonly url: string; readonly client_id: string; readonly body: object } | null;
}

async function start() {
  const folder = await temporaryFolder();
  const haptik = await startSimulator();
  const other = new Simulator({ clientId: 'other-client', token: 'other-token', now: Date.now, random: Math.random });
  const otherUrl = await other.listen();
  onTestEnd(() => other.close());
  const routing = '\nchannels: { a: { verify: none } }\nroutes: [{ channel: a, business_id: 1, auth_id: a }]\n';
  const env = { HAPTIK_BASE_URL: haptik.url, OTHER: otherUrl, ROUTING_FILE: join(folder, 'routing.yaml') };
  const bridge = await startTestBridge({ routing, folder, haptik, env: { ...env, LOG_LEVEL: 'error' } });
  const simulators = [
    { url: haptik.url, simulator: haptik.simulator },
    { url: otherUrl, simulator: other },
  ];
  return { ...bridge, folder, env, simulators };
}

type Started = Awaited<ReturnType<typeof start>>;

async function told({ admin }: Started, { channel, type, body }: Webhook) {
  const question = { channel, payload: body, headers: { 'Content-Type': type } };
  return admin.post('/api/routing/explain').send(question);
}

/** What the command prints, of a file that holds the body. */
async function toldByCommand({ folder, env }: Started, { channel, type, body }: Webhook): Promise<unknown> {
  const file = join(folder, 'payload');
  await writeFile(file, body);
  const print = jest.spyOn(console, 'log').mockImplementation(() => undefined);
  try {
    await explainPayload(channel, file, { header: [`Content-Type: ${type}`], json: true }, env);
    return JSON.parse(String(print.mock.calls[0]?.[0]));
  } finally {
    print.mockRestore();
  }
}

/** All calls for messages, each as the whole of what went over the wire. */
function callsOf({ simulators }: Started): readonly string[] {
  return simulators.flatMap(({ url, simulator }) =>
    simulator.requests.filter(({ path }) => path.includes('message')).map((request) => wire(url, request)),
  );
}

function wire(base: string, { path, headers, body }: RecordedRequest): string {
  return `${base}${path} ${headers['client-id']} ${JSON.stringify(body)}`;
}

/** What the file says of one condition, read as simply as can be. */
function holds(wanted: unknown, value: unknown): boolean {
  if (Array.isArray(value)) return value.some((item) => holds(wanted, item));
  if (value === undefined || value === null || typeof value === 'object') return false;
  const text = String(value);
  if (Array.isArray(wanted)) return wanted.some((one) => String(one) === text);
  if (typeof wanted !== 'object' || wanted === null) return String(wanted) === text;
  if ('prefix' in wanted) return text.startsWith(String(wanted.prefix));
  const pattern = 'matches' in wanted ? String(wanted.matches) : '';
  return new RegExp(pattern.replace('(?i)', ''), pattern.startsWith('(?i)') ? 'i' : '').test(text);
}

interface File {
  readonly routes: readonly { readonly channel: string; readonly when?: Readonly<Record<string, unknown>> }[];
}

/** Each route of the channel is told, with those conditions that the file gives it, and whether they hold. */
function checkRoutes(routing: string, channel: string, { message, routes, route, reason }: Told): void {
  const { routes: written }: File = parse(routing);
  const own = [...written.entries()].filter(([, { channel: of }]) => of === channel);
  expect(routes.map(({ route: name }) => name)).toEqual(own.map(([index]) => `routes[${index}]`));
  for (const [position, [, { when = {} }]] of own.entries()) {
    const conditions = routes[position]?.conditions ?? [];
    expect(conditions.map(({ subject }) => subject)).toEqual(Object.keys(when));
    for (const { subject, holds: isTold } of conditions) {
      // Senders and recipients are compared in another form than the one they are written in.
      if (subject === 'sender' || subject === 'recipient') continue;
      const fields = message.fields as Readonly<Record<string, unknown>>;
      const value = subject === 'text' ? message.text : fields[subject.replace('fields.', '')];
      expect([subject, value, isTold]).toEqual([subject, value, holds(when[subject], value)]);
    }
  }
  const first = routes.find(({ conditions }) => conditions.every(({ holds: does }) => does))?.route ?? null;
  expect(route).toBe(message.sender === '' ? null : first);
  if (first === null && message.sender !== '') expect(reason).toBe('unroutable');
}

test('what explain says of any webhook, by any table, is what then becomes of it', async () => {
  const started = await start();
  const { admin, folder, request, simulators } = started;
  const seen = new Set<string>();
  let last = 100_000;
  await fc.assert(
    fc.asyncProperty(anyTable, async ({ routing, senders, webhooks }) => {
      await writeFile(join(folder, 'senders.csv'), senders);
      await writeFile(join(folder, 'routing.yaml'), routing);
      const reloaded = await admin.post('/api/routing/reload').send({});
      expect(reloaded).toMatchObject({ status: 200 });
      for (const { simulator } of simulators) simulator.clear();

      const all: (Told & { readonly channel: string })[] = [];
      for (const [index, given] of webhooks.entries()) {
        const webhook = { ...given, body: given.body.replaceAll(FRESH, () => String(++last)) };
        const { status, body } = await told(started, webhook);
        const sent = await request
          .post(`/webhooks/${webhook.channel}`)
          .set('Content-Type', webhook.type)
          .send(webhook.body);
        expect([sent.status < 300, webhook.body]).toEqual([status === 200, webhook.body]);
        if (status !== 200) {
          expect(body.errors[0].message).toContain(`would be answered ${sent.status}`);
          continue;
        }
        expect(body.version).toBe(reloaded.body.version);
        if (index === 0) expect(await toldByCommand(started, webhook)).toEqual(body);
        for (const one of body.messages) all.push({ ...one, channel: webhook.channel });
      }
      await until('all are settled', async () => {
        const { body } = await admin.get('/api/messages?state=waiting&limit=1');
        return body.items.length === 0;
      });

      const { body: listed } = await admin.get(`/api/messages?limit=${all.length || 1}`);
      const expected: string[] = [];
      for (const [index, one] of all.entries()) {
        checkRoutes(routing, one.channel, one);
        const stored = listed.items.at(all.length - 1 - index);
        expect(stored).toMatchObject({
          channel: one.channel,
          sender: one.message.sender,
          provider_id: one.message.id ?? null,
          route: one.route,
          table_version: reloaded.body.version,
          account: one.account ?? null,
          business_id: one.business_id ?? null,
          auth_id: one.auth_id ?? null,
        });
        const { body: details } = await admin.get(`/api/messages/${stored.id}`);
        const outcome =
          one.reason ?? (/^[A-Za-z0-9]+$/.test(String(one.auth_id)) ? 'delivered' : 'refused by the far end');
        seen.add(outcome);
        if (one.request === null) {
          expect(stored).toMatchObject({ state: 'dead', reason: one.reason, attempts: 0 });
          expect(details.detail).toBe(one.detail);
          continue;
        }
        const { url, client_id, body } = one.request;
        expect(stored.state).toBe(outcome === 'delivered' ? 'delivered' : 'dead');
        const call = `${url} ${client_id} ${JSON.stringify(body)}`;
        expect(callsOf(started)).toContain(call);
        expected.push(call);
        if (outcome !== 'delivered') continue;
        const [far] = simulators.filter(({ url: base }) => url.startsWith(base));
        const logged = far?.simulator.messages.find(({ message_id }) => String(message_id) === stored.message_id);
        const { auth_id, message_body, message_type, business_id } = logged ?? {};
        expect(JSON.stringify({ user: { auth_id }, message_body, message_type, business_id })).toBe(
          JSON.stringify(body),
        );
      }
      expect([...new Set(callsOf(started))].sort()).toEqual([...new Set(expected)].sort());
    }),
    { numRuns: 30, interruptAfterTimeLimit: 60_000 },
  );
  // What never comes about is not shown.
  for (const outcome of ['delivered', 'unroutable', 'no_auth_id', 'bad_auth_id', 'empty']) {
    expect(seen).toContain(outcome);
  }
}, 120_000);
