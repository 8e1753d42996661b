import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MIMEType } from 'node:util';
import { expect, test } from '@jest/globals';
import { Unavailable } from '../../src/errors.ts';
import type { Channel } from '../../src/routing/table.ts';
import type { RawRequest } from '../../src/webhook/verify/request.ts';
import { verify } from '../../src/webhook/verify/verify.ts';
import { ROOT } from '../support/process.ts';
import { parseRouting } from '../support/routing.ts';
import { acme } from './acme.ts';

/** The page that shows how a provider is added, and the example on it. */
const page = readFileSync(join(ROOT, 'docs/adding-a-provider.md'), 'utf8');
const block = (language: string) => new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 's').exec(page)?.[1] ?? '';

const withoutImports = (code: string) => code.replace(/^import .*\n/gm, '').trim();

function channel(): Channel {
  const file = 'accounts: { main: { base_url: "https://h.example", client_id: c, token: t } }';
  const routing = 'channels: { acme: { verify: none } }\nroutes: [{ channel: acme, business_id: 1, auth_id: x }]';
  const found = parseRouting(`${file}\n${routing}`, 'routing.yaml', {}).channels.get('acme');
  if (found === undefined) throw new Error('there is no channel');
  return found;
}

function request(body: Buffer, signature: string): RawRequest {
  return {
    method: 'POST',
    headers: { 'x-acme-signature': signature },
    type: new MIMEType('application/json'),
    url: 'https://bridge.example.com/webhooks/acme',
    query: new URLSearchParams(),
    body,
  };
}

const surroundings = { now: 0, certificateKey: async () => new Unavailable('none') };
const config = { mode: 'enforce' as const, secret: ['new', 'old'] };
const refuse = () => {
  throw new Error('it is not for a report');
};

test('shows the code that is tried here', () => {
  expect(withoutImports(block('ts'))).toBe(withoutImports(readFileSync(join(ROOT, 'test/webhook/acme.ts'), 'utf8')));
});

test('shows a provider that reads what the page says is sent', async () => {
  const body = Buffer.from(block('json'));
  const signature = createHmac('sha256', 'old').update(body).digest('hex');
  const verified = await verify(config, acme.scheme, request(body, signature), surroundings, refuse);
  const { arrivals, ignored } = await acme.parse(verified, channel());
  expect(arrivals).toEqual([
    {
      message: expect.objectContaining({
        sender: '+919820012345',
        recipient: '918000000000',
        text: 'Where is order 112?',
        providerId: 'a1',
        sentAt: '2026-11-22T12:29:58.000Z',
        attachments: [expect.objectContaining({ url: 'https://files.acme.example/1.jpg', content_type: 'image/jpeg' })],
      }),
      repeat: { key: 'a1' },
    },
  ]);
  expect(ignored).toEqual(['event']);
});

test('what is not verified cannot be parsed, by its type', async () => {
  const body = Buffer.from('{}');
  const raw = request(body, 'wrong');
  await expect(verify(config, acme.scheme, raw, surroundings, refuse)).rejects.toThrow(/does not fit/);
  // @ts-expect-error: only what verify gave back may be parsed.
  const { arrivals } = await acme.parse(raw, channel());
  expect(arrivals).toEqual([]);
});
