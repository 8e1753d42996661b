import { createHash } from 'node:crypto';

/**
 * What a conversation is called in the tables: a digest of its key, as a uuid. It is short, and known without a look at the
 * database, so that messages and their conversation can be stored at once.
 */
export function conversationId(key: string): string {
  const digest = createHash('sha256').update(key).digest('hex');
  return digest.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5');
}
