export type Row = readonly (string | number)[];

/** Prints a table: the first column to the left, numbers to the right. */
export function printTable(title: string, head: readonly string[], rows: readonly Row[]): void {
  const cells = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const lines = cells.map((row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))),
  );
  console.log(`\n${title}\n`);
  for (const line of lines) console.log(`  ${line.join('   ')}`);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [upper = Number.NaN, lower = upper] = [sorted[middle], sorted[sorted.length % 2 === 0 ? middle - 1 : middle]];
  return (lower + upper) / 2;
}

/**
 * The median of a contestant's figures, and its ratio to the base's figures of the same round.
 *
 * @param rounds of each round a figure a contestant
 */
export function ratioColumns(
  rounds: readonly (readonly number[])[],
  index: number,
  base = 0,
  digits = 0,
): [figure: string, ratio: string, range: string] {
  const ratios = rounds.map((round) => (round[index] ?? Number.NaN) / (round[base] ?? Number.NaN));
  const range = index === base ? '' : `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`;
  const figure = median(rounds.map((round) => round[index] ?? Number.NaN)).toFixed(digits);
  return [figure, median(ratios).toFixed(2), range];
}
