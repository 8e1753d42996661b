/** Rows in columns as wide as their longest value; nothing stands as a dash. */
export function columns(rows: readonly Readonly<Record<string, unknown>>[]): string {
  const names = Object.keys(rows[0] ?? {});
  const table = [names, ...rows.map((row) => names.map((name) => shown(row[name])))];
  const widths = names.map((_name, column) => Math.max(...table.map((cells) => cells[column]?.length ?? 0)));
  return table
    .map((cells) =>
      cells
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** One thing, a property a line. */
export function properties(values: Readonly<Record<string, unknown>>): string {
  const width = Math.max(...Object.keys(values).map((name) => name.length));
  return Object.entries(values)
    .map(([name, value]) => `${name.padEnd(width)}  ${shown(value)}`)
    .join('\n');
}

export function json(value: unknown): string {
  // JSON leaves these as they are, and terminals obey them.
  return JSON.stringify(value, null, 2).replace(/[\x7f-\x9f]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
}

/** What strangers wrote cannot steer the terminal that it is shown on. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, ' ');
}

function shown(value: unknown): string {
  return value === null || value === undefined || value === '' ? '-' : printable(String(value));
}
