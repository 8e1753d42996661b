import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { checkRouting } from '../../src/routing/load.ts';
import { RoutingRefused } from '../../src/routing/problem.ts';
import type { RoutingTable } from '../../src/routing/table.ts';
import { providers } from '../../src/webhook/providers/registry.ts';
import { temporaryFolder } from '../support/fixtures.ts';
import { loadRouting } from '../support/routing.ts';

const FILE = `
accounts: { main: { base_url: "https://haptik.example", client_id: bridge, token: t } }
channels:
  chat: { verify: none }
  sms: { provider: vonage, verify: none }
  india: { verify: none, default_country: IN }
  telegram: { provider: telegram, verify: none }
routes:
  - { channel: chat, business_id: 343 }
  - { channel: sms, business_id: 343 }
  - { channel: india, business_id: 343 }
  - { channel: telegram, business_id: 343 }
senders_file: senders.csv
`;

async function write(senders: string | Buffer, file = FILE): Promise<string> {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'senders.csv'), senders);
  await writeFile(join(folder, 'routing.yaml'), file);
  return join(folder, 'routing.yaml');
}

const load = async (senders: string | Buffer, file = FILE) => loadRouting(await write(senders, file), {});

/** The auth_id of a sender as the channel's messages name him. */
function authIdOf(table: RoutingTable, channel: string, sender: string): string | undefined {
  const message = { sender, recipient: channel, text: 'Hello', fields: {}, attachments: [] };
  const placement = table.place(channel, message);
  return 'delivery' in placement ? placement.delivery.authId : undefined;
}

describe('a senders file', () => {
  test.each([
    ['with the names of its columns', 'sender,auth_id\n+919820012345,CUST1\na@example.com,CUST2\n'],
    ['without them, and without a last line break', '+919820012345,CUST1\na@example.com,CUST2'],
    ['as a spreadsheet saves it', '\uFEFFSender,Auth_ID\r\n"+919820012345","CUST1"\r\n\r\na@example.com,CUST2\r\n'],
    ['with blanks around its values', '+91 98200 12345 , CUST1\n a@example.com,\tCUST2\n'],
    ['in which one stands twice', '+919820012345,CUST1\n+91 98200-12345,CUST1\na@example.com,CUST2\n'],
  ])('%s is read', async (_how, senders) => {
    const table = await load(senders);
    expect(table.senders.size).toBe(2);
    expect(authIdOf(table, 'chat', '+919820012345')).toBe('CUST1');
    expect(authIdOf(table, 'chat', 'a@example.com')).toBe('CUST2');
    expect(authIdOf(table, 'chat', '+919820012346')).toBeUndefined();
  });

  test('is read as each channel reads its senders', async () => {
    const table = await load('919820012345,CUST1\n09820054321,CUST2\n+447700900001,CUST3\n');
    expect(authIdOf(table, 'sms', '+919820012345')).toBe('CUST1');
    expect(authIdOf(table, 'india', '+919820012345')).toBe('CUST1');
    expect(authIdOf(table, 'chat', '919820012345')).toBe('CUST1');
    expect(authIdOf(table, 'chat', '+919820012345')).toBeUndefined();
    expect(authIdOf(table, 'telegram', '919820012345')).toBe('CUST1');
    expect(authIdOf(table, 'india', '+919820054321')).toBe('CUST2');
    expect(authIdOf(table, 'sms', '+919820054321')).toBeUndefined();
    for (const channel of table.channels.keys()) expect(authIdOf(table, channel, '+447700900001')).toBe('CUST3');
  });

  test('may stand elsewhere, and beside senders of the routing file', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'all.csv'), 'b,CUST2');
    const table = await load(
      '',
      `${FILE.replace('senders.csv', join(folder, 'all.csv'))}\nsenders: { a: CUST1, b: CUST2 }`,
    );
    expect([authIdOf(table, 'chat', 'a'), authIdOf(table, 'chat', 'b')]).toEqual(['CUST1', 'CUST2']);
    expect(table.senders.size).toBe(2);
    expect([...table.senders.entries()]).toEqual([
      ['a', 'CUST1'],
      ['b', 'CUST2'],
    ]);
  });

  test('is part of the version', async () => {
    const version = async (senders: string) => (await load(senders)).version;
    expect(await version('a,CUST1')).toBe(await version('a,CUST1'));
    expect(await version('a,CUST1')).not.toBe(await version('a,CUST2'));
    const without = async (comment: string) => (await load('', FILE.replace('senders_file', comment))).version;
    expect(await without('# no')).toBe(await without('# no'));
    expect(await without('# no')).not.toBe(await without('# none'));
  });

  test('of 30,000 is read as one of three', async () => {
    const row = (n: number) => `+9198200${String(n).padStart(5, '0')},CUST${n}`;
    const table = await load(Array.from({ length: 30_000 }, (_, n) => row(n)).join('\n'));
    expect(table.senders.size).toBe(30_000);
    expect(authIdOf(table, 'chat', '+919820029999')).toBe('CUST29999');
  });

  test('that gives two senders one auth_id is told of by check', async () => {
    const path = await write('a,CUST1\nb,CUST2\nc,CUST1\n');
    const { warnings } = await checkRouting(path, {}, providers);
    const file = path.replace('routing.yaml', 'senders.csv');
    expect(warnings.filter((warning) => warning.file === file)).toEqual([
      {
        file,
        line: 3,
        column: 3,
        code: 'same_auth_id',
        message: expect.stringMatching(/to Haptik they are one person$/),
      },
    ]);
  });
});

