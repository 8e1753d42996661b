import type { ChaosResult } from './chaos.ts';

/** Of each broken promise so many messages are named. */
const NAMED = 5;

/** The result as an aligned table, and in the end whether the promises were kept. */
export function describeResult({ report, misdeeds, isKept }: ChaosResult): string {
  const { acknowledged, delivered, duplicated, decided, broken } = report;
  const causes = Object.entries(duplicated);
  const rows: readonly (readonly [string, number, string])[] = [
    ['accepted', acknowledged, ''],
    ['delivered', delivered, ''],
    [
      'duplicated',
      causes.reduce((sum, [, count]) => sum + count, 0),
      causes.map(([cause, n]) => `${cause} ${n}`).join(', '),
    ],
    ['confirmed', decided.confirm, ''],
    ['redriven', decided.redrive, ''],
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
