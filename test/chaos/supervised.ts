import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Disturbance } from './checker.ts';

export interface SupervisedOptions {
  /** The bridge's settings. */
  readonly env: Readonly<Record<string, string>>;
  readonly seed: number;
  readonly speed: number;
  /** While it is full a start may fail. */
  readonly isDiskFull: () => boolean;
}

/** An outcome is written this long after its answer at the latest, also on a busy machine. */
const WRITTEN_MS = 2_000;
const STOP_LIMIT_MS = 30_000;
const START_AGAIN_MS = 200;

const told = z.union([
  z.object({ url: z.string(), adminUrl: z.string() }),
  z.object({ stall: z.object({ from: z.number(), to: z.number() }) }),
]);
const repeatLine = z.object({ id: z.string(), message: z.string(), possible_repeat: z.boolean().optional() });

/** The bridge as a process that is started again whenever it ends, as by a supervisor. */
export class Supervised {
  /** When it may have missed an answer. */
  readonly disturbances: Disturbance[] = [];
  /** When a process of it was ready. */
  readonly births: number[] = [];
  /** Its ids of messages of which its log said that they may be there twice. */
  readonly told = new Set<string>();
  /** What it should not have done: end by itself, or not end when told to. */
  readonly misdeeds: string[] = [];
  starts = 0;
  readonly #options: SupervisedOptions;
  readonly #epochMs = Date.now();
  #offsetMs = 0;
  #child: ChildProcess | undefined;
  #urls: { readonly url: string; readonly adminUrl: string } | undefined;
  #isTold = false;
  #isClosing = false;
  /** Since when an outcome may be unwritten; only a full disk keeps it so for long. */
  #unwrittenSince: number | undefined;
  #loop: Promise<void> | undefined;

  constructor(options: SupervisedOptions) {
    this.#options = options;
  }

  /** Undefined while it is down. */
  get url(): string | undefined {
    return this.#urls?.url;
  }

  get adminUrl(): string | undefined {
    return this.#urls?.adminUrl;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  async kill(): Promise<void> {
    const from = Math.min(this.#unwrittenSince ?? Number.POSITIVE_INFINITY, Date.now() - WRITTEN_MS);
    await this.#end('SIGKILL');
    this.disturbances.push({ cause: 'kill', from, to: Date.now() });
  }

  /** As an operator does. */
  async stop(): Promise<void> {
    const isUp = this.#urls !== undefined;
    const limit = new AbortController();
    const late = sleep(STOP_LIMIT_MS, undefined, { signal: limit.signal }).then(
      () => this.#child?.kill('SIGKILL'),
      () => undefined,
    );
    const how = await this.#end('SIGTERM');
    limit.abort();
    await late;
    if (isUp && how !== 0) this.misdeeds.push(`a stop ended with ${how}`);
  }

  /** For good. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.stop();
    await this.#loop;
  }

  /** Leaves nothing running, whatever state it is in. */
  async abandon(): Promise<void> {
    this.#isClosing = true;
    await this.#end('SIGKILL');
    await this.#loop;
  }

  async pause(forMs: number): Promise<void> {
    const from = Date.now();
    const child = this.#child;
    child?.kill('SIGSTOP');
    await sleep(forMs);
    child?.kill('SIGCONT');
    this.disturbances.push({ cause: 'pause', from, to: Date.now() });
  }

  /** The machine's time is set, and stays so over every start. */
  jump(byMs: number): void {
    this.#offsetMs += byMs;
    if (this.#child?.connected) this.#child.send({ offsetMs: this.#offsetMs }, () => undefined);
  }

  /** Outcomes cannot be written from now on. */
  holdWrites(): void {
    this.#unwrittenSince = Date.now() - WRITTEN_MS;
  }

  /** They can again, and will be soon. */
  async releaseWrites(): Promise<void> {
    await sleep(WRITTEN_MS);
    this.#unwrittenSince = undefined;
  }

  async #end(signal: NodeJS.Signals): Promise<unknown> {
    const child = this.#child;
    if (child === undefined) return undefined;
    const closed = once(child, 'close');
    this.#isTold = true;
    child.kill(signal);
    const [code, by] = await closed;
    return code ?? by;
  }

  async #run(): Promise<void> {
    while (!this.#isClosing) {
      this.#isTold = false;
      const child = this.#spawn();
      this.#child = child;
      // With all that it has printed.
      const [code, by] = await once(child, 'close');
      this.#child = undefined;
      this.#urls = undefined;
      if (this.#isTold) continue;
      if (!this.#options.isDiskFull()) this.misdeeds.push(`ended by itself with ${code ?? by}`);
      await sleep(START_AGAIN_MS);
    }
  }

  #spawn(): ChildProcess {
    const { env, seed, speed } = this.#options;
    this.starts += 1;
    const child = fork(join(import.meta.dirname, 'child.ts'), {
      env: {
        ...env,
        CHAOS_SEED: String(seed + this.starts),
        CHAOS_SPEED: String(speed),
        CHAOS_EPOCH_MS: String(this.#epochMs),
        CHAOS_OFFSET_MS: String(this.#offsetMs),
      },
      // Nothing of the options of whoever runs this, and not in its process group: a ^C is for the harness.
      execArgv: [],
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    child.on('message', (message) => this.#hear(told.parse(message), child));
    if (child.stdout) createInterface(child.stdout).on('line', (line) => this.#read(line));
    return child;
  }

  #hear(message: z.output<typeof told>, child: ChildProcess): void {
    if ('stall' in message) {
      this.disturbances.push({ cause: 'stall', ...message.stall });
    } else if (child === this.#child) {
      this.#urls = message;
      this.births.push(Date.now());
    }
  }

  #read(line: string): void {
    const parsed = repeatLine.safeParse(lineOf(line));
    if (!parsed.success) return;
    const { id, message, possible_repeat } = parsed.data;
    const isTold = possible_repeat || /^possible repeat|may be sent again/.test(message);
    if (isTold) this.told.add(id);
  }
}

/** Of a process that is killed the last line may be half a one. */
function lineOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
