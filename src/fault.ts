/** What was thrown, as text for people. `Error.isError` also knows errors of other realms (workers, test sandboxes). */
export function messageOf(thrown: unknown): string {
  return Error.isError(thrown) ? thrown.message : String(thrown);
}

/** The property of that name of what was thrown, such as `code` (ENOENT) or SQLite's `errcode`. */
export function propertyOf(thrown: unknown, name: string): unknown {
  return Error.isError(thrown) ? (thrown as Error & { readonly [key: string]: unknown })[name] : undefined;
}
