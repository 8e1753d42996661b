import { appendFile, mkdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { systemClock } from '../../src/clock.ts';
import { LiveTable } from '../../src/routing/live.ts';
import type { RoutingTable } from '../../src/routing/table.ts';
import { providers } from '../../src/webhook/providers/registry.ts';
import { ManualClock, onTestEnd, temporaryFolder, until } from '../support/fixtures.ts';

const file = (channel: string, more = '') => `
accounts: { main: { base_url: "https://h.example", client_id: c, token: "\${TOKEN}" } }
channels: { ${channel}: { verify: none } }
routes: [{ channel: ${channel}, business_id: 1, auth_id: x }]
${more}`;

/** A live table whose clock goes on by itself, a look at a time, for as long as the test lasts. */
async function open(source = file('one')) {
  const folder = await temporaryFolder();
  const path = join(folder, 'routing.yaml');
  await writeFile(path, source);
  return { folder, path, ...(await openAt(path)) };
}

async function openAt(path: string) {
  const clock = new ManualClock();
  const env: Record<string, string> = { TOKEN: 't1' };
  const announced: object[] = [];
  const announce = async ({ version }: RoutingTable) => {
    announced.push({ version, inForce: live.table.version });
  };
  const live = await LiveTable.open({ file: path, env: () => env, providers, clock, announce });
  const ending = new AbortController();
  const ticking = setInterval(() => clock.advance(200), 5);
  const seen: string[] = [];
  const reload = () =>
    live.reload().then(
      () => void seen.push([...live.table.channels.keys()].join()),
      () => void seen.push('refused'),
    );
  const watching = live.watch(reload, ending.signal);
  onTestEnd(async () => {
    ending.abort();
    await watching;
    clearInterval(ticking);
  });
  const becomes = (channel: string) => until(`${channel} is in force`, () => live.table.channels.has(channel));
  return { live, env, seen, announced, becomes, clock };
}

describe('the table in force follows its file', () => {
  test('written in place, and read once it stands still', async () => {
    const { path, becomes, seen } = await open();
    await writeFile(path, file('two'));
    await becomes('two');
    await until('it is read', () => seen.length > 0);
    expect(seen).toEqual(['two']);
  });

  test('replaced by rename, also by one of the same size and time', async () => {
    const { folder, path, becomes } = await open();
    const time = new Date('2026-11-22T12:00:00Z');
    for (const [index, channel] of ['two', 'six'].entries()) {
      const next = join(folder, `next-${index}`);
      await writeFile(next, file(channel));
      await utimes(next, time, time);
      await rename(next, path);
      await becomes(channel);
    }
  });

  test('behind links, one of which is turned to another folder', async () => {
    const folder = await temporaryFolder();
    for (const version of ['one', 'two']) {
      await mkdir(join(folder, version));
      await writeFile(join(folder, version, 'routing.yaml'), file(version));
    }
    // As Kubernetes mounts a ConfigMap.
    await symlink('one', join(folder, '..data'));
    await symlink('..data/routing.yaml', join(folder, 'routing.yaml'));
    const { becomes } = await openAt(join(folder, 'routing.yaml'));
    await symlink('two', join(folder, '..data_tmp'));
    await rename(join(folder, '..data_tmp'), join(folder, '..data'));
    await becomes('two');
  });

  test('taken away and put back', async () => {
    const { path, live, becomes } = await open();
    await rm(path);
    await until('it is missed', () => live.refused?.problems[0]?.code === 'unreadable_file');
    expect([...live.table.channels.keys()]).toEqual(['one']);
    await writeFile(path, file('two'));
    await becomes('two');
    expect(live.refused).toBeUndefined();
  });
});

test('the senders file is looked at as the routing file is, also while it is missing or refused', async () => {
  const { folder, path, live, becomes } = await open();
  const senders = join(folder, 'senders.csv');
  const knows = (authId: string) =>
    until(`${authId} is known`, () => [...live.table.senders.entries()].some(([, id]) => id === authId));
  const isRefused = (code: string) => until(`it is ${code}`, () => live.refused?.problems[0]?.code === code);
  await writeFile(path, file('two', 'senders_file: senders.csv'));
  await isRefused('unreadable_file');
  await writeFile(senders, 'a,CUST1');
  await becomes('two');
  await knows('CUST1');
  const { version } = live.table;
  await writeFile(senders, 'a;CUST2');
  await isRefused('csv');
  expect(live.table.version).toBe(version);
  await writeFile(join(folder, 'next.csv'), 'a,CUST3');
  await rename(join(folder, 'next.csv'), senders);
  await knows('CUST3');
  expect(live.refused).toBeUndefined();
  expect(live.table.version).not.toBe(version);
});

describe('a file that is refused', () => {
  test('changes nothing, and says why and since when, until it is mended', async () => {
    const { path, live, becomes, clock } = await open();
    const before = live.table;
    await writeFile(path, file('two').replace('auth_id: x', 'auth_id: "{{ nobody }}"'));
    await until('it is refused', () => live.refused !== undefined);
    expect(live.table).toBe(before);
    expect(live.refused).toEqual({
      at: expect.any(Number),
      problems: [expect.objectContaining({ code: 'bad_template', file: path, line: 4, column: 51 })],
    });
    expect(live.refused?.at).toBeLessThanOrEqual(clock.now());
    await writeFile(path, file('two'));
    await becomes('two');
    expect(live.refused).toBeUndefined();
  });

  test('is told to who asks for it, as often as it is asked for', async () => {
    const { path, live } = await open();
    await writeFile(path, 'accounts: {}');
    for (let count = 0; count < 2; count += 1) {
      await expect(live.reload()).rejects.toMatchObject({ name: 'RoutingRefused' });
    }
    await writeFile(path, file('two'));
    await live.reload();
    expect([...live.table.channels.keys()]).toEqual(['two']);
  });

  test('does not let a start begin', async () => {
    const path = join(await temporaryFolder(), 'routing.yaml');
    const options = { file: path, env: () => ({}), providers, clock: new ManualClock(), announce: async () => {} };
    const opening = LiveTable.open(options);
    await expect(opening).rejects.toThrow(/routing\.yaml:1:1: there is no such file/);
  });
});

test('a file that is being written is not read before its end, though half of it would be a good one', async () => {
  const { path, live, becomes, seen, clock } = await open();
  const lines = Array.from({ length: 40 }, (_, index) => `  "+9198200123${10 + index}": C${index}`);
  await writeFile(path, file('two', 'senders:\n'));
  for (const line of lines) {
    await appendFile(path, `${line}\n`);
    clock.advance(50);
  }
  await becomes('two');
  expect(seen.slice(0, -1)).toEqual([]);
  expect(Object.keys(live.table.file.senders)).toHaveLength(40);
});

test('a file that never stands still is told so', async () => {
  const { path, live } = await open();
  let isWriting = true;
  onTestEnd(() => {
    isWriting = false;
  });
  const writing = (async () => {
    while (isWriting) await appendFile(path, '#\n');
  })();
  await expect(live.reload()).rejects.toThrow(/is being written all the time/);
  isWriting = false;
  await writing;
});

test('secrets are read again, also where the file is the same', async () => {
  const { live, env } = await open();
  env.TOKEN = 't2';
  const before = live.table.accounts.get('main');
  await live.reload();
  const after = live.table.accounts.get('main');
  expect([before?.token, after?.token]).toEqual(['t1', 't2']);
  expect(after?.fingerprint).not.toBe(before?.fingerprint);
});

test('a file that is being written while a start reads it is read once it stands still', async () => {
  const path = join(await temporaryFolder(), 'routing.yaml');
  const lines = Array.from({ length: 900 }, (_, index) => `  "+919820012${100 + index}": C${index}\n`);
  await writeFile(path, file('one', 'senders:\n'));
  const writing = (async () => {
    for (const line of lines) await appendFile(path, line);
  })();
  const live = await LiveTable.open({
    file: path,
    env: () => ({ TOKEN: 't' }),
    providers,
    clock: systemClock,
    announce: async () => {},
  });
  await writing;
  expect(live.table.senders.size).toBe(900);
});

test('a senders file that is being written while a start reads it is read once it stands still', async () => {
  const folder = await temporaryFolder();
  const path = join(folder, 'routing.yaml');
  const long = new Date('2026-01-01T00:00:00Z');
  await writeFile(path, file('one', 'senders_file: senders.csv'));
  await utimes(path, long, long);
  await writeFile(join(folder, 'senders.csv'), 'u,C\n');
  const writing = (async () => {
    for (let index = 0; index < 900; index += 1) await appendFile(join(folder, 'senders.csv'), `u${index},C${index}\n`);
  })();
  const options = { env: () => ({ TOKEN: 't' }), providers, clock: systemClock, announce: async () => {} };
  const live = await LiveTable.open({ ...options, file: path });
  await writing;
  expect(live.table.senders.size).toBe(901);
});

test('what was written last says how old a table is, also where that is its senders', async () => {
  const { folder, path } = await open(file('one', 'senders: { a: C1 }'));
  await writeFile(join(folder, 'senders.csv'), 'b,C2');
  await writeFile(path, file('one', 'senders_file: senders.csv'));
  const [old, young] = [new Date('2026-01-01T00:00:00Z'), new Date('2026-02-01T00:00:00Z')];
  await utimes(path, old, old);
  await utimes(join(folder, 'senders.csv'), young, young);
  const options = { env: () => ({ TOKEN: 't' }), providers, clock: systemClock, announce: async () => {} };
  const live = await LiveTable.open({ ...options, file: path });
  expect(live.writtenAt).toBe(young.getTime());
});

test('each version is announced before it is in force, and once', async () => {
  const { path, live, announced } = await open();
  const first = live.table.version;
  await live.reload();
  expect(announced).toEqual([]);
  await writeFile(path, file('two'));
  await live.reload();
  await live.reload();
  expect(announced).toEqual([{ version: live.table.version, inForce: first }]);
});

test('whatever else keeps the file from being read is told as its faults are', async () => {
  const { path, live } = await open();
  let isReadable = true;
  const reading = await LiveTable.open({
    file: path,
    providers,
    clock: systemClock,
    announce: async () => {},
    env: () => {
      if (!isReadable) throw new Error("EACCES: permission denied, open '.env'");
      return { TOKEN: 't' };
    },
  });
  isReadable = false;
  await expect(reading.reload()).rejects.toThrow('EACCES');
  const message = "cannot be loaded: EACCES: permission denied, open '.env'";
  expect(reading.refused?.problems).toEqual([{ code: 'failed', message, file: path, line: 1, column: 1 }]);
  expect(reading.table.version).toBe(live.table.version);
});