async function problemsOf(path: string): Promise<RoutingRefused['problems']> {
  try {
    await loadRouting(path, {});
  } catch (error) {
    if (error instanceof RoutingRefused) return error.problems;
    throw error;
  }
  return [];
}

describe('a senders file is refused, by line and column, and without a second problem, ', () => {
  test.each([
    [
      'where a row has one value',
      'a,CUST1\nb\n',
      2,
      1,
      /^expected two values with a comma between them, sender,auth_id, not 1$/,
    ],
    ['where a semicolon parts them', 'a;CUST1', 1, 1, /, not a semicolon between them; save it as CSV with commas$/],
    ['where a tab parts them', 'a\tCUST1', 1, 1, /, not a tab between them; save it as CSV with commas$/],
    [
      'where a spreadsheet has cut a number short',
      '9.1982E+11,CUST1',
      1,
      1,
      /^the sender is a number that a spreadsheet has cut short; make its column text$/,
    ],
    [
      'where a row has three',
      'a,CUST1\n\nb,CUST2,x',
      3,
      1,
      /^expected two values with a comma between them, sender,auth_id, not 3$/,
    ],
    ['where a sender is blank', 'a,CUST1\n ,CUST2', 2, 1, /one of them is blank$/],
    ['where an auth_id is blank', 'a,""', 1, 1, /one of them is blank$/],
    [
      'where the columns have other names',
      'phone,user_id\na,CUST1',
      1,
      7,
      /auth_id_pattern; .*; a first line that names the columns reads sender,auth_id$/,
    ],
    [
      'where an auth_id fits no account',
      'a,CUST1\n"b",CUST-2',
      2,
      5,
      /^the auth_id fits no account's auth_id_pattern; Haptik wants letters and digits$/,
    ],
    [
      'where a sender has two auth_ids',
      '+919820012345,CUST1\na,CUST3\n+91 98200 12345,CUST2',
      3,
      1,
      /^the sender stands before, with another auth_id; a sender has one$/,
    ],
    [
      'where a channel reads two as one',
      '09820012345,CUST1\n0091 9820012345,CUST2',
      2,
      1,
      /^the sender stands before, as channel india reads it, with another auth_id/,
    ],
    [
      'where a quote is not closed',
      'a,CUST1\n"b,CUST2\nc,CUST3\n',
      2,
      1,
      /^not valid CSV: a quote \("\) is not closed$/,
    ],
    [
      'where a quote is not closed, in a long file',
      `"a,CUST1\n${'b,CUST2\n'.repeat(2_000)}`,
      1,
      1,
      /^not valid CSV: a row is longer than 10000 characters; is a quote \("\) not closed\?$/,
    ],
    ['where a quote stands in a value', 'a"b,CUST1', 1, 1, /^not valid CSV: a quote \("\) stands within a value/],
    ['where something follows a quote', '"a"b,CUST1', 1, 1, /^not valid CSV: after a closing quote/],
    [
      'where it is not UTF-8',
      Buffer.from('a,CUST1\nm\xfcller,CUST2', 'latin1'),
      2,
      1,
      /^is not UTF-8; save the file as "CSV UTF-8"$/,
    ],
    ['where a value is too long', `${'a'.repeat(1_001)},CUST1`, 1, 1, /^a value is longer than 1000 characters$/],
    ['where it is empty', '', 1, 1, /^no sender stands in it/],
    ['where it has nothing but the names of its columns', 'sender,auth_id\n', 1, 1, /^no sender stands in it/],
  ] as const)('%s', async (_how, senders, line, column, message) => {
    const path = await write(senders);
    expect(await problemsOf(path)).toEqual([
      {
        file: path.replace('routing.yaml', 'senders.csv'),
        line,
        column,
        code: expect.stringMatching(/^[a-z_]+$/),
        message: expect.stringMatching(message),
      },
    ]);
  });

  test('the first twenty in full, and how many there are', async () => {
    const problems = await problemsOf(await write('a\n'.repeat(1_500)));
    expect(problems).toHaveLength(21);
    expect(problems.at(-2)).toMatchObject({ code: 'csv', line: 20 });
    expect(problems.at(-1)).toMatchObject({ code: 'more', line: 20, message: 'and 1,480 more, after this line' });
  });

  test('where it is not there, or no file, in the routing file', async () => {
    const path = await write('a,CUST1');
    const file = path.replace('routing.yaml', 'senders.csv');
    await rm(file);
    const refusal = { file: path, line: 13, column: 15, code: 'unreadable_file' };
    const message = `senders_file: ${file} cannot be read: there is no such file (ENOENT)`;
    expect(await problemsOf(path)).toEqual([{ ...refusal, message }]);
    await mkdir(file);
    expect(await problemsOf(path)).toEqual([
      { ...refusal, message: `senders_file: ${file} cannot be read: it is no file` },
    ]);
  });

  test.each([
    ['as it is written', 'a', 'a,CUST2'],
    ['in another way', '"+91 98200 12345"', '+919820012345,CUST2'],
    ['as a channel reads the one', '919820012345', '+919820012345,CUST2'],
    ['as a channel reads the other', '"+919820012345"', '919820012345,CUST2'],
  ])('where a sender has another auth_id in the routing file, %s', async (_how, listed, senders) => {
    const path = await write(senders, `${FILE}senders:\n  ${listed}: CUST1\n`);
    const message = `senders.${listed.replaceAll('"', '')}: has another auth_id in ${path.replace('routing.yaml', 'senders.csv')}`;
    expect(await problemsOf(path)).toEqual([{ file: path, line: 15, column: 3, code: 'duplicate', message }]);
  });
});
