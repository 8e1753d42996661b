import { describe, expect, test } from '@jest/globals';
import { ACCOUNTS, CHAT, type Running, startTestBridge } from './support/bridge.ts';
import { temporaryFolder, until } from './support/fixtures.ts';

const STOP = CHAT.replace('business_id:', 'on_unknown: stop, business_id:');
const PICKY = CHAT.replace('channel: chat,', 'channel: chat, when: { text: { prefix: ok } },');

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const VALUE = '(?:[+-]?\\d+(?:\\.\\d+)?(?:e[+-]?\\d+)?|[+-]Inf|Nan)';
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(${LABEL}(?:,${LABEL})*)?\\})? (${VALUE})$`, 'i');
const COMMENT = new RegExp(`^# (?:HELP ${NAME} .+|TYPE ${NAME} (?:counter|gauge|histogram|summary|untyped))$`);

/** What Prometheus would read: each series with its value. Throws where it would not. */
function parse(text: string): Map<string, number> {
  expect(text.endsWith('\n')).toBe(true);
  const series = new Map<string, number>();
  for (const line of text.split('\n').filter((line) => line !== '' && !COMMENT.test(line))) {
    const [, name, labels = '', value] = SAMPLE.exec(line) ?? [];
    if (name === undefined) throw new Error(`not of the format: ${line}`);
    const key = labels === '' ? name : `${name}{${labels}}`;
    if (series.has(key)) throw new Error(`twice: ${key}`);
    series.set(key, Number(value));
  }
  return series;
}

async function scrape({ admin }: Running): Promise<Map<string, number>> {
  const answer = await admin.get('/metrics');
  expect(answer.status).toBe(200);
  expect(answer.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4; charset=utf-8$/);
  return parse(answer.text);
}

/** Ours alone, without what only takes its time. */
function counts(series: ReadonlyMap<string, number>): Record<string, number> {
  const ours = [...series].filter(([name]) => name.startsWith('haptik_bridge_') && !/seconds/.test(name));
  return Object.fromEntries(ours.map(([name, value]) => [name.replace('haptik_bridge_', ''), value]));
}

const post = ({ request }: Running, body: object) => request.post('/webhooks/chat').send(body);

async function shows(running: Running, name: string, value: number): Promise<void> {
  await until(`${name} is ${value}`, async () => counts(await scrape(running))[name] === value);
}

const IDLE = {
  'waiting{account="main"}': 0,
  'dead{account="main"}': 0,
  'dead{account=""}': 0,
  'unknown{account="main"}': 0,
  'stopped_conversations{account="main"}': 0,
  'held{account="main"}': 0,
  mended_total: 0,
  routing_behind: 0,
  routing_refused: 0,
};

