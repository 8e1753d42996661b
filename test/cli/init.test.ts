import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { parseDocument } from 'yaml';
import { init } from '../../src/cli/init.ts';
import { starterFile, variablesOf } from '../../src/cli/init-file.ts';
import { checkRouting } from '../../src/routing/load.ts';
import { providers } from '../../src/webhook/providers/registry.ts';
import { temporaryFolder } from '../support/fixtures.ts';
import { ROOT, runCli } from '../support/process.ts';

const BASE_URL = `\${HAPTIK_BASE_URL}`;
const GIVEN = { provider: 'form', channel: 'contact-form', baseUrl: BASE_URL, businessId: '343' };

/** What a variable stands for, of the right kind. */
function standIn(name: string): string {
  if (name.endsWith('_BASE_URL')) return 'https://h.example';
  if (name.endsWith('_PUBLIC_KEY')) return Buffer.alloc(32, 7).toString('base64');
  if (name.endsWith('_TOPIC_ARN')) return 'arn:aws:sns:eu-west-1:123456789012:sms';
  return 'user:password';
}

async function checked(source: string) {
  const folder = await temporaryFolder();
  const file = join(folder, 'routing.yaml');
  await writeFile(file, source);
  await writeFile(join(folder, 'senders.csv'), 'sender,auth_id\nu7,CUST7\n');
  const variables = [...source.matchAll(/\$\{(\w+)\}/g)].map(([, name = '']) => name);
  return checkRouting(file, Object.fromEntries(variables.map((name) => [name, standIn(name)])), providers);
}

