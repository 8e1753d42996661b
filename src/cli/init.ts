import { accessSync, constants, existsSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { propertyOf, reasonOf } from '../fault.ts';
import { DEFAULTS, type Environment } from '../settings.ts';
import { generic } from '../webhook/providers/generic.ts';
import { providers } from '../webhook/providers/registry.ts';
import { starterFile, variablesOf } from './init-file.ts';
import { type Answers, answersOf, InitRefused, type Terminal } from './init-questions.ts';

interface Options extends Partial<Answers> {
  readonly file?: string;
}

/**
 * Writes a routing file to begin with, and says what comes next. What no option says is asked, where there is somebody to
 * answer. A file that is there already is left as it is.
 *
 * @throws {InitRefused} and nothing is left behind
 */
export async function init({ file: named, ...given }: Options, env: Environment, terminal: Terminal): Promise<void> {
  const usual = env.ROUTING_FILE ?? DEFAULTS.ROUTING_FILE;
  const file = named ?? usual;
  refuseBeforehand(file);
  const answers = await answersOf(given, terminal);
  const text = starterFile(answers, providers[answers.provider] ?? generic);
  await write(file, text);
  const unset = variablesOf(text).filter((variable) => !env[variable]);
  const settings = [...unset.map((variable) => `${variable}=`), ...(file === usual ? [] : [`ROUTING_FILE=${file}`])];
  terminal.output.write(nextSteps(file, settings, answers));
}

/** Nobody answers questions for nothing. */
function refuseBeforehand(file: string): void {
  if (existsSync(file)) throw existing(file);
  try {
    accessSync(dirname(file), constants.W_OK);
  } catch (error) {
    throw unwritable(file, error);
  }
}

async function write(file: string, text: string): Promise<void> {
  try {
    const handle = await open(file, 'wx');
    try {
      await handle.writeFile(text);
    } catch (error) {
      await rm(file, { force: true });
      throw error;
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw propertyOf(error, 'code') === 'EEXIST' ? existing(file) : unwritable(file, error);
  }
}

function existing(file: string): InitRefused {
  return new InitRefused(`${file} is there already, and is left as it is; move it away, or name another with --file.`);
}

function unwritable(file: string, error: unknown): InitRefused {
  return new InitRefused(
    `${file} cannot be written: ${reasonOf(error)}; see to its folder, or name another with --file.`,
    {
      cause: error,
    },
  );
}

/** Where more is told of a provider than in the table of all. */
const PAGES: Readonly<Record<string, string>> = {
  form: 'README.md#sending-to-it',
  generic: 'README.md#sending-to-it',
  'google-forms': 'docs/providers.md#google-forms',
};

function nextSteps(file: string, settings: readonly string[], { provider, channel }: Answers): string {
  const schema = join(dirname(file), 'routing.schema.json');
  const steps = [
    ...(settings.length > 0
      ? ['  # put into .env, with their values:', ...settings.map((line) => `  ${line}`), '']
      : []),
    ...(existsSync(schema)
      ? []
      : [`  npx haptik-bridge schema > ${schema}    # by which editors complete and check it`]),
    '  npx haptik-bridge check    # what it says, or what is wrong: file, line, column',
    '  npx haptik-bridge serve',
  ];
  return `
${file} is written. Next:

${steps.join('\n')}

Then ${provider} gets the address https://<your host>/webhooks/${channel} to POST to.
More of that: ${PAGES[provider] ?? 'docs/providers.md#which-there-are'}
`;
}
