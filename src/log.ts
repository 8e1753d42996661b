import winston from 'winston';
import type { Settings } from './settings.ts';

/** One line is one event: a short constant message, and what it is about as fields. */
export type Log = Readonly<Record<'error' | 'warn' | 'info' | 'debug', (message: string, fields?: object) => unknown>>;

/** Never in a log, whoever passes them: what customers wrote, and what opens doors. */
const REDACTED = new Set(['text', 'message_body', 'body', 'token', 'secret', 'password', 'authorization', 'fields']);

const redact = winston.format((info) => {
  for (const key of Object.keys(info)) {
    if (REDACTED.has(key.toLowerCase())) info[key] = '[redacted]';
    else if (Error.isError(info[key])) info[key] = describeError(info[key]);
  }
  return info;
});

const pretty = winston.format.printf(({ level, message, timestamp, ...fields }) => {
  const rest = Object.entries(fields)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(
      ([key, value]) => `${key}=${typeof value === 'string' && !/[\s"]/.test(value) ? value : JSON.stringify(value)}`,
    );
  return [String(timestamp).slice(11, 23), level.padEnd(5), message, ...rest].join(' ');
});

/** What, then the rest. winston's own JSON sorts the keys of every line, which nobody asked for and all pay for. */
const json = winston.format.printf(({ timestamp, level, message, ...fields }) =>
  JSON.stringify({ timestamp, level, message, ...fields }),
);

/** To stdout; JSON lines, or readable ones on a terminal. */
export function createLog({ logLevel, logFormat }: Pick<Settings, 'logLevel' | 'logFormat'>): Log {
  const readable = logFormat === 'pretty' || (logFormat === 'auto' && process.stdout.isTTY);
  const logger = winston.createLogger({
    level: logLevel,
    format: winston.format.combine(redact(), winston.format.timestamp(), readable ? pretty : json),
    transports: [new winston.transports.Stream({ stream: process.stdout })],
  });
  // winston formats a line before it asks whether anybody wants it.
  const silent = () => logger;
  const at = (level: keyof Log) => (logger.isLevelEnabled(level) ? logger[level].bind(logger) : silent);
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
}

/** An error as data, with its causes. */
function describeError(error: Error): object {
  const { message, stack, cause } = error;
  return { message, stack, ...(Error.isError(cause) && { cause: describeError(cause) }) };
}
