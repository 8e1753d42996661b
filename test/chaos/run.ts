import { parseArgs } from 'node:util';
import { runChaos } from './chaos.ts';
import { describeResult } from './report.ts';

const HELP = `npm run chaos -- [--seed N] [--seconds S] [--speed X] [--conversations C] [--pause MS]

  --seed           of the schedule of faults and of the load; by default another one each time
  --seconds        how long faults go on (60)
  --speed          how many times as fast the bridge's clock goes (10); 1: as it really does
  --conversations  that go on at the same time (60)
  --pause          between two messages of a conversation at most, in ms (500)
`;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 100_000) },
    seconds: { type: 'string', default: '60' },
    speed: { type: 'string', default: '10' },
    conversations: { type: 'string', default: '60' },
    pause: { type: 'string', default: '500' },
    help: { type: 'boolean', default: false },
  },
});
const say = (line: string) => void process.stdout.write(`${line}\n`);
const number = (name: 'seed' | 'seconds' | 'speed' | 'conversations' | 'pause') => {
  const value = Number(values[name]);
  if (Number.isSafeInteger(value) && value >= (name === 'seed' ? 0 : 1)) return value;
  say(`--${name}: "${values[name]}" is no whole number that can be used\n\n${HELP}`);
  process.exit(2);
};

if (values.help) {
  say(HELP);
} else {
  const speed = number('speed');
  const options = {
    seed: number('seed'),
    seconds: number('seconds'),
    speed,
    conversations: number('conversations'),
    pauseMs: number('pause'),
    // Twice what a held account and a message that has failed for long wait at most, and something for a slow machine.
    drainMs: 20_000 + 120_000 / speed,
    withFullDisk: true,
    say,
  };
  say(`seed ${options.seed}, ${options.seconds} s, speed ${speed}, ${options.conversations} conversations\n`);
  const interrupted = new AbortController();
  for (const stop of ['SIGINT', 'SIGTERM']) process.once(stop, () => interrupted.abort());
  const result = await runChaos(options, interrupted.signal);
  say(`\n${describeResult(result)}`);
  process.exitCode = result.isKept ? 0 : 1;
}
