import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { AccountSurvey } from './outbox/records.ts';

/** What an account looks like at one moment. */
export interface AccountGauges extends AccountSurvey {
  readonly hold: string | undefined;
}

/** An attempt that has ended. Times in milliseconds. */
export interface AttemptEnded {
  readonly account: string;
  readonly outcome: string;
  /** What became of the message. */
  readonly state: string;
  readonly duration: number | null;
  /** From acceptance until now. */
  readonly age: number;
}

const PREFIX = 'haptik_bridge_';
const ATTEMPT_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** From at once to what an outage makes of it. */
const DELIVERY_BUCKETS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 60, 600, 3_600, 86_400];

/**
 * The instruments, by name. Labels are names of the routing file and words of ours, never what a stranger sends: series
 * cannot be made from outside.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #accepted = this.#counter('accepted_total', 'Messages stored, by channel.', ['channel']);
  readonly #duplicates = this.#counter('duplicates_total', 'Repeats of stored messages, by channel.', ['channel']);
  readonly #ignored = this.#counter('ignored_total', 'What came and is no message, by channel and kind.', [
    'channel',
    'kind',
  ]);
  readonly #unverified = this.#counter('unverified_total', 'Webhooks let in that verify.mode enforce would refuse.', [
    'channel',
  ]);
  readonly #refused = this.#counter('refused_total', 'Webhooks refused, by HTTP status.', ['status']);
  readonly #attempts = this.#counter('attempts_total', 'Attempts at Haptik, by how they ended.', [
    'account',
    'outcome',
  ]);
  readonly #settled = this.#counter('settled_total', 'Messages delivered, given up, or stopped as unknown.', [
    'account',
    'state',
  ]);
  readonly #mended = this.#counter('mended_total', 'Conversations counted wrong: a fault of ours.', []);
  readonly #attemptSeconds = this.#histogram('attempt_seconds', 'How long attempts took.', ATTEMPT_BUCKETS);
  readonly #deliverySeconds = this.#histogram(
    'delivery_seconds',
    'From acceptance until Haptik had it.',
    DELIVERY_BUCKETS,
  );
  readonly #dead = this.#gauge('dead', 'Dead letters that nobody has dealt with; those of no account under "".');
  readonly #accounts: readonly [Gauge, (account: AccountGauges, now: number) => number][] = [
    [this.#gauge('waiting', 'Messages that wait.'), ({ waiting }) => waiting],
    [this.#gauge('oldest_waiting_seconds', 'Age of the oldest that waits.'), ({ oldestAt }, now) => age(oldestAt, now)],
    [this.#dead, ({ dead }) => dead],
    [this.#gauge('unknown', 'Messages of unknown outcome that nobody has dealt with.'), ({ unknown }) => unknown],
    [this.#gauge('stopped_conversations', 'Conversations that wait for a person.'), ({ stopped }) => stopped],
    [
      this.#gauge('stopped_oldest_seconds', 'For how long the first of them does.'),
      ({ stoppedSince }, now) => age(stoppedSince, now),
    ],
    [this.#gauge('held', '1 while the account is on hold.'), ({ hold }) => (hold === undefined ? 0 : 1)],
  ];

  readonly #routingRefused = this.#plainGauge(
    'routing_refused',
    '1 while the routing file is refused and the table before it in force.',
  );
  readonly #routingLoaded = this.#plainGauge(
    'routing_loaded_timestamp_seconds',
    'When the routing table in force was loaded, in Unix time.',
  );

  readonly #routingBehind = this.#plainGauge(
    'routing_behind',
    '1 while another process has a newer routing table in force.',
  );

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
  }

  accepted(channel: string): void {
    this.#accepted.inc({ channel });
  }

  duplicate(channel: string): void {
    this.#duplicates.inc({ channel });
  }

  ignored(channel: string, kind: string): void {
    this.#ignored.inc({ channel, kind });
  }

  unverified(channel: string): void {
    this.#unverified.inc({ channel });
  }

  refused(status: number): void {
    this.#refused.inc({ status });
  }

  attempted({ account, outcome, state, duration, age }: AttemptEnded): void {
    this.#attempts.inc({ account, outcome });
    if (duration !== null) this.#attemptSeconds.observe({ account }, duration / 1_000);
    if (state === 'waiting') return;
    this.#settled.inc({ account, state });
    if (state === 'delivered') this.#deliverySeconds.observe({ account }, age / 1_000);
  }

  /** @param at milliseconds since the epoch */
  routingLoaded(at: number): void {
    this.#routingRefused.set(0);
    this.#routingLoaded.set(at / 1_000);
  }

  routingRefused(): void {
    this.#routingRefused.set(1);
  }

  routingBehind(isBehind: boolean): void {
    this.#routingBehind.set(isBehind ? 1 : 0);
  }

  mended(): void {
    this.#mended.inc();
  }

  /** Everything in Prometheus' text format, with the accounts as they are at `now`; `strays` are dead letters of none. */
  async render(
    accounts: readonly AccountGauges[],
    strays: number,
    now: number,
  ): Promise<{ readonly type: string; readonly text: string }> {
    for (const [gauge, read] of this.#accounts) {
      gauge.reset();
      for (const account of accounts) gauge.set({ account: account.account }, read(account, now));
    }
    this.#dead.set({ account: '' }, strays);
    return { type: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  #counter(name: string, help: string, labelNames: string[]): Counter {
    return new Counter({ name: PREFIX + name, help, labelNames, registers: [this.#registry] });
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name: PREFIX + name, help, labelNames: ['account'], registers: [this.#registry] });
  }

  #plainGauge(name: string, help: string): Gauge {
    return new Gauge({ name: PREFIX + name, help, registers: [this.#registry] });
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name: PREFIX + name, help, labelNames: ['account'], buckets, registers: [this.#registry] });
  }
}

function age(since: number | undefined, now: number): number {
  return since === undefined ? 0 : Math.max(0, now - since) / 1_000;
}
