import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { reasonOf } from '../fault.ts';
import type { Environment } from '../settings.ts';
import { Admin } from './admin.ts';
import { json, printable } from './print.ts';

interface Options {
  readonly last: number;
  readonly json?: boolean;
}

/** The file cannot be read. */
export class FileUnreadable extends Error {
  override readonly name = 'FileUnreadable';
}

const fate = z.object({
  route: z.string().nullable(),
  account: z.string().nullable(),
  business_id: z.number().nullable(),
  auth_id: z.string().nullable(),
  text: z.string().nullable(),
  reason: z.string().nullable(),
});
type Fate = z.output<typeof fate>;

const answer = z.looseObject({
  version: z.string(),
  against: z.string(),
  count: z.number(),
  erased: z.number(),
  unchanged: z.number(),
  renamed: z.number(),
  gone: z.number(),
  unroutable: z.number(),
  routable: z.number(),
  elsewhere: z.number(),
  auth_id: z.number(),
  text: z.number(),
  read_otherwise: z.array(z.string()),
  examples: z.array(
    z.object({
      id: z.string(),
      channel: z.string(),
      sender: z.string(),
      differences: z.array(z.string()),
      before: fate,
      after: fate,
    }),
  ),
});
type Answer = z.output<typeof answer>;

/**
 * Has the running bridge route its last messages by a file, and shows what would become of them.
 *
 * @param file the one that the bridge has where left out
 * @throws {BridgeUnreachable | BridgeRefused} with every problem of the file; {FileUnreadable}
 */
export async function dryRun(
  file: string | undefined,
  { last, json: asJson }: Options,
  env: Environment,
): Promise<void> {
  const draft = file === undefined ? {} : { source: await read(file), name: file };
  const done = answer.parse(await new Admin(env).post('/api/routing/dry-run', { ...draft, last }));
  console.log(asJson ? json(done) : report(done));
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new FileUnreadable(`${file} cannot be read: ${reasonOf(error)}.`);
  }
}

function report({ version, against, count, erased, read_otherwise, examples, ...counts }: Answer): string {
  const rows: readonly (readonly [number, string])[] = [
    [counts.unchanged, 'as before'],
    [counts.gone, 'answered 503, and not stored: their channel is gone'],
    [counts.unroutable, 'dead letters, which were delivered'],
    [counts.routable, 'delivered, which were dead letters'],
    [counts.elsewhere, 'to another account or business_id'],
    [counts.auth_id, `with another auth_id: ${counts.renamed} senders become other people`],
    [counts.text, 'with another text'],
    [erased, 'not known: what was said is erased'],
  ];
  const told = rows.filter(([number]) => number > 0).map(([number, what]) => `${String(number).padStart(7)}  ${what}`);
  const otherwise = read_otherwise.map(
    (channel) => `Channel ${channel} reads payloads otherwise: its messages are taken as they were read before.`,
  );
  return [
    `The last ${count} messages by version ${version}, against ${against}, which is in force (one may be in several lines):`,
    ...told,
    ...otherwise,
    ...(examples.length > 0 ? ['', 'Some of them:'] : []),
    ...examples.map(
      ({ id, channel, sender, differences, before, after }) =>
        `\n${id}  ${channel}  ${printable(sender)}  ${differences.join(', ')}\n  before  ${inWords(before)}\n  after   ${inWords(after)}`,
    ),
  ].join('\n');
}

function inWords({ route, account, business_id, auth_id, text, reason }: Fate): string {
  if (reason === 'gone') return 'answered 503';
  if (reason !== null) return `dead letter, ${reason}`;
  return printable(`${route}: ${account}, business_id ${business_id}, auth_id ${auth_id}, ${JSON.stringify(text)}`);
}
