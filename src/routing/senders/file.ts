import { dirname, isAbsolute, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { normaliseSender, type SenderRule } from '../../sender.ts';
import type { Problem } from '../problem.ts';
import type { RoutingFile } from '../schema/schema.ts';
import type { RowProblems } from './rows.ts';
import { type ChannelRule, packedSenders, type Senders } from './senders.ts';
import type { Answer, Task } from './thread.ts';

export type SendersFile =
  /** The system's word for why. */
  | { readonly unreadable: string }
  | {
      readonly senders: Senders;
      /** Of the file's bytes. */
      readonly hash: string;
      readonly problems: readonly Problem[];
      readonly warnings: readonly Problem[];
    };

/** Beside the routing file, where it does not say otherwise; undefined where there is none. */
export function sendersFileOf(routingFile: string, { senders_file: file }: RoutingFile): string | undefined {
  return file === undefined || isAbsolute(file) ? file : join(dirname(routingFile), file);
}

/**
 * Reads a senders file: CSV (RFC 4180) of `sender,auth_id` in UTF-8, with a first line of these names or without.
 *
 * @param rules by which its senders are read, each once
 * @param warns tell also what is allowed and probably not meant
 */
export async function readSendersFile(
  path: string,
  { accounts }: RoutingFile,
  { rules, warns }: { readonly rules: readonly ChannelRule[]; readonly warns: boolean },
): Promise<SendersFile> {
  const patterns = [...new Set(Object.values(accounts).map(({ auth_id_pattern: { source } }) => source))];
  const answer = await ask({ file: path, rules, patterns, warns });
  if ('unreadable' in answer) return answer;
  const { hash, everywhere, byRule, faults, warnings } = answer;
  return {
    senders: packedSenders(everywhere, byRule, rules),
    hash,
    problems: told(path, faults),
    warnings: told(path, warnings),
  };
}

/** The senders of a file that was good once, in their usual form; undefined where it cannot be read. */
export async function readAnySenders(path: string): Promise<Senders | undefined> {
  const answer = await ask({ file: path, rules: [], patterns: ['(?s).*'], warns: false });
  return 'unreadable' in answer ? undefined : packedSenders(answer.everywhere, [], []);
}

/** A thread of its own: what takes seconds where the file is long keeps nobody else waiting. */
function ask(task: Task): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const thread = new Worker(new URL('./thread.ts', import.meta.url), { workerData: task });
    thread.once('message', resolve);
    thread.once('error', reject);
    thread.once('exit', (code) => reject(new Error(`the thread that reads it ended (${code})`)));
  });
}

function told(file: string, { first, count }: RowProblems): readonly Problem[] {
  const rest = count - first.length;
  const last = first.at(-1);
  if (rest === 0 || last === undefined) return first.map((problem) => ({ file, ...problem }));
  const more = { ...last, code: 'more', message: `and ${rest.toLocaleString('en')} more, after this line` };
  return [...first, more].map((problem) => ({ file, ...problem }));
}

/** The senders of the routing file that have another auth_id in a senders file, to anybody who reads them. */
export function sendersInBoth(
  { senders: listed }: RoutingFile,
  inFile: Senders,
  rules: readonly SenderRule[],
): readonly string[] {
  const isOther = (sender: string, authId: string, rule?: SenderRule) => {
    const known = inFile.authIdOf(normaliseSender(sender, rule?.country, rule?.kind), rule);
    return known !== undefined && known !== authId;
  };
  return Object.entries(listed).flatMap(([sender, authId]) =>
    [undefined, ...rules].some((rule) => isOther(sender, authId, rule)) ? [sender] : [],
  );
}
