import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, test } from '@jest/globals';
import { ROOT } from './support/process.ts';

const SRC = join(ROOT, 'src');

/** What imports nothing of ours, and may be imported by everybody. */
const LEAVES = ['message', 'errors', 'clock', 'coalesce', 'fault', 'sender', 'settings'];

/** Room → rooms that it may import; `type x` where only types may come from there. Imports go one way. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(LEAVES.map((leaf) => [leaf, []])),
  json: ['type message'],
  path: ['type message'],
  log: ['type settings'],
  listen: ['fault'],
  metrics: ['type outbox'],
  middleware: ['errors', 'fault', 'type log'],
  'routing-operations': ['coalesce', 'type log', 'type metrics', 'routing', 'outbox'],
  routing: ['type message', 'path', 'sender', 'fault', 'type clock'],
  webhook: [
    'type message',
    'errors',
    'json',
    'path',
    'sender',
    'fault',
    'type clock',
    'type log',
    'type metrics',
    'type routing',
    'type outbox',
  ],
  outbox: ['message', 'fault', 'clock', 'type log'],
  explain: ['type message', 'errors', 'haptik', 'type routing', 'type webhook', 'webhook'],
  haptik: ['type message', 'json', 'listen', 'fault', 'type clock'],
  admin: [
    'errors',
    'fault',
    'middleware',
    'type clock',
    'type log',
    'type metrics',
    'type outbox',
    'type routing',
    'type explain',
  ],
  app: ['errors', 'middleware', 'type metrics', 'webhook'],
  bridge: [
    'clock',
    'listen',
    'log',
    'metrics',
    'type settings',
    'routing',
    'outbox',
    'haptik',
    'admin',
    'webhook',
    'explain',
    'routing-operations',
    'app',
  ],
  cli: ['fault', 'clock', 'settings', 'bridge', 'explain', 'type routing', 'routing', 'webhook', 'outbox', 'haptik'],
};

interface Import {
  readonly file: string;
  readonly from: string;
  readonly to: string;
  readonly isTypeOnly: boolean;
}

const room = (file: string) => relative(SRC, file).replace(/\.ts$/, '').split('/')[0] ?? '';

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8');
  const statements = text.matchAll(/^(?:import|export)\s+(type\s+)?([^;']*?)\s*from\s+'(\.[^']+)'/gm);
  const dynamic = text.matchAll(/import\('(\.[^']+)'\)/g);
  const to = (specifier: string | undefined) => room(join(dirname(file), specifier ?? ''));
  return [
    ...[...statements].map(([, type, names = '', specifier]) => {
      const listed = names
        .replace(/[{}]/g, '')
        .split(',')
        .map((name) => name.trim())
        .filter(Boolean);
      return {
        file,
        from: room(file),
        to: to(specifier),
        isTypeOnly: Boolean(type) || listed.every((name) => name.startsWith('type ')),
      };
    }),
    ...[...dynamic].map(([, specifier]) => ({ file, from: room(file), to: to(specifier), isTypeOnly: false })),
  ];
}

const files = globSync('**/*.ts', { cwd: SRC }).map((file) => join(SRC, file));
const imports = files.flatMap(importsOf).filter(({ from, to }) => from !== to);

test('every room is known', () => {
  expect([...new Set(files.map(room))].sort()).toEqual(Object.keys(ARROWS).sort());
});

test('imports between rooms go one way', () => {
  const wrong = imports.filter(({ from, to, isTypeOnly }) => {
    const allowed = ARROWS[from] ?? [];
    return !allowed.includes(to) && !(isTypeOnly && allowed.includes(`type ${to}`));
  });
  expect(wrong.map(({ file, to, isTypeOnly }) => `${relative(SRC, file)} → ${isTypeOnly ? 'type ' : ''}${to}`)).toEqual(
    [],
  );
});

test('every arrow that is allowed is used', () => {
  const unused = Object.entries(ARROWS).flatMap(([from, allowed]) =>
    allowed
      .filter(
        (arrow) =>
          !imports.some((found) => found.from === from && arrow === (found.isTypeOnly ? `type ${found.to}` : found.to)),
      )
      .map((arrow) => `${from} → ${arrow}`),
  );
  expect(unused).toEqual([]);
});

test('the environment is read, and the process ended, by settings and the command line alone', () => {
  const offenders = files.filter(
    (file) => room(file) !== 'cli' && /process\.(env|exit\b|argv)|console\./.test(readFileSync(file, 'utf8')),
  );
  expect(offenders.map((file) => relative(SRC, file))).toEqual([]);
});