describe('the metrics', () => {
  test('are in the format of Prometheus, with those of the process', async () => {
    const running = await startTestBridge({ routing: CHAT });
    const series = await scrape(running);
    expect(counts(series)).toEqual(IDLE);
    expect([...series.keys()]).toEqual(
      expect.arrayContaining(['process_cpu_seconds_total', 'nodejs_eventloop_lag_seconds']),
    );
  });

  test('count what is accepted, repeated, refused and delivered, and how long that took', async () => {
    const running = await startTestBridge({ routing: CHAT });
    await post(running, { sender: 'u', text: 'a', id: 1 });
    await post(running, { sender: 'u', text: 'a', id: 1 });
    await post(running, {
      messages: [
        { sender: 'v', text: 'b' },
        { sender: 'v', text: 'c' },
      ],
    });
    await post(running, { sender: 'u' });
    await running.request.post('/webhooks/nope').send({});
    await running.request.get('/webhooks/chat');
    await running.admin.get('/api/nothing');
    await shows(running, 'settled_total{account="main",state="delivered"}', 3);
    const series = await scrape(running);
    expect(counts(series)).toEqual({
      ...IDLE,
      'accepted_total{channel="chat"}': 3,
      'duplicates_total{channel="chat"}': 1,
      'refused_total{status="422"}': 1,
      'refused_total{status="404"}': 1,
      'refused_total{status="405"}': 1,
      'attempts_total{account="main",outcome="delivered"}': 3,
      'settled_total{account="main",state="delivered"}': 3,
    });
    for (const name of ['attempt_seconds', 'delivery_seconds']) {
      expect(series.get(`haptik_bridge_${name}_count{account="main"}`)).toBe(3);
      expect(series.get(`haptik_bridge_${name}_bucket{le="+Inf",account="main"}`)).toBe(3);
      expect(series.get(`haptik_bridge_${name}_sum{account="main"}`)).toBeGreaterThan(0);
      expect(series.get(`haptik_bridge_${name}_sum{account="main"}`)).toBeLessThan(30);
    }
  });

  test('count what waits for a person, until a person has dealt with it', async () => {
    const running = await startTestBridge({ routing: STOP });
    const { admin, simulator } = running;
    simulator.addFault({ count: 1, status: 400 });
    const { body: dead } = await post(running, { sender: 'a', text: 't' });
    await shows(running, 'dead{account="main"}', 1);
    simulator.addFault({ count: 1, path: 'message', action: 'garbage' });
    const { body: unknown } = await post(running, { sender: 'b', text: 't' });
    await shows(running, 'unknown{account="main"}', 1);
    await post(running, { sender: 'b', text: 'behind' });
    expect(counts(await scrape(running))).toEqual({
      ...IDLE,
      'accepted_total{channel="chat"}': 3,
      'attempts_total{account="main",outcome="dead"}': 1,
      'attempts_total{account="main",outcome="unknown"}': 1,
      'settled_total{account="main",state="dead"}': 1,
      'settled_total{account="main",state="unknown"}': 1,
      'dead{account="main"}': 1,
      'unknown{account="main"}': 1,
      'stopped_conversations{account="main"}': 1,
      'waiting{account="main"}': 1,
    });
    expect((await scrape(running)).get('haptik_bridge_oldest_waiting_seconds{account="main"}')).toBeGreaterThan(0);
    await until('it grows old', async () => ((await scrape(running)).get(STOPPED_SECONDS) ?? 0) > 0.05);
    await admin.post(`/api/messages/${dead.id}/discard`).send({ reason: 'x' });
    await admin.post(`/api/messages/${unknown.id}/confirm`).send({});
    await shows(running, 'settled_total{account="main",state="delivered"}', 1);
    expect(counts(await scrape(running))).toMatchObject(IDLE);
    expect((await scrape(running)).get(STOPPED_SECONDS)).toBe(0);
  });

  test('tell dead letters of no account apart', async () => {
    const running = await startTestBridge({ routing: PICKY });
    await post(running, { sender: 'u', text: 'no route' });
    expect(counts(await scrape(running))).toEqual({
      ...IDLE,
      'accepted_total{channel="chat"}': 1,
      'dead{account=""}': 1,
    });
    await running.admin.post('/api/discard').send({ filter: {}, reason: 'x' });
    await shows(running, 'dead{account=""}', 0);
  });

  test('forget an account that the routing file has no longer, once nothing of it is stored', async () => {
    const folder = await temporaryFolder();
    const accounts = ACCOUNTS.replace('main', 'old');
    const before = await startTestBridge({ accounts, routing: CHAT, folder });
    before.simulator.addFault({ count: 1, status: 400 });
    const { body } = await post(before, { sender: 'u', text: 't' });
    await shows(before, 'dead{account="old"}', 1);
    await before.bridge.stop();
    const after = await startTestBridge({ routing: CHAT, folder });
    expect(counts(await scrape(after))).toMatchObject({ 'dead{account="old"}': 1, 'dead{account="main"}': 0 });
    await after.admin.post(`/api/messages/${body.id}/discard`).send({ reason: 'x' });
    expect(counts(await scrape(after))).toEqual(IDLE);
  });

  test('tell that an account is held, and what waits in it', async () => {
    const running = await startTestBridge({ routing: CHAT });
    await running.admin.post('/api/accounts/main/pause').send({});
    await post(running, {
      messages: [
        { sender: 'u', text: 'a' },
        { sender: 'v', text: 'b' },
      ],
    });
    expect(counts(await scrape(running))).toMatchObject({ 'held{account="main"}': 1, 'waiting{account="main"}': 2 });
    await running.admin.post('/api/accounts/main/resume').send({});
    await shows(running, 'waiting{account="main"}', 0);
    expect(counts(await scrape(running))).toMatchObject({ 'held{account="main"}': 0 });
  });

  test('do not grow by what strangers send, and hold none of it', async () => {
    const running = await startTestBridge({ routing: PICKY });
    const { request, admin } = running;
    running.simulator.addFault({ rate: 0.3, status: 400, body: 'secret answer' });
    const send = (n: number | string) =>
      Promise.all([
        request
          .post('/webhooks/chat')
          .set({
            'Idempotency-Key': `secret-key-${n}`,
            'User-Agent': `secret-agent-${n}`,
            'X-Request-Id': `secret-id-${n}`,
          })
          .send({ sender: `secretsender${n}`, text: n === 0 ? 'secret text' : `ok secret text ${n}` }),
        request.post('/webhooks/chat').send({ sender: `secretsender${n}` }),
        request.post(`/webhooks/secret-channel-${n}?secret=${n}`).send({}),
        request.get(`/secret/path/${n}`),
        admin.get(`/api/messages?sender=secretsender${n}`),
      ]);
    for (let n = 0; n < 20; n += 1) await send(n);
    const settled = async () => counts(await scrape(running))['waiting{account="main"}'] === 0;
    await until('all are settled', settled);
    const before = await scrape(running);
    for (let n = 20; n < 200; n += 1) await send(n);
    await until('all are settled', settled);
    const after = await scrape(running);
    const ours = (series: ReadonlyMap<string, number>) => [...series.keys()].filter((name) => /^haptik_/.test(name));
    expect(ours(after).sort()).toEqual(ours(before).sort());
    expect(after.size).toBeLessThan(500);
    expect(after.get('haptik_bridge_accepted_total{channel="chat"}')).toBe(200);
    expect([...after.keys()].join()).not.toMatch(/secret/i);
  });
});

const STOPPED_SECONDS = 'haptik_bridge_stopped_oldest_seconds{account="main"}';
