import { createHash, createHmac } from 'node:crypto';
import { parse, stringify } from 'node:querystring';
import { validateSignature as validateLine } from '@line/bot-sdk';
import { sign as signGithub, verify as verifyGithub } from '@octokit/webhooks-methods';
import { isValidSlackRequest } from '@slack/bolt';
import { verifySignature as verifyVonage } from '@vonage/jwt';
import fc from 'fast-check';
import plivo from 'plivo';
import { Webhook } from 'standardwebhooks';
import twilio from 'twilio';
import type { Outgoing } from '../support/send.ts';
import { extras, messageText, type Pairs, withoutNul, writeJson, writePairs } from './sdk-texts.ts';

/** A signed request, and what is to arrive of it. */
export interface Signed extends Outgoing {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly text: string;
}

export interface Given {
  /** PUBLIC_URL. */
  readonly base: string;
  /** Of the message, as the provider counts. */
  readonly id: string;
  /** In seconds. */
  readonly now: number;
}

export interface Scheme {
  /** The channel, in YAML. */
  readonly channel: string;
  readonly signed: fc.Arbitrary<(given: Given) => Signed | Promise<Signed>>;
  /** What the provider's own library says of a request. */
  readonly accepts: (request: Outgoing & Pick<Signed, 'headers' | 'body'>, base: string) => boolean | Promise<boolean>;
  /** All of a request that the signature stands for: its query, its body, the names of headers. */
  readonly covers: readonly string[];
  readonly signsUrl?: true;
}

const PATH = '/webhooks/signed';
const SECRET = 'a secret of 32 characters, no less';
const FORM = 'application/x-www-form-urlencoded';
const JSON_TYPE = 'application/json';

const hex = (text: Buffer) => createHash('sha256').update(text).digest('hex');
const hmac = (text: string | Buffer, encoding: 'hex' | 'base64' | 'base64url') =>
  createHmac('sha256', SECRET).update(text).digest(encoding);
const withQuery = (query: string) => (query === '' ? PATH : `${PATH}?${query}`);

/** As the libraries want them: a name that comes twice has a list. */
function params(form: Buffer | string): Record<string, string | string[]> {
  const all = new URLSearchParams(form.toString());
  return Object.fromEntries(
    [...new Set(all.keys())].map((name) => {
      const [first = '', ...more] = all.getAll(name);
      return [name, more.length > 0 ? [first, ...more] : first];
    }),
  );
}

const parts = fc.record({
  text: messageText,
  others: extras,
  query: extras,
  writeForm: writePairs,
  writeQuery: writePairs,
  writeJson,
});

const twilioMessage = (id: string, text: string): Pairs => [
  ['MessageSid', id],
  ['From', '+14135550112'],
  ['To', '+12025550143'],
  ['SmsStatus', 'received'],
  ['NumMedia', '0'],
  ['Body', text],
  ['ToCity', ''],
];

