import { createHash } from 'node:crypto';

/** An entry of an index takes 2,704 bytes, and what customers are called by is theirs. */
const LONGEST_KEY = 1_000;

/** What stands for a key in the tables: the key itself, unless no index would take it. Of what it gives it gives the same. */
export function shortKey(key: string): string {
  return Buffer.byteLength(key) <= LONGEST_KEY ? key : `sha256 ${sha256(key)}`;
}

/**
 * What a conversation is called in the tables: a digest of its key, as a uuid. It is short, and known without a look at the
 * database, so that messages and their conversation can be stored at once.
 */
export function conversationId(key: string): string {
  return uuidOf(shortKey(key));
}

/** What stands for a key in the tables, by which a channel recognises repeats. */
export function repeatKey(channel: string, key: string): string {
  return uuidOf(JSON.stringify([channel, key]));
}

function uuidOf(text: string): string {
  return sha256(text).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5');
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
