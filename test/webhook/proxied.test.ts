import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { startTestBridge } from '../support/bridge.ts';
import { onTestEnd } from '../support/fixtures.ts';
import { send } from '../support/send.ts';
import { cases, expectedOf, type Forwards, filledIn, PREFIX, statuses } from './proxied-cases.ts';
import { channels } from './proxied-requests.ts';

/** Takes the prefix away and says what came, as a proxy does behind which TLS has ended. */
async function startProxy(bridgeUrl: string, forwards: Forwards): Promise<string> {
  const { host, hostname, port } = new URL(bridgeUrl);
  const proxy = createServer((incoming, answer) => {
    const headers = { ...incoming.headers, host, ...filledIn(forwards, incoming.headers.host ?? '') };
    const path = incoming.url?.slice(PREFIX.length);
    const onwards = request({ hostname, port, method: incoming.method, path, headers }, (response) => {
      answer.writeHead(response.statusCode ?? 0, response.headers);
      response.pipe(answer);
    });
    incoming.pipe(onwards);
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  onTestEnd(() => proxy.close().closeAllConnections());
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}

test.each(cases.map((one) => [one.name, one] as const))('a signed URL is told by %s', async (_, one) => {
  const routing = `${JSON.stringify({
    channels,
    routes: Object.keys(channels).map((channel) => ({ channel, business_id: 1, auth_id: '{{ sender | sha256 }}' })),
  }).slice(1, -1)}}`;
  const accounts = `{"accounts":{"main":{"base_url":"$\{HAPTIK_BASE_URL}","client_id":"test-client","token":"test-token"}},`;
  const { bridge } = await startTestBridge({ accounts, routing, env: one.env });
  const door = one.isDirect ? bridge.url : await startProxy(bridge.url, one.forwards);
  expect(await statuses(one, Date.now(), (outgoing) => send(door, outgoing))).toEqual(expectedOf(one));
});
