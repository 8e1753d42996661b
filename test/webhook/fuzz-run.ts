import { parseArgs } from 'node:util';
import { fuzz } from './fuzz-presets.ts';

const HELP = `npm run fuzz -- [--runs N] [--seed N]

  --runs  how many requests (100000)
  --seed  of what is sent; by default another one each time
`;

/** Caches fill up; a leak of what is sent would be many times that. */
const LEEWAY_MB = 20;

const { values } = parseArgs({
  options: { runs: { type: 'string' }, seed: { type: 'string' }, help: { type: 'boolean', default: false } },
});
const say = (line: string) => void process.stdout.write(`${line}\n`);
const number = (name: 'runs' | 'seed', otherwise: number) => {
  const text = values[name];
  const value = text === undefined ? otherwise : Number(text);
  if (Number.isSafeInteger(value) && value >= (name === 'seed' ? 0 : 1)) return value;
  say(`--${name}: "${text}" is no whole number that can be used\n\n${HELP}`);
  process.exit(2);
};

if (values.help) {
  say(HELP);
} else {
  const seed = number('seed', Date.now() % 100_000);
  say(`seed ${seed}`);
  const { fault, runs, seconds, slowestMs, stored, memory } = await fuzz({
    seed,
    runs: number('runs', 100_000),
    say,
  });
  const took = `${Math.round(seconds)} s, the slowest in ${Math.round(slowestMs)} ms`;
  const most = Math.max(0, ...memory.map(({ rssMb }) => rssMb));
  say(`${runs} requests in ${took}; ${stored} messages stored; ${most} MB with the generator at most`);
  // The first tenth fills what is filled once.
  const growth = (memory.at(-1)?.usedMb ?? 0) - (memory[0]?.usedMb ?? 0);
  const leak = growth > LEEWAY_MB ? `what is in use grew by ${growth} MB` : undefined;
  say(fault ?? leak ?? 'nothing found');
  process.exitCode = (fault ?? leak) === undefined ? 0 : 1;
}