const EXAMPLE = /^ *# \S.*\n(?: *# {2,}.*\n)*/gm;
const uncommented = (lines: string) => lines.replace(/^( *)# /gm, '$1');

describe.each(Object.entries(providers))('the file for %s', (provider, traits) => {
  const file = starterFile({ ...GIVEN, provider, channel: provider }, traits);
  const [head = '', ...rest] = file.split('\n\n');
  const body = rest.join('\n\n');

  test('is one that check has nothing to say of', async () => {
    const { table, warnings } = await checked(file);
    expect([table.channels.get(provider)?.provider, warnings]).toEqual([provider, []]);
    expect(table.channels.get(provider)?.verify === 'none').toBe(provider === 'form');
  });

  test('has examples that hold when they are uncommented, each and all of them', async () => {
    const examples = body.match(EXAMPLE) ?? [];
    expect(examples.length).toBeGreaterThanOrEqual(4);
    for (const example of examples) await checked(`${head}\n\n${body.replace(example, uncommented)}`);
    const { warnings } = await checked(`${head}\n\n${body.replace(EXAMPLE, uncommented)}`);
    // What is left to say of them: nothing leads to the second account yet.
    expect(warnings.map(({ code }) => code)).toEqual(['unused']);
  });

  test('refers to secrets, and to nothing that editors cannot read', () => {
    expect(variablesOf(file)).toEqual(expect.arrayContaining(['HAPTIK_BASE_URL', 'HAPTIK_CLIENT_ID', 'HAPTIK_TOKEN']));
    expect(variablesOf(file).length - 3).toBe(provider === 'form' ? 0 : traits.hasVerifyToken ? 2 : 1);
    expect(parseDocument(file).errors).toEqual([]);
    expect(parseDocument(`${head}\n\n${body.replace(EXAMPLE, uncommented)}`).errors).toEqual([]);
  });

  test('comes with a page that tells more', async () => {
    const output = new PassThrough();
    const options = { ...GIVEN, provider, file: join(await temporaryFolder(), 'routing.yaml') };
    await init(options, {}, { input: new PassThrough(), output });
    const [, page = '', anchor = ''] = /: (\S+\.md)#(\S+)$/m.exec(await text(output.end())) ?? [];
    const headings = [...readFileSync(join(ROOT, page), 'utf8').matchAll(/^#+ (.*)$/gm)];
    expect(headings.map(([, heading = '']) => heading.toLowerCase().replaceAll(' ', '-'))).toContain(anchor);
  });
});

test.each(['true', 'null', '007', '-', '--', '1e3', '0x1F', 'no', '_', '24-7'])(
  'a channel may be called %s',
  async (channel) => {
    const { table, warnings } = await checked(
      starterFile({ ...GIVEN, provider: 'twilio', channel }, providers.twilio ?? fail()),
    );
    expect([[...table.channels.keys()], warnings]).toEqual([[channel], []]);
  },
);

function fail(): never {
  throw new Error('there is no twilio');
}

describe('by options, without a terminal', () => {
  async function run(cwd: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const program = runCli(['init', ...args], { cwd, env });
    return { code: await program.ended(), output: program.output() };
  }

  test('writes the file and says what comes next; check accepts it then', async () => {
    const cwd = await temporaryFolder();
    const options = ['--provider', 'twilio', '--channel', 'support-sms', '--business-id', '0343'];
    const { code, output } = await run(cwd, options, { HAPTIK_TOKEN: 't' });
    expect(code).toBe(0);
    expect(output).toMatch(/^routing\.yaml is written/m);
    expect(output.match(/^ {2}[A-Z_]+=.*$/gm)).toEqual([
      '  HAPTIK_BASE_URL=',
      '  HAPTIK_CLIENT_ID=',
      '  SUPPORT_SMS_SECRET=',
    ]);
    expect(output).toMatch(/haptik-bridge schema > routing\.schema\.json .*haptik-bridge check .*haptik-bridge serve/s);
    expect(output).toMatch(/address https:\/\/<your host>\/webhooks\/support-sms to POST/);
    expect(await readFile(join(cwd, 'routing.yaml'), 'utf8')).toMatch(/^ {4}business_id: 343 /m);
    await writeFile(
      join(cwd, '.env'),
      'HAPTIK_BASE_URL=https://h.example\nHAPTIK_CLIENT_ID=c\nHAPTIK_TOKEN=t\nSUPPORT_SMS_SECRET=s\n',
    );
    const check = runCli(['check', '--strict'], { cwd });
    expect([await check.ended(), check.output()]).toEqual([0, expect.stringMatching(/^routing\.yaml is fine/)]);
  });

  test('a file of another name is one that ROUTING_FILE has to name, unless it does', async () => {
    const cwd = await temporaryFolder();
    await writeFile(join(cwd, 'routing.schema.json'), '{}');
    const { output } = await run(cwd, [
      '--business-id',
      '1',
      '--file',
      'my.yaml',
      '--base-url',
      'http://127.0.0.1:8081',
    ]);
    expect(output).toMatch(/^ {2}ROUTING_FILE=my\.yaml$/m);
    expect(output).not.toMatch(/HAPTIK_BASE_URL|haptik-bridge schema/);
    expect(await readFile(join(cwd, 'my.yaml'), 'utf8')).toMatch(/^ {4}base_url: http:\/\/127\.0\.0\.1:8081$/m);
    const usual = await run(cwd, ['--business-id', '1'], { ROUTING_FILE: 'usual.yaml' });
    expect(usual.output).toMatch(/^usual\.yaml is written/m);
    expect(usual.output).not.toMatch(/ROUTING_FILE/);
  });

  test('what has no default is named, with the other options', async () => {
    const cwd = await temporaryFolder();
    expect(await run(cwd, [])).toEqual({
      code: 1,
      output: expect.stringMatching(/^--business-id is missing, .* 343\. .* --provider, --channel, --base-url\.\n$/),
    });
    expect(readdirSync(cwd)).toEqual([]);
  });

  test('whatever is given wrong is told together, with what is accepted', async () => {
    const cwd = await temporaryFolder();
    const options = [
      '--provider',
      'twillio',
      '--channel',
      'a b',
      '--base-url',
      'http://h.example',
      '--business-id',
      'x',
    ];
    const { code, output } = await run(cwd, options);
    expect([code, output.trim().split('\n')]).toEqual([
      1,
      [
        expect.stringMatching(/^--provider: "twillio" is not understood; accepted are generic, form, .*twilio/),
        expect.stringMatching(/^--channel: "a b" is not understood; accepted is a name/),
        expect.stringMatching(
          /^--base-url: "http:\/\/h\.example" is not understood; accepted are \$\{NAME\}, and a URL/,
        ),
        '--business-id: "x" is not understood; accepted is a whole number such as 343.',
      ],
    ]);
    expect(readdirSync(cwd)).toEqual([]);
  });

  test('a file that is there is left as it is', async () => {
    const cwd = await temporaryFolder();
    await writeFile(join(cwd, 'routing.yaml'), 'mine');
    const { code, output } = await run(cwd, ['--business-id', '1']);
    expect([code, output]).toEqual([1, expect.stringMatching(/^routing\.yaml is there already, .* --file\.$/m)]);
    expect(await readFile(join(cwd, 'routing.yaml'), 'utf8')).toBe('mine');
  });

  test.each([
    ['gone/routing.yaml', 'there is no such file (ENOENT)'],
    ['file/routing.yaml', 'ENOTDIR'],
  ])('%s cannot be written, and why', async (file, fault) => {
    const cwd = await temporaryFolder();
    await writeFile(join(cwd, 'file'), '');
    const { code, output } = await run(cwd, ['--business-id', '1', '--file', file]);
    expect([code, output]).toEqual([
      1,
      expect.stringContaining(`${file} cannot be written: ${fault}; see to its folder`),
    ]);
  });

  test('what cannot be written whole is not written', async () => {
    const cwd = join(await temporaryFolder(), 'small');
    await mkdir(cwd);
    const command = `ulimit -f 0; exec "${process.execPath}" "${join(ROOT, 'src/cli.ts')}" init --business-id 1`;
    const env = { PATH: process.env.PATH ?? '', NODE_DISABLE_COMPILE_CACHE: '1' };
    await expect(promisify(execFile)('sh', ['-c', command], { cwd, env })).rejects.toMatchObject({
      code: 1,
      stderr: 'routing.yaml cannot be written: EFBIG; see to its folder, or name another with --file.\n',
    });
    expect(await readdir(cwd)).toEqual([]);
  });
});

describe('on a terminal', () => {
  /** Types what it is given, and goes away. */
  async function typed(keys: string, options: Parameters<typeof init>[0] = {}) {
    const file = join(await temporaryFolder(), 'routing.yaml');
    const input = Object.assign(new PassThrough(), { isTTY: true });
    const output = Object.assign(new PassThrough(), { isTTY: true });
    const shown = text(output);
    input.end(keys);
    const failed = await init({ file, ...options }, {}, { input, output }).then(
      () => undefined,
      (error: Error) => error,
    );
    output.end();
    const written = existsSync(file) ? await readFile(file, 'utf8') : undefined;
    return { failed, written, shown: await shown };
  }

  test('four questions make the file; Enter takes what is usual', async () => {
    const { written, shown, failed } = await typed('twilio\n\n\n343\n');
    expect([failed, written]).toEqual([
      undefined,
      starterFile(
        { provider: 'twilio', channel: 'twilio', baseUrl: BASE_URL, businessId: '343' },
        providers.twilio ?? fail(),
      ),
    ]);
    expect(shown.match(/\?/g)).toHaveLength(4);
    expect(shown).toMatch(/\/webhooks\/twilio to POST/);
  });

  test('a wrong answer is said, and the question asked again', async () => {
    const { written, shown } = await typed('twillio\nform\na b\nweb\nnope\nhttps://h.example/\n\n-1\n7\n');
    expect(shown).toContain('"twillio" is not understood; accepted are generic, form, ');
    expect(shown).toContain('"a b" is not understood; accepted is a name');
    expect(shown).toContain(`"nope" is not understood; accepted are \${NAME}, and a URL`);
    expect(shown).toContain('"-1" is not understood; accepted is a whole number');
    expect(written).toMatch(/^ {2}web:\n.* business_id: 7 /ms);
    expect(written).toContain('    base_url: https://h.example/\n');
  });

  test('what an option answers is not asked', async () => {
    const { written, shown } = await typed('\n343\n', { provider: 'slack', baseUrl: 'https://h.example' });
    expect(shown).not.toMatch(/Which system|Where is Haptik/);
    expect(written).toContain('provider: slack');
  });

  test('a wrong option is told before anything is asked', async () => {
    const { failed, shown } = await typed('', { businessId: 'x' });
    expect([failed?.message, shown]).toEqual([expect.stringMatching(/^--business-id: "x"/), '']);
  });

  test.each([
    ['Ctrl-C', 'twilio\n\x03'],
    ['Ctrl-D', 'twilio\nsms\n\x04'],
    ['the end of input', 'twilio\nsms\n'],
  ])('%s leaves nothing behind', async (_name, keys) => {
    const { failed, written } = await typed(keys);
    expect([failed?.name, failed?.message, written]).toEqual([
      'InitRefused',
      expect.stringMatching(/nothing is written/),
      undefined,
    ]);
  });
});
