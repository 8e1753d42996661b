import { closeSync, constants, openSync, readSync, statSync } from 'node:fs';

const CHUNK_BYTES = 64 * 1024;

/**
 * The text of a file that somebody named. A pipe to which nobody writes, or a device without an end, would keep the thread
 * for ever.
 *
 * @throws {Error} where it is no regular file, is longer than that, or cannot be read
 */
export function readRegularFile(path: string, mostBytes: number): string {
  const kind = statSync(path);
  // A folder says so itself when it is read.
  if (!kind.isFile() && !kind.isDirectory()) throw new Error('it is not a regular file');
  // It may have become a pipe since then, and to open one waits as well.
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    // Read rather than asked for its size: files that are made while they are read have none.
    const chunks: Buffer[] = [];
    for (let length = 0; ; ) {
      const chunk = Buffer.alloc(CHUNK_BYTES);
      const count = readSync(file, chunk, 0, CHUNK_BYTES, null);
      if (count === 0) return Buffer.concat(chunks).toString('utf8');
      length += count;
      if (length > mostBytes) throw new Error(`it is longer than ${mostBytes / 1024 / 1024} MiB`);
      chunks.push(chunk.subarray(0, count));
    }
  } finally {
    closeSync(file);
  }
}
