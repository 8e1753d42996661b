#!/usr/bin/env node
import { readFileSync, statSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { dirname, join } from 'node:path';
import { parseEnv } from 'node:util';
import { onStopSignal } from './cli/signals.ts';

/**
 * The one executable. What it needs is loaded by the command that needs it, after the compile cache is on: that is most
 * of what a start costs.
 */
const command = process.argv[2];
// First of all, since a signal may come while all else is still loading, and as PID 1 it would be ignored.
const stopped = command === 'serve' || command === 'demo' || command === 'simulate' ? onStopSignal() : undefined;
// A log that cannot be written (a full disk, a reader that is gone) must not end the service that it tells of.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

try {
  enableCompileCache(
    command === 'serve' ? join(dirname(databaseFile(readEnvironment())), '.compile-cache') : undefined,
  );
} catch (error) {
  // Nothing is loaded yet that could say it; EX_CONFIG of sysexits.h.
  console.error(Error.isError(error) ? error.message : error);
  process.exit(78);
}
const { run } = await import('./cli/run.ts');
await run(process.argv, readEnvironment, stopped);

/** `.env` of the working directory, below what the environment itself says. */
function readEnvironment(): Readonly<Record<string, string | undefined>> {
  if (!statSync('.env', { throwIfNoEntry: false })?.isFile()) return process.env;
  try {
    return { ...parseEnv(readFileSync('.env', 'utf8')), ...process.env };
  } catch (error) {
    const fault = 'it is there, but whoever runs this may not read it; permit it, or move it away';
    throw new Error(`.env: ${fault}`, { cause: error });
  }
}

/** Beside the database is the one place that is surely writable where the bridge serves. */
function databaseFile({ DATABASE_URL }: Readonly<Record<string, string | undefined>>): string {
  return /^sqlite:(.+)/.exec(DATABASE_URL ?? '')?.[1] ?? 'data/bridge.db';
}
