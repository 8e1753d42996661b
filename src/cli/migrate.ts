import { randomUUID } from 'node:crypto';
import { systemClock } from '../clock.ts';
import { type Moved, moveOutbox } from '../outbox/move/move.ts';
import { type DatabaseAddress, type Environment, readSettings, SettingsRefused } from '../settings.ts';
import { json, properties } from './print.ts';

interface MigrateOptions {
  readonly from: string;
  readonly to?: string;
  readonly json?: boolean;
}

const TOLD_EVERY_MS = 1_000;

/** Moves the outbox from a file to PostgreSQL. @throws {SettingsRefused | FileInUse | StoreUnavailable | StoreRefused} */
export async function migrate({ from, to, json: asJson }: MigrateOptions, env: Environment): Promise<void> {
  const source = addressOf(from);
  if (source?.kind !== 'sqlite') {
    throw new SettingsRefused('--from: accepted is sqlite: with the path of a file, such as sqlite:data/bridge.db');
  }
  const target = addressOf(to ?? env.DATABASE_URL);
  if (target?.kind !== 'postgres') {
    const accepted = 'postgres://user:password@host:port/database (a password in percent-encoding)';
    throw new SettingsRefused(`${to === undefined ? 'DATABASE_URL' : '--to'}: accepted is ${accepted}`);
  }
  const { tell, end } = progressOn(process.stderr);
  let moved: Moved;
  try {
    const options = { from: source.file, to: target.url, clock: systemClock, newName: randomUUID, onProgress: tell };
    moved = await moveOutbox(options);
  } finally {
    end();
  }
  const { counts, paused, address } = moved;
  const { stopped: stopped_conversations, ...states } = counts;
  const messages = Object.values(states).reduce((sum, count) => sum + count, 0);
  const told = { messages, ...states, stopped_conversations, paused_accounts: paused };
  if (asJson) return console.log(json({ ...told, database_url: address }));
  console.log(properties({ ...told, paused_accounts: paused.join(', ') }));
  console.log(`
All of it is moved. Start the bridge with this, and the password in it:
  DATABASE_URL=${address}
No bridge starts on ${source.file} any more. It holds what customers wrote: remove it when all is well.`);
}

/** Undefined where it is none: it may hold a password, so it is not repeated. */
function addressOf(url: string | undefined): DatabaseAddress | undefined {
  try {
    return url === undefined ? undefined : readSettings({ DATABASE_URL: url }).database;
  } catch (error) {
    if (error instanceof SettingsRefused) return undefined;
    throw error;
  }
}

/** On a terminal one can see it go on. */
function progressOn(stream: NodeJS.WriteStream) {
  const begun = performance.now();
  let first: number | undefined;
  let toldAt = Number.NEGATIVE_INFINITY;
  let width = 0;
  return {
    tell: ({ moved, total }: { readonly moved: number; readonly total: number }) => {
      first ??= moved;
      const now = performance.now();
      if (!stream.isTTY || (now - toldAt < TOLD_EVERY_MS && moved < total)) return;
      toldAt = now;
      const rate = Math.round(((moved - first) / Math.max(1, now - begun)) * 1_000);
      const line = `${moved} of ${total} messages moved, ${rate} a second`;
      stream.write(`\r${line.padEnd(width)}`);
      width = line.length;
    },
    end: () => {
      if (width > 0) stream.write('\n');
    },
  };
}
