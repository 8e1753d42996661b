import { parseArgs } from 'node:util';
import { runChaos } from './chaos.ts';
import { describeResult } from './report.ts';
import { ACCOUNTS, type StageOptions } from './stage.ts';

const HELP = `npm run chaos -- [--replicas N [--nginx]] [--seed N] [--seconds S] [--speed X] [--conversations C] [--pause MS]

  --replicas       that share one PostgreSQL; by default one process, with a SQLite database of its own
  --nginx          in front of the replicas, as in deploy/nginx.conf; by default a balancer of the harness's own
  --seed           of the schedule of faults and of the load; by default another one each time
  --seconds        how long faults go on (60)
  --speed          how many times as fast the clock of a lone process goes (10); 1: as it really does
  --conversations  that go on at the same time (60; with replicas 36)
  --pause          between two messages of a conversation at most, in ms (500; with replicas 800)
`;

const { values } = parseArgs({
  options: {
    replicas: { type: 'string' },
    nginx: { type: 'boolean', default: false },
    seed: { type: 'string' },
    seconds: { type: 'string' },
    speed: { type: 'string' },
    conversations: { type: 'string' },
    pause: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const say = (line: string) => void process.stdout.write(`${line}\n`);
const number = (name: Exclude<keyof typeof values, 'nginx' | 'help'>, otherwise: number) => {
  const text = values[name];
  const value = text === undefined ? otherwise : Number(text);
  if (Number.isSafeInteger(value) && value >= (name === 'seed' ? 0 : 1)) return value;
  say(`--${name}: "${text}" is no whole number that can be used\n\n${HELP}`);
  process.exit(2);
};

if (values.help) {
  say(HELP);
} else {
  const isShared = values.replicas !== undefined;
  const speed = number('speed', isShared ? 1 : 10);
  const site: StageOptions['site'] = isShared
    ? {
        kind: 'shared',
        replicas: number('replicas', 1),
        balancer: values.nginx ? 'nginx' : 'simple',
        withStandby: true,
      }
    : { kind: 'alone', speed, withFullDisk: true };
  const options = {
    seed: number('seed', Date.now() % 100_000),
    seconds: number('seconds', 60),
    site,
    conversations: number('conversations', isShared ? 36 : 60),
    pauseMs: number('pause', isShared ? 800 : 500),
    // Where a hold lasts as long as it really does, the others are to have time for their own troubles.
    doubted: isShared ? ACCOUNTS.slice(0, 1) : ACCOUNTS,
    // Twice what a held account and a message that has failed for long wait at most, and something for a slow machine.
    drainMs: 20_000 + 120_000 / speed,
    say,
  };
  const where = isShared ? `${values.replicas} replicas${values.nginx ? ' behind nginx' : ''}` : `speed ${speed}`;
  say(`seed ${options.seed}, ${options.seconds} s, ${where}, ${options.conversations} conversations\n`);
  const interrupted = new AbortController();
  for (const stop of ['SIGINT', 'SIGTERM']) process.once(stop, () => interrupted.abort());
  const result = await runChaos(options, interrupted.signal);
  say(`\n${describeResult(result)}`);
  process.exitCode = result.isKept ? 0 : 1;
}
