import { createSign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import nodeFetch, { Response } from 'node-fetch';
import { startTestBridge } from '../support/bridge.ts';
import { ManualClock, turns, until } from '../support/fixtures.ts';
import { ROOT } from '../support/process.ts';

const FOLDER = join(ROOT, 'test/fixtures/sns');
/** Of a pair made for these tests. */
const KEY = readFileSync(join(FOLDER, 'key.pem'), 'utf8');
const CERTIFICATE = readFileSync(join(FOLDER, 'certificate.pem'), 'utf8');
const TOPIC = 'arn:aws:sns:ap-south-1:123456789012:inbound-sms';
const AMAZON = 'https://sns.ap-south-1.amazonaws.com';

/** What Amazon would send: the fields that are signed, in their order, and the rest. */
function signed(fields: Record<string, string>, certificate = `${AMAZON}/SimpleNotificationService-1.pem`): string {
  const signer = createSign('RSA-SHA256');
  for (const [name, value] of Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1))) {
    signer.update(`${name}\n${value}\n`);
  }
  const Signature = signer.sign(KEY, 'base64');
  return JSON.stringify({ ...fields, SignatureVersion: '2', Signature, SigningCertURL: certificate });
}

const COMMON = { MessageId: 'm-1', Timestamp: '2026-11-22T12:29:58.423Z', TopicArn: TOPIC };

function notification(text: string, certificate?: string): string {
  const sms = { originationNumber: '+919999900001', destinationNumber: '+12125550101', messageBody: text };
  const Message = JSON.stringify({ ...sms, inboundMessageId: text });
  return signed({ ...COMMON, Type: 'Notification', Message }, certificate);
}

function confirmation(url = `${AMAZON}/?Action=ConfirmSubscription&Token=2336412f`): string {
  return signed({
    ...COMMON,
    Type: 'SubscriptionConfirmation',
    Message: 'You have …',
    Token: '2336412f',
    SubscribeURL: url,
  });
}

/** A bridge whose calls to Amazon are answered by `answers` in turn, the last of them for good; those to Haptik go out. */
async function start(...answers: readonly (() => Promise<Response> | Response)[]) {
  return startWith(`{ topic_arn: "${TOPIC}" }`, ...answers);
}

async function startWith(verify: string, ...answers: readonly (() => Promise<Response> | Response)[]) {
  const clock = new ManualClock();
  const asked: string[] = [];
  const fetch: typeof nodeFetch = async (url, init) => {
    if (/^http:\/\/127\.0\.0\.1/.test(String(url))) return nodeFetch(url, init);
    asked.push(String(url));
    return answers[Math.min(asked.length, answers.length) - 1]?.() ?? Response.error();
  };
  const running = await startTestBridge({
    routing: `
channels:
  sms: { provider: aws-sns, verify: ${verify} }
routes:
  - { channel: sms, business_id: 1, auth_id: "{{ sender | digits }}" }
`,
    overrides: { fetch, clock },
  });
  const send = async (body: string) => {
    const answer = await globalThis.fetch(`${running.bridge.url}/webhooks/sms`, {
      method: 'POST',
      headers: { 'content-type': 'text/plain; charset=UTF-8' },
      body,
    });
    return answer.status;
  };
  return { ...running, asked, send, clock };
}

const pem = () => new Response(CERTIFICATE);
const unreachable = () => Promise.reject(new Error('no way out'));

