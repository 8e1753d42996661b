import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { send } from '../support/send.ts';
import { freePort, waitFor } from '../support/server.ts';
import { type Case, cases, expectedOf, PREFIX, statuses } from './proxied-cases.ts';
import { channels } from './proxied-requests.ts';

// npm run proxied: signed URLs behind a real nginx that ends TLS, before a real process. Needs nginx and openssl.

const NGINX = process.env.NGINX ?? '/usr/sbin/nginx';
const SERVER_NAME = 'bridge.example.com';
const ROOT = join(import.meta.dirname, '../..');

const say = (line: string) => void process.stdout.write(`${line}\n`);

/** Runs a program in the folder until the caller is done with it. */
function running(program: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): AsyncDisposable {
  const child = spawn(program, args, {
    cwd,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { PATH: process.env.PATH, ...env },
  });
  const ended = once(child, 'close');
  return {
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

async function isUp(url: string): Promise<boolean> {
  return fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );
}

/** What nginx has to be told for this one case; the rest is as it comes. */
function configured({ forwards }: Case, folder: string, port: number, bridgePort: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const headers = Object.entries(forwards).map(([name, value]) => `proxy_set_header ${name} ${value};`);
  return `
    daemon off; pid ${folder}/nginx.pid; error_log stderr crit; worker_processes 1;
    events { worker_connections 64; }
    http {
      access_log off; ${temporary.join(' ')}
      server {
        listen 127.0.0.1:${port} ssl;
        ssl_certificate ${folder}/certificate.pem; ssl_certificate_key ${folder}/key.pem;
        location ${PREFIX}/ { proxy_pass http://127.0.0.1:${bridgePort}/; ${headers.join(' ')} }
      }
    }`;
}

async function judge(one: Case): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'haptik-bridge-proxied-'));
  try {
    const [port, bridgePort, adminPort] = [await freePort(), await freePort(), await freePort()];
    const certificate = [
      '-keyout',
      'key.pem',
      '-out',
      'certificate.pem',
      '-subj',
      `/CN=${SERVER_NAME}`,
      '-addext',
      `subjectAltName=DNS:${SERVER_NAME}`,
    ];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...certificate], {
      cwd: folder,
      stdio: 'ignore',
    });
    const routes = Object.keys(channels).map((channel) => ({
      channel,
      business_id: 1,
      auth_id: '{{ sender | sha256 }}',
    }));
    // Nobody is there: what is accepted waits.
    const accounts = { main: { base_url: 'http://127.0.0.1:9', client_id: 'client', token: 'token' } };
    await writeFile(join(folder, 'routing.yaml'), JSON.stringify({ accounts, channels, routes }));
    await writeFile(join(folder, 'nginx.conf'), configured(one, folder, port, bridgePort));

    const env = {
      HOST: '127.0.0.1',
      PORT: `${bridgePort}`,
      ADMIN_PORT: `${adminPort}`,
      LOG_LEVEL: 'error',
      ...one.env,
    };
    await using _bridge = running(process.execPath, [join(ROOT, 'src/cli.ts'), 'serve'], folder, env);
    await using _nginx = running(NGINX, ['-c', join(folder, 'nginx.conf')], folder);
    const ca = await readFile(join(folder, 'certificate.pem'), 'utf8');
    const bridgeUrl = `http://127.0.0.1:${bridgePort}`;
    const door = one.isDirect ? bridgeUrl : `https://127.0.0.1:${port}`;
    const tls = one.isDirect ? {} : { tls: { ca, servername: SERVER_NAME } };
    await waitFor('the bridge is ready', () => isUp(`${bridgeUrl}/readyz`));
    const ask = { method: 'GET', path: '/', headers: {}, body: Buffer.alloc(0) };
    await waitFor('nginx listens', () =>
      send(door, ask, tls).then(
        () => true,
        () => false,
      ),
    );

    const found = await statuses(one, Date.now(), (outgoing) => send(door, outgoing, tls));
    const isKept = isDeepStrictEqual(found, expectedOf(one));
    say(`${isKept ? 'ok  ' : 'FAIL'} ${one.name}: ${JSON.stringify(found)}`);
    return isKept;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

for (const one of cases) if (!(await judge(one))) process.exitCode = 1;
