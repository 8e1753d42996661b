import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { onTestEnd, turns, until } from './fixtures.ts';
import { startProxy } from './network.ts';
import { ROOT } from './process.ts';

/** Answers each piece with the same, said louder. */
async function startShouter(mark = '!') {
  const heard: string[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.setEncoding('utf8').on('data', (text: string) => {
      heard.push(text);
      socket.write(text.toUpperCase() + mark);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestEnd(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('listens on no port');
  return { port: address.port, heard, sockets };
}

async function startNetwork() {
  const far = await startShouter();
  const proxy = await startProxy(far.port);
  onTestEnd(() => proxy.close());
  return { far, proxy };
}

function call(port: number) {
  const socket = connect({ port, host: '127.0.0.1' });
  onTestEnd(() => socket.destroy());
  const client = { socket, heard: '', ending: '' };
  socket.setEncoding('utf8').on('data', (text: string) => {
    client.heard += text;
  });
  socket.on('end', () => {
    client.ending ||= 'end';
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    client.ending ||= error.code ?? error.message;
  });
  const says = async (text: string, answer: string) => {
    socket.write(text);
    await until(`the answer to ${text}`, () => client.heard.endsWith(answer));
  };
  return Object.assign(client, { says });
}

test('what works passes both ways, and so does the end of it', async () => {
  const { far, proxy } = await startNetwork();
  const client = call(proxy.port);
  await client.says('a', 'A!');
  await client.says('b', 'B!');
  expect(proxy.connections).toBe(1);
  client.socket.end();
  await until('the end has come back', () => client.ending === 'end');
  expect(far.sockets[0]?.readableEnded).toBe(true);
  await until('the proxy has let go of it', () => proxy.connections === 0);
});

test('much passes whole', async () => {
  const { proxy } = await startNetwork();
  const client = call(proxy.port);
  await client.says('a'.repeat(5_000_000), '!');
  await until('all of it', () => client.heard.replaceAll('!', '').length === 5_000_000);
});

test('a cut resets what is open and whoever comes, at both ends, until it heals', async () => {
  const { far, proxy } = await startNetwork();
  const client = call(proxy.port);
  await client.says('a', 'A!');
  proxy.cut();
  await until('the client is reset', () => client.ending === 'ECONNRESET');
  await until('the server is reset', () => far.sockets[0]?.errored != null);
  const other = call(proxy.port);
  await until('the next is reset', () => other.ending === 'ECONNRESET');
  proxy.heal();
  await call(proxy.port).says('b', 'B!');
  expect(far.heard).toEqual(['a', 'b']);
});

test('while it hangs connections stand and come about, and nothing passes, not even the end of one', async () => {
  const { far, proxy } = await startNetwork();
  const [stays, leaves] = [call(proxy.port), call(proxy.port)];
  await stays.says('a', 'A!');
  await leaves.says('b', 'B!');
  proxy.hang();
  const comes = call(proxy.port);
  await once(comes.socket, 'connect');
  for (const client of [stays, comes]) client.socket.write('c');
  for (const socket of far.sockets) socket.write('unasked');
  leaves.socket.resetAndDestroy();
  await turns(200);
  expect([far.heard, far.sockets.length, stays.heard]).toEqual([['a', 'b'], 2, 'A!']);
  expect([stays.ending, comes.ending, far.sockets[1]?.destroyed]).toEqual(['', '', false]);
  proxy.resume();
  await until('what was held back', () => stays.heard === 'A!unaskedC!' && comes.heard === 'C!');
  await until('the server learns who has gone', () => far.sockets[1]?.destroyed === true);
});

test('when answers are dropped the server hears all and the client nothing; healed, it is reset', async () => {
  const { far, proxy } = await startNetwork();
  const [client, silent] = [call(proxy.port), call(proxy.port)];
  await client.says('a', 'A!');
  await silent.says('b', 'B!');
  proxy.dropAnswers();
  client.socket.write('c');
  await until('the server has heard it', () => far.heard.includes('c'));
  await turns(200);
  expect([client.heard, client.ending]).toEqual(['A!', '']);
  proxy.heal();
  await until('the client is reset', () => client.ending === 'ECONNRESET');
  await silent.says('d', 'D!');
});

test('a slow network takes its time each way', async () => {
  const { proxy } = await startNetwork();
  const client = call(proxy.port);
  await client.says('a', 'A!');
  proxy.slow(50);
  const from = performance.now();
  await client.says('b', 'B!');
  expect(performance.now() - from).toBeGreaterThan(95);
  proxy.heal();
  await client.says('c', 'C!');
});

test('new connections go where they are sent, and those that are open stay', async () => {
  const { proxy } = await startNetwork();
  const old = call(proxy.port);
  await old.says('a', 'A!');
  proxy.retarget((await startShouter('?')).port);
  await call(proxy.port).says('b', 'B?');
  await old.says('c', 'C!');
});

test('where nobody listens a client is reset', async () => {
  const { proxy } = await startNetwork();
  const gone = await startProxy(proxy.port);
  await gone.close();
  proxy.retarget(gone.port);
  const client = call(proxy.port);
  await until('it is reset', () => client.ending === 'ECONNRESET');
});

test('the address by way of it differs in nothing else', async () => {
  const { proxy } = await startNetwork();
  expect(proxy.via('postgres://me:secret@db.example:5432/mine?a=b')).toBe(
    `postgres://me:secret@127.0.0.1:${proxy.port}/mine?a=b`,
  );
});

test('a process that resets a socket while it shuts down comes to its end', async () => {
  const script = `
    import { connect, createServer } from 'node:net';
    import { resetSocket } from ${JSON.stringify(join(ROOT, 'test/support/network.ts'))};
    const server = createServer({ allowHalfOpen: true }).listen(0, () => {
      const near = connect({ port: server.address().port, allowHalfOpen: true }, () => {
        near.end();
        process.nextTick(resetSocket, near);
      });
      server.once('connection', (far) => {
        near.once('close', () => far.destroy());
        server.close();
      });
    });`;
  await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000 });
});
