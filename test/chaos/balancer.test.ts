import { once } from 'node:events';
import { createServer } from 'node:http';
import { expect, test } from '@jest/globals';
import { onTestEnd } from '../support/fixtures.ts';
import { freePort, waitFor } from '../support/server.ts';
import { startBalancer } from './balancer.ts';

/** Answers with its name; ready or not. */
async function replica(name: string, isReady: () => boolean): Promise<number> {
  const port = await freePort();
  const server = createServer((request, response) => {
    response.statusCode = request.url === '/readyz' && !isReady() ? 503 : 200;
    response.end(name);
  }).listen(port, '127.0.0.1');
  await once(server, 'listening');
  onTestEnd(() => server.close());
  return port;
}

async function ask(url: string): Promise<string> {
  return (await fetch(url, { headers: { connection: 'close' } })).text();
}

test('each takes its turn, and where none is there the next one takes it', async () => {
  const ports = [await replica('one', () => true), await freePort(), await replica('three', () => true)];
  await using balancer = await startBalancer(ports, false);
  const answers = [await ask(balancer.url), await ask(balancer.url), await ask(balancer.url)];
  expect([...new Set(answers)].sort()).toEqual(['one', 'three']);
});

test('who is not ready gets nothing new', async () => {
  let isReady = true;
  const ports = [await replica('one', () => isReady), await replica('two', () => true)];
  await using balancer = await startBalancer(ports, true);
  await waitFor('both are ready', async () => balancer.ready === 2);
  isReady = false;
  await waitFor('one is not', async () => balancer.ready === 1);
  expect([await ask(balancer.url), await ask(balancer.url)]).toEqual(['two', 'two']);
});

test('where nobody is there connections are refused', async () => {
  await using balancer = await startBalancer([await freePort()], false);
  await expect(ask(balancer.url)).rejects.toThrow();
});
