import { expect, test } from '@jest/globals';
import { runChaos } from './chaos.ts';
import { describeResult } from './report.ts';

test('three replicas, killed, stopped, asleep for longer than a lease, cut off from a database that is restarted: the promises are kept', async () => {
  const timeline: string[] = [];
  // A seed with every kind of blow in so short a time.
  const options = { seed: 151, seconds: 25, conversations: 18, pauseMs: 400, drainMs: 60_000 };
  // Where credentials are refused the account waits for half a minute: that is left to longer runs.
  const site = { kind: 'shared', replicas: 3, balancer: 'simple', withStandby: false } as const;
  const result = await runChaos(
    { ...options, site, doubted: [], say: (line) => timeline.push(line) },
    new AbortController().signal,
  );
  expect(result.isKept ? '' : [...timeline, describeResult(result)].join('\n')).toBe('');
  expect(result.report.acknowledged).toBeGreaterThan(100);
  expect(result.report.decided.redrive).toBeGreaterThan(0);
}, 180_000);
