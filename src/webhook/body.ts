import type { IncomingMessage } from 'node:http';
import { Malformed, TooLarge, Unavailable, UnsupportedContent } from '../errors.ts';

/** All bodies being read together. Counted in bytes: a count of requests says nothing about memory. */
export class BodyBudget {
  #free: number;

  constructor(bytes: number) {
    this.#free = bytes;
  }

  take(bytes: number): boolean {
    if (bytes > this.#free) return false;
    this.#free -= bytes;
    return true;
  }

  give(bytes: number): void {
    this.#free += bytes;
  }
}

/**
 * Reads the raw bytes of a request, which are what signatures are made over. What is read is counted against the budget
 * until the request is read.
 *
 * @throws {TooLarge} above `limit` bytes; {Unavailable} when the budget is used up; {UnsupportedContent} for compressed
 * bodies: a few bytes of gzip can unpack to gigabytes, and no provider compresses webhooks
 */
export function readBody(request: IncomingMessage, limit: number, budget: BodyBudget): Promise<Buffer> {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    const detail = `Content-Encoding ${encoding} is not accepted; send the body uncompressed.`;
    throw new UnsupportedContent(detail, { headers: { 'Accept-Encoding': 'identity' } });
  }
  const tooLarge = () => new TooLarge(`The body is larger than ${limit} bytes.`);
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge();

  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    let counted = 0;
    const endedEarly = () => refuse(new Malformed('The request ended before its body did.'));
    const refuse = (error: Error) => {
      request.off('data', onData).off('end', onEnd).resume();
      reject(error);
    };
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size > limit) return refuse(tooLarge());
      if (!budget.take(chunk.length)) return refuse(new Unavailable('Too many large requests at once; send it again.'));
      counted = size;
      chunks.push(chunk);
    };
    const onEnd = () => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, size));
    request.on('data', onData).once('end', onEnd);
    request.once('error', endedEarly);
    request.once('close', () => {
      budget.give(counted);
      if (!request.complete) endedEarly();
    });
  });
}
