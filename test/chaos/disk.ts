import { execFile } from 'node:child_process';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** A small file system of its own that can be filled up. */
export interface Disk extends AsyncDisposable {
  readonly isFull: boolean;
  fill(): Promise<void>;
  free(): Promise<void>;
}

const run = promisify(execFile);
/** From coarse to fine, so that not one byte is left. */
const CHUNKS = [1_048_576, 4_096, 1];

/** Mounts it at the folder. @returns undefined where that is not allowed */
export async function mountDisk(folder: string, megabytes: number): Promise<Disk | undefined> {
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder]);
  } catch {
    return undefined;
  }
  const ballast = await open(join(folder, 'ballast'), 'w');
  let isFull = false;
  return {
    get isFull() {
      return isFull;
    },
    async fill() {
      isFull = true;
      for (const size of CHUNKS) await writeUntilFull(ballast, Buffer.alloc(size));
    },
    async free() {
      await ballast.truncate(0);
      isFull = false;
    },
    async [Symbol.asyncDispose]() {
      await ballast.close();
      await run('umount', ['-l', folder]);
    },
  };
}

async function writeUntilFull(file: FileHandle, chunk: Buffer): Promise<void> {
  for (;;) {
    const { size } = await file.stat();
    try {
      if ((await file.write(chunk, 0, chunk.length, size)).bytesWritten < chunk.length) return;
    } catch {
      return;
    }
  }
}
