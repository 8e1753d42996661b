import { cp, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { rollBack } from '../../src/routing/versions/rollback.ts';
import { KeptVersions } from '../../src/routing/versions/versions.ts';
import { providers } from '../../src/webhook/providers/registry.ts';
import { temporaryFolder } from '../support/fixtures.ts';
import { loadRouting } from '../support/routing.ts';

const file = (channel: string, more = '') => `# ${channel}
accounts: { main: { base_url: "https://h.example", client_id: c, token: "\${TOKEN}" } }
channels: { ${channel}: { verify: none } }
routes: [{ channel: ${channel}, business_id: 1, auth_id: x }]
${more}`;
const WITH_SENDERS = 'senders_file: senders.csv\n';
const START = Date.parse('2026-11-22T12:00:00Z');

/** A folder with a routing file, of which versions come in force, a minute after each other. */
async function open() {
  const folder = await temporaryFolder();
  const routingFile = join(folder, 'routing.yaml');
  let time = START;
  const now = () => time;
  const setClock = (ms: number) => {
    time = ms;
  };
  const kept = new KeptVersions({ dataFolder: join(folder, 'data'), routingFile, now });
  const inForce = async (source: string, senders?: string) => {
    await writeFile(routingFile, source);
    if (senders !== undefined) await writeFile(join(folder, 'senders.csv'), senders);
    time += 60_000;
    const table = await loadRouting(routingFile, { TOKEN: 't' });
    await kept.keep(table);
    return table.version;
  };
  const versions = async () => (await kept.list()).map(({ version }) => version);
  let names = 0;
  const newName = () => `new-${names++}`;
  const options = { kept, routingFile, env: { TOKEN: 't' }, providers, now, newName };
  const back = async (version: string, env = options.env) => rollBack(version, { ...options, env });
  return { folder, routingFile, kept, inForce, versions, back, now, setClock };
}

describe('the last good versions', () => {
  test('are kept as they were, with their senders, the newest first', async () => {
    const { inForce, kept } = await open();
    const one = await inForce(file('one', WITH_SENDERS), 'a,CUST1');
    const two = await inForce(file('two', WITH_SENDERS), 'a,CUST2');
    const three = await inForce(file('three'));
    const list = await kept.list();
    expect(list.map(({ version, at }) => [version, at - START])).toEqual([
      [three, 180_000],
      [two, 120_000],
      [one, 60_000],
    ]);
    expect(await readFile(list[1]?.file ?? '', 'utf8')).toBe(file('two', WITH_SENDERS));
    expect(await readFile(list[1]?.sendersFile ?? '', 'utf8')).toBe('a,CUST2');
    expect(await readFile(list[2]?.sendersFile ?? '', 'utf8')).toBe('a,CUST1');
    expect(list[0]?.sendersFile).toBeUndefined();
  });

  test('are nobody else’s to read', async () => {
    const { inForce, kept } = await open();
    await inForce(file('one'));
    const [one] = await kept.list();
    expect((await stat(one?.file ?? '')).mode & 0o077).toBe(0);
    expect((await stat(join(one?.file ?? '', '..'))).mode & 0o077).toBe(0);
  });

  test('share senders that are the same', async () => {
    const { inForce, kept } = await open();
    await inForce(file('one', WITH_SENDERS), 'a,CUST1');
    await inForce(file('two', WITH_SENDERS));
    const places = await Promise.all((await kept.list()).map(async ({ sendersFile }) => stat(sendersFile ?? '')));
    expect(new Set(places.map(({ ino }) => ino)).size).toBe(1);
  });

  test('are twenty; one that comes in force again is the newest', async () => {
    const { inForce, versions, folder } = await open();
    const all: string[] = [];
    for (let count = 0; count < 22; count += 1) all.unshift(await inForce(file(`c${count}`)));
    expect(await versions()).toEqual(all.slice(0, 20));
    const old = all[19] ?? '';
    expect(await inForce(file('c2'))).toBe(old);
    expect(await versions()).toEqual([old, ...all.slice(0, 19)]);
    await inForce(file('c2'));
    expect(await versions()).toHaveLength(20);
    const [place = ''] = await readdir(join(folder, 'data', 'versions'));
    expect(await readdir(join(folder, 'data', 'versions', place))).toHaveLength(20);
  });

  test('are in the order in which they came, whatever the clock says', async () => {
    const { inForce, versions, setClock } = await open();
    setClock(Date.parse('2030-01-01T00:00:00Z'));
    const all: string[] = [];
    for (let count = 0; count < 20; count += 1) all.unshift(await inForce(file(`c${count}`)));
    setClock(START);
    const newest = await inForce(file('newest'));
    expect(await versions()).toEqual([newest, ...all.slice(0, 19)]);
  });

  test('are one each, also where two processes have kept them', async () => {
    const { folder, routingFile, inForce, versions, back, now } = await open();
    const one = await inForce(file('one'));
    const other = new KeptVersions({ dataFolder: join(folder, 'data'), routingFile, now: () => now() + 1 });
    const two = await inForce(file('two'));
    const [place = ''] = await readdir(join(folder, 'data', 'versions'));
    const [, name = ''] = (await readdir(join(folder, 'data', 'versions', place))).sort();
    await cp(
      join(folder, 'data', 'versions', place, name),
      join(folder, 'data', 'versions', place, name.replace('.000Z', '.003Z')),
      {
        recursive: true,
      },
    );
    expect(await versions()).toEqual([two, one]);
    await back(two);
    const table = await loadRouting(routingFile, { TOKEN: 't' });
    await other.keep(table);
    await inForce(file('three'));
    expect(await readdir(join(folder, 'data', 'versions', place))).toHaveLength(4);
  });

  test('leave nothing behind where one cannot be kept', async () => {
    const { folder, routingFile, kept, inForce } = await open();
    await inForce(file('one'));
    await writeFile(routingFile, file('two', WITH_SENDERS));
    await writeFile(join(folder, 'senders.csv'), 'a,CUST1');
    const table = await loadRouting(routingFile, { TOKEN: 't' });
    await writeFile(join(folder, 'senders.csv'), 'a,CUST2');
    await expect(kept.keep(table)).rejects.toThrow();
    const [place = ''] = await readdir(join(folder, 'data', 'versions'));
    expect(await readdir(join(folder, 'data', 'versions', place))).toHaveLength(1);
  });

  test('of one file are not those of another, though they share a folder', async () => {
    const { folder, inForce } = await open();
    await inForce(file('one'));
    const options = { dataFolder: join(folder, 'data'), now: Date.now };
    const other = new KeptVersions({ ...options, routingFile: join(folder, 'other', 'routing.yaml') });
    expect(await other.list()).toEqual([]);
    const same = new KeptVersions({ ...options, routingFile: join(folder, 'other', '..', 'routing.yaml') });
    expect(await same.list()).toHaveLength(1);
  });

  test('are none where nothing can be written', async () => {
    const { folder, kept, inForce } = await open();
    await writeFile(join(folder, 'data'), 'in the way');
    await expect(inForce(file('one'))).rejects.toThrow('ENOTDIR');
    await rm(join(folder, 'data'));
    expect(await kept.list()).toEqual([]);
  });

  test('never hold a senders file that changed meanwhile', async () => {
    const { folder, routingFile, kept, versions } = await open();
    await writeFile(routingFile, file('one', WITH_SENDERS));
    await writeFile(join(folder, 'senders.csv'), 'a,CUST1');
    const table = await loadRouting(routingFile, { TOKEN: 't' });
    await writeFile(join(folder, 'senders.csv'), 'a,CUST2');
    await expect(kept.keep(table)).rejects.toThrow(/senders\.csv was written while it was copied$/);
    expect(await versions()).toEqual([]);
  });
});

describe('a rollback', () => {
  test('writes the version back with its senders, and the file says so', async () => {
    const { folder, routingFile, inForce, back } = await open();
    const one = await inForce(file('one', WITH_SENDERS), 'a,CUST1');
    await inForce(file('two', WITH_SENDERS), 'a,CUST2');
    await writeFile(routingFile, 'half an hour of work');
    const { version, written } = await back(one.slice(0, 5));
    expect(version).toBe(one);
    expect(written.map(({ file }) => file)).toEqual([join(folder, 'senders.csv'), routingFile]);
    const before = written.map(({ before }) => readFile(before ?? '', 'utf8'));
    expect(await Promise.all(before)).toEqual(['a,CUST2', 'half an hour of work']);
    const note = `# haptik-bridge: rolled back at 2026-11-22T12:02:00.000Z to version ${one}\n`;
    expect(await readFile(routingFile, 'utf8')).toBe(note + file('one', WITH_SENDERS));
    expect(await readFile(join(folder, 'senders.csv'), 'utf8')).toBe('a,CUST1');
    const table = await loadRouting(routingFile, { TOKEN: 't' });
    expect([table.version, table.rolledBackAt]).toEqual([one, '2026-11-22T12:02:00.000Z']);
    expect((await readdir(folder)).sort()).toEqual(['data', 'routing.yaml', 'senders.csv']);
  });

  test('of one that was rolled back to has one note', async () => {
    const { routingFile, inForce, back } = await open();
    const one = await inForce(file('one'));
    const two = await inForce(file('two'));
    await back(one);
    expect(await inForce(await readFile(routingFile, 'utf8'))).toBe(one);
    await back(two);
    await back(one);
    const [note, ...text] = (await readFile(routingFile, 'utf8')).split('\n');
    expect(note).toMatch(/^# haptik-bridge: rolled back at \S+ to version [0-9a-f]{12}$/);
    expect(text.join('\n')).toBe(file('one'));
  });

  test('is not said any more of what has been edited since', async () => {
    const { routingFile, inForce, back } = await open();
    const one = await inForce(file('one'));
    await back(one);
    await writeFile(routingFile, `${await readFile(routingFile, 'utf8')}# edited\n`);
    const table = await loadRouting(routingFile, { TOKEN: 't' });
    expect(table.version).not.toBe(one);
    expect(table.rolledBackAt).toBeUndefined();
  });

  test('leaves a link a link, and the file as private as it was', async () => {
    const { folder, routingFile, inForce, back } = await open();
    const one = await inForce(file('one'));
    await mkdir(join(folder, 'elsewhere'));
    await writeFile(join(folder, 'elsewhere', 'two.yaml'), file('two'), { mode: 0o640 });
    await rm(routingFile);
    await symlink('elsewhere/two.yaml', routingFile);
    await back(one);
    expect(await readFile(join(folder, 'elsewhere', 'two.yaml'), 'utf8')).toMatch(/\n# one\n/);
    expect((await stat(routingFile)).mode & 0o777).toBe(0o640);
  });

  test('to a version that is no good one any more writes nothing', async () => {
    const { routingFile, inForce, back } = await open();
    const one = await inForce(file('one'));
    await inForce(file('two'));
    await expect(back(one, { TOKEN: '' })).rejects.toThrow(/routing\.yaml:2:\d+: \$\{TOKEN\} is empty/);
    expect(await readFile(routingFile, 'utf8')).toBe(file('two'));
  });

  test('to what is damaged writes nothing', async () => {
    const { routingFile, kept, inForce, back } = await open();
    const one = await inForce(file('one', WITH_SENDERS), 'a,CUST1\nb,CUST2\n');
    await inForce(file('two'));
    await writeFile((await kept.list())[1]?.sendersFile ?? '', 'a,CUST1\n');
    await expect(back(one)).rejects.toThrow(
      /^what is kept of version [0-9a-f]{12} in .*routing\.yaml is damaged; take another one$/,
    );
    expect(await readFile(routingFile, 'utf8')).toBe(file('two'));
  });

  test('that cannot write the one file leaves the other as it is', async () => {
    const { folder, routingFile, inForce, back } = await open();
    const one = await inForce(file('one', WITH_SENDERS), 'a,CUST1');
    await inForce(file('two', WITH_SENDERS), 'a,CUST2');
    await rm(routingFile);
    await mkdir(routingFile);
    await expect(back(one)).rejects.toThrow(
      /routing\.yaml cannot be written here: .*, and nothing is changed; what the files should say is in /,
    );
    expect(await readFile(join(folder, 'senders.csv'), 'utf8')).toBe('a,CUST2');
  });

  test('waits for no other, and one that was broken off is known, and is over after a while', async () => {
    const { kept, inForce, back, now, setClock } = await open();
    const one = await inForce(file('one'));
    setClock(Date.now());
    await kept.whileRollingBack('x', async () => {
      expect(await kept.brokenOff()).toBe('x');
      await expect(back(one)).rejects.toThrow('another rollback is under way; see what it did, and try again');
    });
    expect(await kept.brokenOff()).toBeUndefined();
    await kept.whileRollingBack('y', async () => {
      setClock(now() + 61_000);
      await back(one);
    });
  });

  test('names what there is where it is asked for something else', async () => {
    const { inForce, back } = await open();
    await expect(back('0')).rejects.toThrow('there is no one version "0"; no version is kept');
    const one = await inForce(file('one'));
    const two = await inForce(file('two'));
    await expect(back('x')).rejects.toThrow(`there is no one version "x"; kept are ${two}, ${one}`);
    await expect(back('')).rejects.toThrow(/there is no one version ""/);
  });
});
