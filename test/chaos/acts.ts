import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Operator } from './operator.ts';
import type { Act } from './schedule.ts';
import type { Hold } from './tended.ts';

/** A copy of the database, and what had been acknowledged before it was asked for. */
export interface Backup {
  readonly file: string;
  readonly holds: readonly string[];
}

export interface ActorOptions {
  readonly operator: Operator;
  /** Where copies go. */
  readonly folder: string;
  /** What is acknowledged so far. */
  readonly acknowledged: () => readonly string[];
}

const AGAIN_MS = 100;

/** The operator who pauses accounts and makes backups: says each word again until it is known to be done. */
export class Actor {
  readonly holds: Hold[] = [];
  /** The last one that was written. */
  backup: Backup | undefined;
  readonly #options: ActorOptions;
  #copies = 0;

  constructor(options: ActorOptions) {
    this.#options = options;
  }

  async act(act: Act, signal: AbortSignal): Promise<void> {
    const { operator } = this.#options;
    switch (act.kind) {
      case 'hold': {
        const { account, forMs } = act;
        while (!(await operator.tell(account, 'pause'))) await sleep(AGAIN_MS);
        const from = Date.now();
        await sleep(forMs, undefined, { signal }).catch(() => undefined);
        this.holds.push({ account, from, to: Date.now() });
        while (!(await operator.tell(account, 'resume'))) await sleep(AGAIN_MS);
        return;
      }
      case 'backup':
        while (!signal.aborted && !(await this.#copy())) await sleep(AGAIN_MS);
        return;
      default:
        return act satisfies never;
    }
  }

  /** To a new file each time: of one that was broken off something may be left. */
  async #copy(): Promise<boolean> {
    const { operator, folder, acknowledged } = this.#options;
    this.#copies += 1;
    const file = join(folder, `backup-${this.#copies}.db`);
    const holds = acknowledged();
    const isDone = await operator.backup(file);
    const useless = isDone ? this.backup?.file : file;
    for (const left of useless ? [useless, `${useless}.partial`] : []) await rm(left, { force: true });
    if (isDone) this.backup = { file, holds };
    return isDone;
  }
}

export function describeAct(act: Act): string {
  return act.kind === 'hold' ? `${act.account}: paused for ${(act.forMs / 1_000).toFixed(1)} s` : act.kind;
}
