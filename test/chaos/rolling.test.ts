import { expect, test } from '@jest/globals';
import { waitFor } from '../support/server.ts';
import { drained, judge } from './chaos.ts';
import { isKept } from './checker.ts';
import { startLoad } from './load.ts';
import { Operator } from './operator.ts';
import { setStage } from './stage.ts';

test('three replicas are replaced one by one under load, and no sender notices', async () => {
  const site = { kind: 'shared', replicas: 3, balancer: 'watchful', withStandby: false } as const;
  await using stage = await setStage({ seed: 1, seconds: 0, site });
  const bridges = stage.replicas.map(({ bridge }) => bridge);
  const allReady = () => waitFor('all are ready', async () => stage.balancer?.ready === bridges.length);
  for (const bridge of bridges) bridge.start();
  await allReady();

  const load = startLoad({ seed: 1, conversations: 18, pauseMs: 200 }, stage);
  const counts: number[] = [];
  for (const bridge of bridges) {
    // As Kubernetes does: told to stop while it gets new connections still, and started anew when it has ended.
    await bridge.stop();
    await allReady();
    counts.push(load.acknowledged.length);
  }
  await load.stop(10_000);
  const misdeeds: string[] = [];
  const [first] = bridges;
  const operator = new Operator({
    desk: () => ({ adminUrl: first?.adminUrl, troubles: { isFelt: false } }),
    onMisdeed: (what) => misdeeds.push(what),
  });
  misdeeds.push(...(await drained(operator, 20_000)));
  await Promise.all(bridges.map((bridge) => bridge.close()));

  const kept = await stage.read();
  const report = judge(stage, { load, stalls: [], decisions: [], holds: [], kept });
  expect(load.failures).toEqual([]);
  expect([...misdeeds, ...kept.damage, ...bridges.flatMap((bridge) => bridge.misdeeds)]).toEqual([]);
  expect(report.broken).toEqual(Object.fromEntries(Object.keys(report.broken).map((breach) => [breach, []])));
  expect(isKept(report)).toBe(true);
  expect(bridges.map(({ starts }) => starts)).toEqual([2, 2, 2]);
  // It went on while each of them was replaced.
  expect(counts.every((count, index) => count > (counts[index - 1] ?? 0))).toBe(true);
}, 90_000);
