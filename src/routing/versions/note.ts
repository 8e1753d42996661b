/** What stands at the top of a routing file that was put back: the file says so itself, to whoever opens it next. */
export interface RollbackNote {
  /** When, as ISO 8601. */
  readonly at: string;
  /** The version that it was put back to. What it says now may be another one: people go on editing. */
  readonly version: string;
}

const NOTE = /^# haptik-bridge: rolled back at (\d{4}-\d\d-\d\dT[\d:.]+Z) to version ([0-9a-f]{12})\r?\n/;

export function withNote(text: string, { at, version }: RollbackNote): string {
  return `# haptik-bridge: rolled back at ${at} to version ${version}\n${text}`;
}

/** The note is no part of what a file says: what is put back is the version that it was. */
export function splitNote(source: string): { readonly note: RollbackNote | undefined; readonly text: string } {
  const [line = '', at, version] = NOTE.exec(source) ?? [];
  const note = at !== undefined && version !== undefined ? { at, version } : undefined;
  return { note, text: source.slice(line.length) };
}