describe('the certificate of Amazon SNS', () => {
  test('is fetched once, also for messages that come at once', async () => {
    const { asked, send } = await start(pem);
    expect(await Promise.all(['one', 'two', 'three'].map((text) => send(notification(text))))).toEqual([200, 200, 200]);
    expect(await send(notification('four'))).toBe(200);
    expect(asked).toEqual([`${AMAZON}/SimpleNotificationService-1.pem`]);
  });

  test('that cannot be had makes it 503, and it is asked for again with the next message', async () => {
    const { asked, send, admin } = await start(
      unreachable,
      () => new Response('', { status: 404 }),
      () => new Response('no certificate'),
      () => new Response(`<Attributes>${CERTIFICATE}</Attributes>`),
      pem,
    );
    for (const status of [503, 503, 503, 503, 200]) expect(await send(notification('hello'))).toBe(status);
    expect(asked).toHaveLength(5);
    expect((await admin.get('/api/messages')).body.items).toHaveLength(1);
  });

  test.each([
    'https://sns.ap-south-1.amazonaws.com.evil.example/x.pem',
    'https://evil.example/sns.ap-south-1.amazonaws.com/x.pem',
    'https://snsxap-south-1.amazonaws.com/x.pem',
    'https://sns.ap-south-1.amazonaws.com:8443/x.pem',
    'https://me@sns.ap-south-1.amazonaws.com/x.pem',
    'https://s3.amazonaws.com/x.pem',
    'https://sns.s3-us-west-2.amazonaws.com/x.pem',
    'https://sns.us-east-1.amazonaws.com/x.pem',
    'https://sns.ap-south-1.amazonaws.com/x.pem?Action=GetEndpointAttributes',
    'https://sns.ap-south-1.amazonaws.com/x.pem#y',
    'https://:pw@sns.ap-south-1.amazonaws.com/x.pem',
    'https://sns.ap-south-1.amazonaws.com/a/x.pem',
    'http://sns.ap-south-1.amazonaws.com/x.pem',
    'https://sns.ap-south-1.amazonaws.com/x.txt',
    'https://sns.ap-south-1.amazonaws.com/?x.pem',
    'file:///x.pem',
    '',
  ])('is not asked for at "%s"', async (address) => {
    const { asked, send } = await start(pem);
    expect(await send(notification('hello', address))).toBe(401);
    expect(asked).toEqual([]);
  });

  test('is asked for at a few places at a time, whoever wishes', async () => {
    const waiting: (() => void)[] = [];
    const { asked, send } = await start(() => new Promise((resolve) => waiting.push(() => resolve(pem()))));
    const sent = Array.from({ length: 10 }, (_, index) => send(notification('hello', `${AMAZON}/${index}.pem`)));
    await until('all have come', () => asked.length === 4);
    const answered = Promise.all(sent);
    await turns();
    for (const answer of waiting) answer();
    expect((await answered).filter((status) => status === 503)).toHaveLength(6);
  });
});

describe('a subscription to a topic', () => {
  const done = () => new Response('<ConfirmSubscriptionResponse/>');
  const failed = () => new Response('', { status: 500 });

  test('is answered, and confirmed behind it, as often as it takes', async () => {
    const { asked, send, clock, lines } = await start(pem, failed, unreachable, done);
    expect(await send(confirmation())).toBe(200);
    for (const [calls, pause] of [
      [2, 2_000],
      [3, 10_000],
    ] as const) {
      await until('it has been tried', () => asked.length === calls);
      await turns();
      clock.advance(pause);
    }
    await until('it is confirmed', () => lines.some(({ message }) => message === 'subscription confirmed'));
    expect(asked.slice(1)).toEqual(
      Array.from({ length: 3 }, () => `${AMAZON}/?Action=ConfirmSubscription&Token=2336412f`),
    );
  });

  test('that cannot be confirmed is an error in the log, without the token', async () => {
    const { asked, send, clock, lines } = await start(pem, failed);
    expect(await send(confirmation())).toBe(200);
    for (const [calls, pause] of [
      [2, 2_000],
      [3, 10_000],
      [4, 60_000],
    ] as const) {
      await until('it has been tried', () => asked.length === calls);
      await turns();
      clock.advance(pause);
    }
    await until('it is given up', () => lines.some(({ level }) => level === 'error'));
    expect(lines).toContainEqual(expect.objectContaining({ message: expect.stringMatching(/could not be confirmed/) }));
    expect(JSON.stringify(lines)).not.toContain('2336412f');
  });

  test.each(['none', `{ mode: report, topic_arn: "${TOPIC}-2" }`])(
    'is not confirmed for who is not verified: %s',
    async (verify) => {
      const { asked, send, lines } = await startWith(verify, pem, done);
      expect(await send(confirmation())).toBe(200);
      await turns();
      expect(asked.filter((url) => /Confirm/.test(url))).toEqual([]);
      expect(lines.filter(({ message }) => /^a subscription is not confirmed/.test(message))).toHaveLength(1);
    },
  );

  test.each([
    'https://evil.example/?Action=ConfirmSubscription',
    'http://sns.ap-south-1.amazonaws.com/',
    'https://127.0.0.1/',
  ])('is not confirmed at "%s", also where that is signed', async (url) => {
    const { asked, send } = await start(pem, done);
    expect(await send(confirmation(url))).toBe(200);
    await turns();
    expect(asked).toHaveLength(1);
  });
});
