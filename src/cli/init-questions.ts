import { createInterface } from 'node:readline';
import { name } from '../routing/schema/parts.ts';
import { routingFile } from '../routing/schema/schema.ts';
import { providers } from '../webhook/providers/registry.ts';
import { printable } from './print.ts';

/** What a routing file cannot be written without. No secret is among it: those stay in the environment. */
export interface Answers {
  readonly provider: string;
  readonly channel: string;
  readonly baseUrl: string;
  readonly businessId: string;
}

/** Where questions are asked and answered, if there is anybody. */
export interface Terminal {
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly output: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

/** No routing file is written. */
export class InitRefused extends Error {
  override readonly name = 'InitRefused';
}

interface Question {
  /** The option that answers it too. */
  readonly option: string;
  readonly asks: string;
  readonly accepted: string;
  fits(answer: string): boolean;
}

const { accounts } = routingFile(providers).shape;
const ALL = Object.keys(providers).join(', ');
const KEYS = ['provider', 'channel', 'baseUrl', 'businessId'] as const;
const QUESTIONS: Readonly<Record<keyof Answers, Question>> = {
  provider: {
    option: '--provider',
    asks: `Which system sends? (docs/providers.md tells of each)\n${ALL}`,
    accepted: `accepted are ${ALL}`,
    fits: (answer) => Object.hasOwn(providers, answer),
  },
  channel: {
    option: '--channel',
    asks: 'What is its channel called? It is the end of the address that the system gets: /webhooks/<name>',
    accepted: 'accepted is a name of 1 to 64 of A-Z, a-z, 0-9, "_" and "-"',
    fits: (answer) => name.safeParse(answer).success,
  },
  baseUrl: {
    option: '--base-url',
    asks: 'Where is Haptik? A URL, or the variable that holds it',
    accepted: `accepted are \${NAME}, and a URL such as https://example.haptikapi.com (http for this machine alone)`,
    fits: (answer) => /^\$\{[^{}\s]+\}$/.test(answer) || (/^\S+$/.test(answer) && isHaptik(answer)),
  },
  businessId: {
    option: '--business-id',
    asks: 'Which business is it for? Its business_id, the number that Haptik gave',
    accepted: 'accepted is a whole number such as 343',
    fits: (answer) => /^\d{1,15}$/.test(answer),
  },
};

function isHaptik(base_url: string): boolean {
  return accounts.safeParse({ main: { base_url, client_id: 'c', token: 't' } }).success;
}

/** What a channel is for, where that says more than who sends. */
const CHANNELS: Readonly<Record<string, string>> = { form: 'contact-form', generic: 'app' };

/**
 * What is given, else what is answered, else what is usual.
 *
 * @throws {InitRefused} for what is given wrong, what is missing where nobody can be asked, and who goes away
 */
export async function answersOf(given: Partial<Answers>, terminal: Terminal): Promise<Answers> {
  refuseMisfits(given);
  const { answer, end } = terminal.input.isTTY && terminal.output.isTTY ? asking(terminal) : ASSUMING;
  try {
    const provider = given.provider ?? (await answer(QUESTIONS.provider, 'form'));
    const channel = given.channel ?? (await answer(QUESTIONS.channel, CHANNELS[provider] ?? provider));
    const baseUrl = given.baseUrl ?? (await answer(QUESTIONS.baseUrl, `\${HAPTIK_BASE_URL}`));
    const businessId = given.businessId ?? (await answer(QUESTIONS.businessId));
    return { provider, channel, baseUrl, businessId };
  } finally {
    end();
  }
}

function refuseMisfits(given: Partial<Answers>): void {
  const faults = KEYS.flatMap((key) => {
    const { option, accepted, fits } = QUESTIONS[key];
    const answer = given[key];
    return answer === undefined || fits(answer) ? [] : [`${option}: "${answer}" is not understood; ${accepted}.`];
  });
  if (faults.length > 0) throw new InitRefused(faults.join('\n'));
}

interface Respondent {
  /** `usual` is what Enter alone means. */
  readonly answer: (question: Question, usual?: string) => Promise<string>;
  readonly end: () => void;
}

/** Nobody is there. */
const ASSUMING: Respondent = {
  answer: async ({ option, accepted }, usual) => {
    if (usual !== undefined) return usual;
    const others = KEYS.map((key) => QUESTIONS[key].option).filter((other) => other !== option);
    throw new InitRefused(
      `${option} is missing, and there is no terminal to ask on; ${accepted}. Beside it there are ${others.join(', ')}.`,
    );
  },
  end: () => {},
};

/** A wrong answer is said, and the question asked again. */
function asking({ input, output }: Terminal): Respondent {
  const reader = createInterface({ input, output });
  const lines = reader[Symbol.asyncIterator]();
  // Who goes away may have answered ahead: those lines still come, but there is nobody to prompt.
  let isThere = true;
  reader.once('close', () => {
    isThere = false;
  });
  return {
    answer: async ({ asks, accepted, fits }, usual) => {
      output.write(`\n${asks}\n`);
      reader.setPrompt(usual === undefined ? '> ' : `[${usual}] > `);
      for (;;) {
        if (isThere) reader.prompt();
        const line = await lines.next();
        if (line.done) {
          output.write('\n');
          throw new InitRefused('broken off before all was answered; nothing is written.');
        }
        const answer = line.value.trim() || (usual ?? '');
        if (fits(answer)) return answer;
        output.write(`${answer === '' ? '' : `"${printable(answer)}" is not understood; `}${accepted}.\n`);
      }
    },
    end: () => reader.close(),
  };
}
