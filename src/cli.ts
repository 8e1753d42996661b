#!/usr/bin/env node
import { existsSync, readFileSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { dirname, join } from 'node:path';
import { parseEnv } from 'node:util';

/**
 * The one executable. What it needs is loaded by the command that needs it, after the compile cache is on: that is most
 * of what a start costs.
 */
const env = readEnvironment();
enableCompileCache(process.argv[2] === 'serve' ? join(dirname(databaseFile(env)), '.compile-cache') : undefined);
const { run } = await import('./cli/run.ts');
await run(process.argv, env);

/** `.env` of the working directory, below what the environment itself says. */
function readEnvironment(): Readonly<Record<string, string | undefined>> {
  return existsSync('.env') ? { ...parseEnv(readFileSync('.env', 'utf8')), ...process.env } : process.env;
}

/** Beside the database is the one place that is surely writable where the bridge serves. */
function databaseFile({ DATABASE_URL }: Readonly<Record<string, string | undefined>>): string {
  return /^sqlite:(.+)/.exec(DATABASE_URL ?? '')?.[1] ?? 'data/bridge.db';
}
