import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Birth, Disturbance } from './checker.ts';
import { type Trouble, Troubles, WRITTEN_MS } from './troubles.ts';

export interface SupervisedOptions {
  /** What it is called, where there are several. */
  readonly name: string;
  /** The bridge's settings. */
  readonly env: Readonly<Record<string, string>>;
  readonly seed: number;
  readonly speed: number;
  /** Others deliver from the same database: what it cannot keep a lease of, they take over. */
  readonly hasPeers: boolean;
}

const STOP_LIMIT_MS = 30_000;
const START_AGAIN_MS = 200;
/** How long after trouble with a database that others use too its consequences last: what failed is tried again by then. */
const SHARED_TROUBLE_MS = 5_000;

const told = z.union([
  z.object({ url: z.string(), adminUrl: z.string() }),
  z.object({ stall: z.object({ from: z.number(), to: z.number() }) }),
]);
const lineOfLog = z.object({ message: z.string(), id: z.string().optional(), possible_repeat: z.boolean().optional() });

/** The bridge as a process that is started again whenever it ends, as by a supervisor. */
export class Supervised {
  readonly name: string;
  /** When it could not write; a start may fail then too. */
  readonly troubles: Troubles;
  /** When a process of it was ready. */
  readonly births: Birth[] = [];
  /** Its ids of messages of which its log said that they may be there twice. */
  readonly told = new Set<string>();
  /** What it should not have done: end by itself, not end when told to, or count wrong. */
  readonly misdeeds: string[] = [];
  starts = 0;
  readonly #options: SupervisedOptions;
  readonly #disturbances: Disturbance[] = [];
  readonly #epochMs = Date.now();
  #offsetMs = 0;
  #child: ChildProcess | undefined;
  #urls: { readonly url: string; readonly adminUrl: string } | undefined;
  /** What it has said of why it ends. */
  #lastWords = '';
  #isTold = false;
  #isClosing = false;
  #loop: Promise<void> | undefined;

  constructor(options: SupervisedOptions) {
    this.#options = options;
    this.name = options.name;
    this.troubles = new Troubles(options.hasPeers ? SHARED_TROUBLE_MS : WRITTEN_MS);
  }

  /** Undefined while it is down. */
  get url(): string | undefined {
    return this.#urls?.url;
  }

  get adminUrl(): string | undefined {
    return this.#urls?.adminUrl;
  }

  /** When it may have missed an answer, not have lived to write it down, or have lost what it was delivering to others. */
  get disturbances(): readonly Disturbance[] {
    const lost = this.#options.hasPeers ? this.troubles.lostLeases : [];
    return [...this.#disturbances, ...lost].map((disturbance) => ({ ...disturbance, by: this.name }));
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  async kill(): Promise<void> {
    const from = this.troubles.unwrittenSince;
    await this.#end('SIGKILL');
    this.#disturbances.push({ cause: 'kill', from, to: Date.now() });
  }

  /** As an operator does. Where it is in trouble meanwhile it may have to leave outcomes unwritten. */
  async stop(): Promise<void> {
    const isUp = this.#urls !== undefined;
    const { isFelt, unwrittenSince: from } = this.troubles;
    const limit = new AbortController();
    const late = sleep(STOP_LIMIT_MS, undefined, { signal: limit.signal }).then(
      () => this.#child?.kill('SIGKILL'),
      () => undefined,
    );
    const how = await this.#end('SIGTERM');
    limit.abort();
    await late;
    if (isFelt || this.troubles.isFelt) this.#disturbances.push({ cause: 'stop', from, to: Date.now() });
    else if (isUp && how !== 0) this.misdeeds.push(`${this.name}: a stop ended with ${how}`);
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
    // It sleeps, and its leases go on.
    const end = this.#options.hasPeers ? this.troubles.begin('pause') : () => undefined;
    child?.kill('SIGSTOP');
    await sleep(forMs);
    child?.kill('SIGCONT');
    end();
    this.#disturbances.push({ cause: 'pause', from, to: Date.now() });
  }

  /** The machine's time is set, and stays so over every start. */
  jump(byMs: number): void {
    this.#offsetMs += byMs;
    if (this.#child?.connected) this.#child.send({ offsetMs: this.#offsetMs }, () => undefined);
  }

  /** What it writes does not get through from now on. @returns ends it */
  trouble(cause: Trouble): () => void {
    return this.troubles.begin(cause);
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
      if (!this.troubles.isFelt) {
        this.misdeeds.push(`${this.name}: ended by itself with ${code ?? by}: ${this.#lastWords}`);
      }
      await sleep(START_AGAIN_MS);
    }
  }

  #spawn(): ChildProcess {
    const { name, env, seed, speed } = this.#options;
    this.starts += 1;
    const child = fork(join(import.meta.dirname, 'child.ts'), {
      env: {
        ...env,
        CHAOS_NAME: name,
        CHAOS_SEED: String(seed + this.starts),
        CHAOS_SPEED: String(speed),
        CHAOS_EPOCH_MS: String(this.#epochMs),
        CHAOS_OFFSET_MS: String(this.#offsetMs),
      },
      // Nothing of the options of whoever runs this, and not in its process group: a ^C is for the harness.
      execArgv: [],
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#lastWords = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#lastWords += text;
    });
    child.on('message', (message) => this.#hear(told.parse(message), child));
    if (child.stdout) createInterface(child.stdout).on('line', (line) => this.#read(line));
    return child;
  }

  #hear(message: z.output<typeof told>, child: ChildProcess): void {
    if ('stall' in message) {
      this.#disturbances.push({ cause: 'stall', ...message.stall });
    } else if (child === this.#child) {
      this.#urls = message;
      this.births.push({ by: this.name, at: Date.now() });
    }
  }

  #read(line: string): void {
    const parsed = lineOfLog.safeParse(parsedLine(line));
    if (!parsed.success) return;
    const { id, message, possible_repeat } = parsed.data;
    if (message.includes('counted wrong')) this.misdeeds.push(`${this.name}: ${line}`);
    const isTold = possible_repeat || /^possible repeat|may be sent again/.test(message);
    if (isTold && id !== undefined) this.told.add(id);
  }
}

/** Of a process that is killed the last line may be half a one. */
function parsedLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
