/** What was thrown, as text for people. `Error.isError` also knows errors of other realms (workers, test sandboxes). */
export function messageOf(thrown: unknown): string {
  return Error.isError(thrown) ? thrown.message : String(thrown);
}

/** The property of that name of what was thrown, such as `code` (ENOENT) or SQLite's `errcode`. */
export function propertyOf(thrown: unknown, name: string): unknown {
  return Error.isError(thrown) ? (thrown as Error & { readonly [key: string]: unknown })[name] : undefined;
}

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is a folder',
};

/** Why a file cannot be read or written, as text for people, with the system's word for it. */
export function reasonOf(thrown: unknown): string {
  const code = propertyOf(thrown, 'code');
  if (typeof code !== 'string') return messageOf(thrown);
  return WORDS[code] === undefined ? code : `${WORDS[code]} (${code})`;
}
