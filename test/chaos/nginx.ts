import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePort, waitFor } from '../support/server.ts';
import type { Balancer } from './balancer.ts';

const MODEL = join(import.meta.dirname, '../../deploy/nginx.conf');
const NGINX = process.env.NGINX ?? '/usr/sbin/nginx';

/** nginx before the replicas, as deploy/nginx.conf has it; but for its place and their addresses. */
export async function startNginx(ports: readonly number[], folder: string): Promise<Balancer> {
  const port = await freePort();
  const replicas = ports.map((replica) => `server 127.0.0.1:${replica} max_fails=2 fail_timeout=5s;`);
  const config = [
    [/^(\s*)server bridge:8080 .*;$/m, `$1${replicas.join('\n$1')}`],
    [/^(\s*)listen 8080;$/m, `$1listen 127.0.0.1:${port};`],
    [/^pid .*;$/m, `pid ${join(folder, 'nginx.pid')};`],
    [/^worker_processes auto;$/m, 'worker_processes 1;'],
  ] as const;
  let text = await readFile(MODEL, 'utf8');
  for (const [line, ours] of config) {
    if (!line.test(text)) throw new Error(`${MODEL} has no line like ${line}`);
    text = text.replace(line, ours);
  }
  const file = join(folder, 'nginx.conf');
  await writeFile(file, text);
  // Not in our process group: a ^C is for the harness.
  const nginx = spawn(NGINX, ['-c', file, '-g', 'daemon off;'], { stdio: 'ignore', detached: true });
  const ended = once(nginx, 'close');
  const close = async () => {
    nginx.kill('SIGTERM');
    await ended;
  };
  try {
    await Promise.race([
      waitFor('nginx listens', () => isTaken(port)),
      ended.then(([code]) => Promise.reject(new Error(`nginx ended with ${code}; see ${NGINX} -t -c ${file}`))),
    ]);
  } catch (error) {
    if (nginx.exitCode === null) await close();
    throw error;
  }
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: close };
}

async function isTaken(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
