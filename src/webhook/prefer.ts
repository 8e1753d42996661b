import type { Request, Response } from 'express';
import type { Wait } from '../outbox/wait.ts';
import type { Receipt } from './providers/provider.ts';

interface Waiting {
  readonly wait: Wait;
  /** Aborts when we must go: nobody is kept waiting then. */
  readonly stopping: AbortSignal;
}

/** Providers give up after as little as 15 s; who asks for more than this wants to poll. */
const LONGEST_WAIT_SECONDS = 20;

/** RFC 7240 §4.3: how many seconds the caller would wait for an answer. */
export function preferredWait(request: Request): number {
  const [, seconds = '0'] = /(?:^|,)\s*wait\s*=\s*"?(\d+)\b/i.exec(request.get('prefer') ?? '') ?? [];
  return Math.min(Number(seconds), LONGEST_WAIT_SECONDS);
}

/** What became of the messages, once that is decided, or time is up. */
export async function fates(
  { wait, stopping }: Waiting,
  receipts: readonly Receipt[],
  ms: number,
  response: Response,
): Promise<readonly Receipt[]> {
  const gone = new AbortController();
  if (response.closed) gone.abort();
  else response.once('close', () => gone.abort());
  const ending = AbortSignal.any([gone.signal, stopping]);
  return Promise.all(
    receipts.map(async (receipt): Promise<Receipt> => {
      // It is stored, whatever becomes of looking at it.
      const record = await wait(receipt.id, ms, ending).catch(() => undefined);
      if (record === undefined) return receipt;
      const { id, state: status, reason, messageId: message_id, createdAt: created_at } = record;
      if (status === 'delivered') return { id, status, message_id, created_at };
      return reason === null ? { id, status } : { id, status, reason };
    }),
  );
}
