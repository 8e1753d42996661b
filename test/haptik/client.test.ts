import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fetch from 'node-fetch';
import { createClient } from '../../src/haptik/client.ts';
import { onTestEnd, until } from '../support/fixtures.ts';

const ACCOUNT = {
  name: 'main',
  messageUrl: new URL('http://localhost'),
  userUrl: undefined,
  clientId: 'client',
  token: 'token',
};

async function listen(server: Server | TcpServer): Promise<URL> {
  server.listen(0, '127.0.0.1');
  onTestEnd(() => {
    if ('closeAllConnections' in server) server.closeAllConnections();
    server.close();
  });
  await until('it listens', () => server.listening);
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no address');
  return new URL(`http://127.0.0.1:${address.port}/v1.0/log_message_from_user/`);
}

const serve = (handler: RequestListener) => listen(createServer(handler));

function client(timeoutMs = 10_000) {
  const created = createClient({ fetch, timeoutMs });
  onTestEnd(() => created.close());
  const never = new AbortController().signal;
  return (url: URL, signal = never) => created.post(ACCOUNT, url, { a: 1 }, signal);
}

describe('an answer', () => {
  test('is its status, its text and its Retry-After', async () => {
    const url = await serve((_request, response) => response.writeHead(429, { 'Retry-After': '7' }).end('slow down'));
    expect(await client()(url)).toEqual({ status: 429, text: 'slow down', retryAfter: '7' });
  });

  test('that redirects is not followed', async () => {
    let calls = 0;
    const url = await serve((_request, response) => {
      calls += 1;
      response.writeHead(307, { Location: '/elsewhere' }).end();
    });
    expect(await client()(url)).toMatchObject({ status: 307 });
    expect(calls).toBe(1);
  });

  test('that never ends is its status, without a text', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200);
      const write = () => !response.destroyed && response.write('x'.repeat(10_000), () => setImmediate(write));
      write();
    });
    expect(await client()(url)).toMatchObject({ status: 200, text: '' });
  });

  test('whose text does not come is its status when the deadline passes', async () => {
    const url = await serve((_request, response) => response.writeHead(200).flushHeaders());
    expect(await client(200)(url)).toEqual({ status: 200, text: '', retryAfter: null });
  });

  test('in another protocol is no answer', async () => {
    const server = createTcpServer((socket) => {
      socket.once('data', () =>
        socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'),
      );
      onTestEnd(() => socket.destroy());
    });
    expect(await client()(await listen(server))).toEqual({
      isWritten: true,
      isTimeout: false,
      detail: 'HTTP 101 is no known answer',
    });
  });

  test('that breaks off in its body keeps its status', async () => {
    const url = await serve((request, response) => {
      response.writeHead(400, { 'Content-Length': '100' });
      response.write('half', () => request.socket.destroy());
    });
    expect(await client()(url)).toMatchObject({ status: 400, text: '' });
  });
});

test('an answer that came during a pause of the whole process counts, though the deadline passed meanwhile', async () => {
  const server = fork(join(import.meta.dirname, 'fixtures/slow-server.mjs'));
  onTestEnd(() => server.kill());
  const [port] = (await once(server, 'message')) as [number];
  const post = client(300);
  const answer = post(new URL(`http://127.0.0.1:${port}/`));
  await once(server, 'message');
  // Nothing of this process runs, and meanwhile the server answers.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 800);
  expect(await answer).toMatchObject({ status: 200, text: 'late' });
});

describe('connections', () => {
  test('are used again', async () => {
    const server = createServer((_request, response) => response.end('{}'));
    const url = await listen(server);
    let connections = 0;
    server.on('connection', () => (connections += 1));
    const post = client();
    for (const _ of [1, 2, 3]) await post(url);
    expect(connections).toBe(1);
  });
});

describe('no answer: whether the request was written', () => {
  test('is no when nobody listens', async () => {
    const server = createTcpServer();
    const url = await listen(server);
    server.close();
    expect(await client()(url)).toEqual({
      isWritten: false,
      isTimeout: false,
      detail: 'connection failed: ECONNREFUSED',
    });
  });

  test('is no when the name does not resolve', async () => {
    const answer = await client()(new URL('http://no-such-host.invalid/'));
    expect(answer).toMatchObject({
      isWritten: false,
      isTimeout: false,
      detail: expect.stringMatching(/^connection failed: E/),
    });
  });

  test('is no when TLS cannot be agreed on', async () => {
    const url = await listen(createTcpServer((socket) => socket.end('this is not TLS')));
    url.protocol = 'https:';
    expect(await client()(url)).toMatchObject({ isWritten: false });
  });

  test('is no when TLS takes until the deadline', async () => {
    const server = createTcpServer((socket) => onTestEnd(() => socket.destroy()));
    const url = await listen(server);
    url.protocol = 'https:';
    expect(await client(200)(url)).toEqual({ isWritten: false, isTimeout: true, detail: 'no answer within 200 ms' });
  });

  test('is yes when the connection is cut after the request', async () => {
    const url = await serve((request) => request.socket.destroy());
    expect(await client()(url)).toEqual({ isWritten: true, isTimeout: false, detail: 'connection failed: ECONNRESET' });
  });

  test('is yes when the deadline passes without an answer', async () => {
    const url = await serve(() => undefined);
    expect(await client(200)(url)).toEqual({ isWritten: true, isTimeout: true, detail: 'no answer within 200 ms' });
  });

  test('is yes when the bridge stops meanwhile', async () => {
    const stop = new AbortController();
    const url = await serve(() => stop.abort());
    expect(await client()(url, stop.signal)).toEqual({
      isWritten: true,
      isTimeout: false,
      detail: 'the bridge is stopping',
    });
  });

  test('is yes when a kept connection turns out to be dead', async () => {
    let calls = 0;
    const url = await serve((request, response) => {
      calls += 1;
      if (calls === 1) response.end('{}');
      else request.socket.destroy();
    });
    const post = client();
    await post(url);
    expect(await post(url)).toMatchObject({ isWritten: true });
  });

  test('is not asked of a call that was never made', async () => {
    let calls = 0;
    const url = await serve(() => (calls += 1));
    expect(await client()(url, AbortSignal.abort())).toEqual({
      isWritten: false,
      isTimeout: false,
      detail: 'the bridge is stopping',
    });
    expect(calls).toBe(0);
  });
});
