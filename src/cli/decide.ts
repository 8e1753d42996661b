import { z } from 'zod';
import type { Environment } from '../settings.ts';
import { Admin, BridgeRefused } from './admin.ts';
import { type FilterOptions, filterOf, pathOf, print } from './messages.ts';
import { columns, json, properties } from './print.ts';

interface RedriveOptions extends FilterOptions {
  readonly preview?: boolean;
  readonly rate: number;
  readonly reroute?: boolean;
  readonly json?: boolean;
}

interface DiscardOptions extends FilterOptions {
  readonly reason: string;
  readonly json?: boolean;
}

const previewed = z.object({
  count: z.number(),
  conversations: z.number(),
  samples: z.array(z.looseObject({ id: z.string() })),
});
const step = z.record(z.string(), z.union([z.number(), z.boolean()]));

/** Puts one message back, or all that match. @throws {BridgeUnreachable | BridgeRefused} */
export async function redrive(id: string | undefined, options: RedriveOptions, env: Environment): Promise<void> {
  const admin = new Admin(env);
  const { rate, reroute = false } = options;
  const filter = filterBeside(id, options);
  if (id !== undefined && options.preview)
    throw new BridgeRefused('--preview is for many; of one: messages show <id>.');
  if (id !== undefined) return print(await admin.post(`${pathOf(id)}/redrive`, { reroute }), options.json);
  if (!options.preview) return report(admin.steps('/api/redrive', { filter, rate, reroute }), options.json);
  const answer = previewed.parse(await admin.post('/api/redrive', { filter, reroute, preview: true }));
  if (options.json) return console.log(json(answer));
  const { samples, ...counts } = answer;
  console.log(properties(counts));
  if (samples.length > 0) {
    const shown = samples.map(({ id, state, reason, accepted_at, auth_id }) => ({
      id,
      state,
      reason,
      accepted_at,
      auth_id,
    }));
    console.log(`\n${columns(shown)}`);
  }
}

/** Discards one message, or all that match. @throws {BridgeUnreachable | BridgeRefused} */
export async function discard(id: string | undefined, options: DiscardOptions, env: Environment): Promise<void> {
  const admin = new Admin(env);
  const { reason } = options;
  const filter = filterBeside(id, options);
  if (id !== undefined) return print(await admin.post(`${pathOf(id)}/discard`, { reason }), options.json);
  await report(admin.steps('/api/discard', { filter, reason }), options.json);
}

/** One by its id or all that match. All dead letters is something to be said, not what is left when nothing is. */
function filterBeside(id: string | undefined, options: FilterOptions): Record<string, string> {
  const filter = filterOf(options);
  const isOne = id !== undefined;
  const isMany = Object.keys(filter).length > 0;
  if (isOne !== isMany) return filter;
  const advice = isOne ? 'not both' : 'such as --state dead';
  throw new BridgeRefused(`give the id of a message, or say which are meant, ${advice}.`);
}

/** On a terminal one can see it go on. */
async function report(steps: AsyncIterable<unknown>, asJson = false): Promise<void> {
  let last = {};
  for await (const given of steps) {
    const { done: _done, ...progress } = step.parse(given);
    last = progress;
    if (process.stderr.isTTY) process.stderr.write(`\r${inWords(progress)}`);
  }
  if (process.stderr.isTTY) process.stderr.write('\n');
  console.log(asJson ? json(last) : properties(last));
}

function inWords(progress: Readonly<Record<string, unknown>>): string {
  return Object.entries(progress)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ');
}
