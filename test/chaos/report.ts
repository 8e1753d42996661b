import type { ChaosResult } from './chaos.ts';

/** Of each broken promise so many messages are named. */
const NAMED = 5;

/** The result as an aligned table, and in the end whether the promises were kept. */
export function describeResult({ report, faults, restMs, misdeeds, isKept }: ChaosResult): string {
  const { acknowledged, delivered, duplicated, overlapped, decided, broken } = report;
  const rows: readonly (readonly [string, number, string])[] = [
    byCause('faults', faults),
    ['accepted', acknowledged, ''],
    ['delivered', delivered, ''],
    byCause('duplicated', duplicated),
    byCause('overlapped', overlapped),
    ['confirmed', decided.confirm, ''],
    ['redriven', decided.redrive, ''],
    ['discarded', decided.discard, ''],
    ['s until at rest', Math.ceil(restMs / 1_000), ''],
    ...Object.entries(broken).map(([breach, ids]) => [breach, ids.length, named(ids)] as const),
    ['other misdeeds', misdeeds.length, named(misdeeds)],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const digits = Math.max(...rows.map(([, count]) => String(count).length));
  const lines = rows.map(([name, count, more]) =>
    `  ${name.padEnd(width)}  ${String(count).padStart(digits)}  ${more}`.trimEnd(),
  );
  return [...lines, '', isKept ? 'All promises were kept.' : 'A PROMISE WAS BROKEN.'].join('\n');
}

function named(what: readonly string[]): string {
  return what.length > NAMED ? `${what.slice(0, NAMED).join(', ')}, …` : what.join(', ');
}

function byCause(what: string, counts: Readonly<Record<string, number>>): readonly [string, number, string] {
  const causes = Object.entries(counts);
  const sum = causes.reduce((all, [, count]) => all + count, 0);
  return [what, sum, causes.map(([cause, count]) => `${cause} ${count}`).join(', ')];
}