/** As the console has the URL, and as Twilio has been seen to sign it. */
const twilioUrl = fc.constantFrom<((url: string) => string)[]>(
  (url) => url,
  (url) => url.replace(/^(https?:\/\/[^/:]+):\d+/, '$1'),
  (url) => url.replace(/^https:\/\/([^/:]+)\//, 'https://$1:443/').replace(/^http:\/\/([^/:]+)\//, 'http://$1:80/'),
  (url) => new URL(url).href,
  (url) => new URL(url).href.replace(/\?(.+)$/, (_, query: string) => `?${stringify(parse(query))}`),
);

const twilioScheme: Scheme = {
  channel: `{ provider: twilio, verify: { secret: "${SECRET}" } }`,
  signsUrl: true,
  covers: ['query', 'body', 'X-Twilio-Signature'],
  signed: fc
    .record({ parts, as: twilioUrl, kind: fc.constantFrom('form', 'get', 'json') })
    .map(({ parts: { text, others, query, writeForm, writeQuery, writeJson }, as, kind }) => ({ base, id }) => {
      const message = [...others, ...twilioMessage(id, text)];
      const signature = (path: string, form: string) =>
        twilio.getExpectedTwilioSignature(SECRET, as(base + path), params(form));
      switch (kind) {
        case 'form': {
          const path = withQuery(writeQuery(query));
          const body = writeForm(message);
          const headers = { 'Content-Type': `${FORM}; charset=UTF-8`, 'X-Twilio-Signature': signature(path, body) };
          return { method: 'POST', path, headers, body: Buffer.from(body), text: withoutNul(text) };
        }
        case 'get': {
          const path = withQuery(writeQuery([...query, ...message]));
          const headers = { 'X-Twilio-Signature': signature(path, '') };
          return { method: 'GET', path, headers, body: Buffer.alloc(0), text: withoutNul(text) };
        }
        default: {
          const data = { messageSid: id, from: '+14135550112', to: '+12025550143', body: text, numMedia: 0 };
          const type = 'com.twilio.messaging.inbound-message.received';
          const body = writeJson([{ specversion: '1.0', type, source: 'x', id: `EZ${id}`, data }]);
          const path = withQuery(writeQuery([...query, ['bodySHA256', twilio.getExpectedBodyHash(body.toString())]]));
          const headers = { 'Content-Type': JSON_TYPE, 'X-Twilio-Signature': signature(path, '') };
          return { method: 'POST', path, headers, body, text: withoutNul(text) };
        }
      }
    }),
  accepts: ({ path, headers, body }, base) => {
    const signature = headers['X-Twilio-Signature'] ?? '';
    return headers['Content-Type'] === JSON_TYPE
      ? twilio.validateRequestWithBody(SECRET, signature, base + path, body.toString())
      : twilio.validateRequest(SECRET, signature, base + path, params(body));
  },
};

const plivoForm = (id: string, text: string): Pairs => [
  ['From', '14135550112'],
  ['To', '12025550143'],
  ['Text', text],
  ['Type', 'sms'],
  ['MessageUUID', id],
  ['Units', '1'],
  ['MessageIntent', ''],
];
const nonce = fc.stringMatching(/^[A-Za-z0-9]{1,40}$/);
/** Signed with the token of the account, of the main account above it, or both. */
const plivoFamilies = fc.constantFrom<string[][]>(['V3'], ['Ma-V3'], ['V3', 'Ma-V3']);

const plivoV3: Scheme = {
  channel: `{ provider: plivo, verify: { secret: "${SECRET}" } }`,
  signsUrl: true,
  covers: ['query', 'body', 'X-Plivo-Signature-V3', 'X-Plivo-Signature-Ma-V3', 'X-Plivo-Signature-V3-Nonce'],
  signed: fc
    .record({ parts, nonce, families: plivoFamilies })
    .map(({ parts: { text, others, query: all, writeForm, writeQuery }, nonce, families }) => ({ base, id }) => {
      // The library asks a query's parameters whether they are an Array, and under Jest those that Node makes are not.
      const query: Pairs = [...new Map(all)];
      const path = withQuery(writeQuery(query));
      const body = writeForm([...others, ...plivoForm(id, text)]);
      const ordered = (pairs: Iterable<[string, string]>, between: string) =>
        [...pairs]
          .sort(([a, x], [b, y]) => (a === b ? (x < y ? -1 : 1) : a < b ? -1 : 1))
          .map((pair) => pair.join(between));
      const sortedQuery = ordered(new URLSearchParams(query.map(([...pair]) => pair)), '=').join('&');
      const sortedForm = ordered(new URLSearchParams(body), '').join('');
      const point = sortedQuery === '' ? '' : '.';
      const signature = hmac(`${base}${PATH}?${sortedQuery}${point}${sortedForm}.${nonce}`, 'base64');
      const signatures = families.map((family) => [`X-Plivo-Signature-${family}`, signature]);
      const headers = { 'Content-Type': FORM, 'X-Plivo-Signature-V3-Nonce': nonce, ...Object.fromEntries(signatures) };
      return { method: 'POST', path, headers, body: Buffer.from(body), text: withoutNul(text) };
    }),
  accepts: ({ path, headers, body }, base) =>
    ['X-Plivo-Signature-V3', 'X-Plivo-Signature-Ma-V3'].some((name) => {
      const [signature, once] = [headers[name] ?? '', headers['X-Plivo-Signature-V3-Nonce'] ?? ''];
      return plivo.validateV3Signature('POST', base + path, once, SECRET, signature, params(body)) === true;
    }),
};

const plivoV2: Scheme = {
  channel: plivoV3.channel,
  signsUrl: true,
  // Neither query nor body.
  covers: ['X-Plivo-Signature-V2', 'X-Plivo-Signature-V2-Nonce'],
  signed: fc
    .record({ parts, nonce })
    .map(({ parts: { text, others, query, writeForm, writeQuery }, nonce }) => ({ base, id }) => ({
      method: 'POST',
      path: withQuery(writeQuery(query)),
      headers: {
        'Content-Type': FORM,
        'X-Plivo-Signature-V2': hmac(base + PATH + nonce, 'base64'),
        'X-Plivo-Signature-V2-Nonce': nonce,
      },
      body: Buffer.from(writeForm([...others, ...plivoForm(id, text)])),
      text: withoutNul(text),
    })),
  accepts: ({ path, headers }, base) => {
    const [signature, once] = [headers['X-Plivo-Signature-V2'] ?? '', headers['X-Plivo-Signature-V2-Nonce'] ?? ''];
    return plivo.validateSignature(base + path, once, signature, SECRET) === true;
  },
};

const vonageScheme: Scheme = {
  channel: `{ provider: vonage, verify: { secret: "${SECRET}" } }`,
  covers: ['body', 'Authorization'],
  signed: parts.map(({ text, others, writeJson }) => ({ id, now }) => {
    const body = writeJson({
      to: '447700900000',
      from: '447700900001',
      channel: 'sms',
      message_uuid: id,
      timestamp: new Date(now * 1_000).toISOString(),
      message_type: 'text',
      text,
      others,
    });
    const claims = { iss: 'Vonage', api_key: 'a1b2c3d4', payload_hash: hex(body), jti: id, iat: now };
    const token = [{ alg: 'HS256', typ: 'JWT' }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const headers = { 'Content-Type': JSON_TYPE, Authorization: `Bearer ${token}.${hmac(token, 'base64url')}` };
    return { method: 'POST', path: PATH, headers, body, text: withoutNul(text) };
  }),
  // The library leaves it to us to compare the body's digest.
  accepts: ({ headers, body }) => {
    const token = /^Bearer (\S+)$/i.exec(headers.Authorization ?? '')?.[1] ?? '';
    if (!isTrue(() => verifyVonage(token, SECRET))) return false;
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    return claims.payload_hash === hex(body);
  },
};

const slackScheme: Scheme = {
  channel: `{ provider: slack, verify: { secret: "${SECRET}" } }`,
  covers: ['body', 'X-Slack-Request-Timestamp', 'X-Slack-Signature'],
  signed: parts.map(({ text, others, writeJson }) => ({ id, now }) => {
    const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
    const event = {
      type: 'message',
      channel: 'D024BE91L',
      user: 'U2147483697',
      text: escaped,
      ts: `${now}.000200`,
      channel_type: 'im',
    };
    const body = writeJson({ type: 'event_callback', team_id: 'T0001', event_id: id, event_time: now, event, others });
    const headers = {
      'Content-Type': JSON_TYPE,
      'X-Slack-Request-Timestamp': `${now}`,
      'X-Slack-Signature': `v0=${hmac(Buffer.concat([Buffer.from(`v0:${now}:`), body]), 'hex')}`,
    };
    return { method: 'POST', path: PATH, headers, body, text: withoutNul(text) };
  }),
  accepts: ({ headers, body }) =>
    isValidSlackRequest({
      signingSecret: SECRET,
      body: body.toString(),
      headers: {
        'x-slack-signature': headers['X-Slack-Signature'] ?? '',
        'x-slack-request-timestamp': Number(headers['X-Slack-Request-Timestamp']),
      },
    }),
};

const lineScheme: Scheme = {
  channel: `{ provider: line, verify: { secret: "${SECRET}" } }`,
  covers: ['body', 'X-Line-Signature'],
  signed: parts.map(({ text, others, writeJson }) => ({ id, now }) => {
    const body = writeJson({
      destination: 'Ubot0000000000000000000000000000001',
      events: [
        {
          type: 'message',
          message: { type: 'text', id: `message-${id}`, text },
          webhookEventId: id,
          deliveryContext: { isRedelivery: false },
          timestamp: now * 1_000,
          source: { type: 'user', userId: 'U4af4980629f1a1f1a1f1a1f1a1f1a1f1' },
          mode: 'active',
        },
      ],
      others,
    });
    const headers = { 'Content-Type': `${JSON_TYPE}; charset=utf-8`, 'X-Line-Signature': hmac(body, 'base64') };
    return { method: 'POST', path: PATH, headers, body, text: withoutNul(text) };
  }),
  accepts: ({ headers, body }) => validateLine(body, SECRET, headers['X-Line-Signature'] ?? ''),
};

// A generic channel refuses NUL with 422.
const ours = parts.map(({ text, writeJson }) => (id: string) => ({
  text: withoutNul(text),
  body: writeJson({ sender: '+919820012345', text: withoutNul(text), id }),
}));

const STANDARD_SECRET = `whsec_${Buffer.from(SECRET).toString('base64')}`;
const standardWebhooks: Scheme = {
  channel: `{ verify: { standard_webhooks: { secret: "${STANDARD_SECRET}" } } }`,
  covers: ['body', 'webhook-id', 'webhook-timestamp', 'webhook-signature'],
  signed: fc.record({ make: ours, isRotating: fc.boolean() }).map(({ make, isRotating }) => ({ id, now }) => {
    const { body, text } = make(id);
    const signature = new Webhook(STANDARD_SECRET).sign(id, new Date(now * 1_000), body.toString());
    const former = new Webhook(Buffer.from('former').toString('base64')).sign(
      id,
      new Date(now * 1_000),
      body.toString(),
    );
    const headers = {
      'Content-Type': JSON_TYPE,
      'webhook-id': id,
      'webhook-timestamp': `${now}`,
      'webhook-signature': isRotating ? `${former} ${signature}` : signature,
    };
    return { method: 'POST', path: PATH, headers, body, text };
  }),
  accepts: ({ headers, body }) =>
    isTrue(() => new Webhook(STANDARD_SECRET).verify(body.toString(), headers) !== undefined),
};

const github: Scheme = {
  channel: `{ verify: { github: { secret: "${SECRET}" } } }`,
  covers: ['body', 'X-Hub-Signature-256'],
  signed: ours.map((make) => async ({ id }) => {
    const { body, text } = make(id);
    const headers = { 'Content-Type': JSON_TYPE, 'X-Hub-Signature-256': await signGithub(SECRET, body.toString()) };
    return { method: 'POST', path: PATH, headers, body, text };
  }),
  accepts: ({ headers, body }) => verifyGithub(SECRET, body.toString(), headers['X-Hub-Signature-256'] ?? ''),
};

/** Some of the libraries throw instead of saying no. */
function isTrue(verdict: () => boolean): boolean {
  try {
    return verdict();
  } catch {
    return false;
  }
}

export const schemes: Readonly<Record<string, Scheme>> = {
  twilio: twilioScheme,
  'plivo V3': plivoV3,
  'plivo V2': plivoV2,
  vonage: vonageScheme,
  slack: slackScheme,
  line: lineScheme,
  'standard webhooks': standardWebhooks,
  github,
};
