import { chmod, chown, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { replaceFiles } from '../../src/routing/versions/replace-files.ts';
import { temporaryFolder } from '../support/fixtures.ts';

async function open() {
  const folder = await temporaryFolder();
  let names = 0;
  const at = (name: string) => join(folder, name);
  const replace = (files: Readonly<Record<string, string>>) =>
    replaceFiles(
      Object.entries(files).map(([name, text]) => ({ file: at(name), content: Buffer.from(text) })),
      () => `new-${names++}`,
    );
  const texts = async () => {
    const names = (await readdir(folder)).sort();
    return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readFile(at(name), 'utf8')])));
  };
  await writeFile(at('a'), 'old a');
  await writeFile(at('b'), 'old b');
  return { at, replace, texts };
}

test('all are replaced, and nothing else is left', async () => {
  const { replace, texts } = await open();
  await replace({ a: 'new', b: 'new b', c: '' });
  expect(await texts()).toEqual({ a: 'new', b: 'new b', c: '' });
});

test.each([
  ['missing/b', 'there is no such file (ENOENT)'],
  [`${'x'.repeat(252)}`, 'ENAMETOOLONG'],
  ['a/b', 'ENOTDIR'],
])('none is where one cannot be: %s', async (name, why) => {
  const { at, replace, texts } = await open();
  const replacing = replace({ a: 'new a', [name]: 'new' });
  await expect(replacing).rejects.toThrow(`${at(name)} cannot be written here: ${why}`);
  expect(await texts()).toEqual({ a: 'old a', b: 'old b' });
});

test('a file that may only be read keeps its rights, and its owner where we may give it away', async () => {
  const { at, replace } = await open();
  await chmod(at('a'), 0o440);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) await chown(at('a'), 65_534, 65_534);
  const before = await stat(at('a'));
  await replace({ a: 'new a' });
  const { mode, uid, gid, ino } = await stat(at('a'));
  expect([mode, uid, gid]).toEqual([before.mode, before.uid, before.gid]);
  expect(ino).not.toBe(before.ino);
});

test('what was not there before is for nobody else to read', async () => {
  const { at, replace } = await open();
  await replace({ c: 'new' });
  expect((await stat(at('c'))).mode & 0o077).toBe(0);
});

test('what is behind a link is replaced, not the link', async () => {
  const { at, replace } = await open();
  await mkdir(at('folder'));
  await symlink('../b', at('folder/link'));
  await replace({ 'folder/link': 'new b' });
  expect(await readFile(at('b'), 'utf8')).toBe('new b');
  expect(await readFile(at('folder/link'), 'utf8')).toBe('new b');
});
