import { join } from 'node:path';
import type { Log } from '../../src/log.ts';
import type { Delivery, Outcome } from '../../src/message.ts';
import { acceptWith } from '../../src/outbox/accept.ts';
import { Dispatcher, type DispatcherOptions } from '../../src/outbox/dispatcher.ts';
import { type AccountLimits, Lanes, type LanesOptions } from '../../src/outbox/lanes.ts';
import type { Records } from '../../src/outbox/records.ts';
import { SqliteStore } from '../../src/outbox/sqlite/store.ts';
import type { Settlement, Store } from '../../src/outbox/store.ts';
import { delivery, entry, limits } from '../outbox/samples.ts';
import { ManualClock, memoryLog, onTestEnd, temporaryFolder, until } from './fixtures.ts';

export const DELIVERED: Outcome = { kind: 'delivered', messageId: '1', createdAt: null };
export const HOUR_MS = 3_600_000;

/** A far end of which the test decides, call by call, what it answers. */
export class FarEnd {
  readonly calls: {
    readonly text: string;
    readonly authId: string;
    readonly account: string;
    /** By the clock that only goes forward. */
    readonly at: number;
    /** It was answered, or broken off. */
    isOver: boolean;
    answer(outcome: Outcome): void;
  }[] = [];
  automatic: ((delivery: Delivery) => Outcome) | undefined = () => DELIVERED;
  readonly #clock: ManualClock;

  constructor(clock = new ManualClock()) {
    this.#clock = clock;
  }

  deliver = (delivery: Delivery, signal: AbortSignal): Promise<Outcome> =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve({ kind: 'retry', detail: 'not called any more' });
      const { text, authId, account } = delivery;
      const call = {
        ...{ text, authId, account, at: this.#clock.elapsed(), isOver: false },
        answer: (outcome: Outcome) => {
          call.isOver = true;
          resolve(outcome);
        },
      };
      signal.addEventListener('abort', () => call.answer({ kind: 'unknown', detail: 'aborted' }));
      this.calls.push(call);
      if (this.automatic) call.answer(this.automatic(delivery));
    });

  get texts(): string[] {
    return this.calls.map(({ text }) => text);
  }
}

interface Options extends Partial<Omit<DispatcherOptions, 'clock' | 'lanes'>>, Partial<Pick<LanesOptions, 'accounts'>> {
  readonly clock?: ManualClock;
  readonly concurrency?: number;
  /** One that an outbox before has left. */
  readonly file?: string;
  /** A store that others share; without it there is one on a file. */
  readonly open?: (options: { readonly clock: ManualClock; readonly log: Log }) => Promise<TestStore>;
}

type TestStore = Store & { readonly records: Records };

/** The accounts of a routing table: by default one of no limits. */
export function accountsOf(accounts: Readonly<Record<string, Partial<AccountLimits>>>) {
  return () => new Map(Object.entries(accounts).map(([name, more]) => [name, limits(more)]));
}

/** A whole outbox on a real file, with holds taken up as at the start of the bridge; its dispatcher is yet to be started. */
export async function startOutbox({ accounts = accountsOf({ main: {} }), concurrency = 64, ...options }: Options = {}) {
  const clock = options.clock ?? new ManualClock();
  const { log, lines } = memoryLog();
  let tokens = 0;
  const newToken = () => `token-${tokens++}`;
  const file = options.file ?? join(await temporaryFolder(), 'bridge.db');
  const sqlite = () => new SqliteStore({ file, clock, log, newToken, maxBacklog: 1_000_000, eraseAtOnce: false });
  const store: TestStore = options.open ? await options.open({ clock, log }) : sqlite();
  onTestEnd(() => store.close().catch(() => undefined));
  const farEnd = new FarEnd(clock);
  const lanes = new Lanes({ store, accounts, concurrency, clock, log });
  await lanes.look();
  const settled: Settlement[] = [];
  const dispatcher = new Dispatcher({
    store,
    deliver: farEnd.deliver,
    observe: (_claim, settlement) => settled.push(settlement),
    lanes,
    retryHorizonMs: 24 * HOUR_MS,
    clock,
    random: () => 0.5,
    newToken,
    log,
    ...options,
  });
  onTestEnd(() => dispatcher.stop(0));
  const accept = acceptWith(store, dispatcher);
  let ids = 0;
  /** @returns the message's id: m0, m1, … unless it is given */
  const send = async (authId: string, text: string, more: Partial<Delivery> & { readonly id?: string } = {}) => {
    const { id = `m${ids++}`, ...rest } = more;
    await accept([
      { ...entry(id, authId), placement: { route: 'routes[0]', delivery: delivery(authId, { text, ...rest }) } },
    ]);
    return id;
  };
  const attempts = (count: number) => until(`${count} attempts`, () => farEnd.calls.length >= count);
  /** Lets everything that is under way come to rest: nothing is called for some turns of the event loop. */
  const settle = async () => {
    for (let quiet = 0, seen = farEnd.calls.length; quiet < 20; quiet += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      if (farEnd.calls.length !== seen) quiet = 0;
      seen = farEnd.calls.length;
    }
  };
  /** Lets time pass in small steps, with all that comes of each. */
  const pass = async (ms: number, step = ms) => {
    for (let passed = 0; passed < ms; passed += step) {
      clock.advance(Math.min(step, ms - passed));
      await settle();
    }
  };
  return { clock, lines, store, lanes, farEnd, dispatcher, send, attempts, settle, pass, settled, file };
}
