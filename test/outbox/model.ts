import { expect } from '@jest/globals';
import type { Delivery, Outcome } from '../../src/message.ts';
import { acceptWith } from '../../src/outbox/accept.ts';
import type { DecisionResult, MessageRecord, Routing } from '../../src/outbox/records.ts';
import type { Acceptance } from '../../src/outbox/store.ts';
import type { ManualClock } from '../support/fixtures.ts';
import { accountsOf, DELIVERED, type FarEnd, HOUR_MS, startOutbox } from '../support/outbox.ts';
import { delivery, EVERY_ACCOUNT, entry } from './samples.ts';

/** What is decided: about the message of that number, or about all that are set aside so. */
export type Decided =
  | { readonly message: number; readonly kind: 'redrive' | 'confirm' | 'discard' }
  | { readonly all: 'dead' | 'unknown'; readonly kind: 'redrive' | 'discard' };

/** `form`: what is recognised for a while, since nothing names it. */
type Accept = { readonly step: 'accept'; readonly form: string | undefined } & Accepted;

/** What can happen while other such things do. Numbers of messages and calls are taken modulo how many there are. */
export type Deed =
  | Accept
  | { readonly step: 'answer'; readonly call: number; readonly outcome: Outcome }
  | { readonly step: 'decide'; readonly decided: Decided };

/** What happens to an outbox, one after another. */
export type Step =
  | Deed
  | { readonly step: 'at once'; readonly deeds: readonly Deed[] }
  | { readonly step: 'pass' | 'jump'; readonly ms: number }
  /** `crash`: the process is gone, and nothing of what was in flight is written. Another one takes up the file. */
  | { readonly step: 'pause' | 'resume' | 'prune' | 'stop' | 'crash' };

export interface Circumstances {
  readonly file: string;
  readonly clock: ManualClock;
  readonly concurrency: number;
  readonly maxPerSecond: number | undefined;
}

type Accepted = Pick<Delivery, 'authId' | 'onUnknown' | 'onDead'>;

/** The last time that a form came, and what it was taken for. */
interface Seen {
  readonly id: string;
  readonly at: number;
  /** What the clock of the process was ahead by. */
  readonly ahead: number;
}

type Call = FarEnd['calls'][number];

/** A redrive never asks it, since every message has a delivery. */
const ROUTING: Routing = {
  table: {
    version: 'v2',
    accounts: EVERY_ACCOUNT,
    place: () => ({ route: null, dead: 'unroutable', detail: 'not asked' }),
  },
  reroute: false,
};
const RECORDS = { after: undefined, limit: 1_000 };
/** Longer than a stop waits for what it has cut off. */
const ABORTED_MS = 5_000;
const SOME_MS = HOUR_MS / 6;
/** In which a form that comes again is a repeat. */
const WINDOW_MS = 10_000;
/** The longest that a message may wait for its next try. */
const LONGEST_MS = HOUR_MS;

/**
 * An outbox, and what must be true of it whatever happens: held against it after each step. Every call to the far end is
 * open until a step answers it, or its process ends.
 */
export class Model {
  readonly #circumstances: Circumstances;
  #outbox: Awaited<ReturnType<typeof startOutbox>>;
  /** By id, in the order of acceptance. */
  readonly #accepted = new Map<string, Accepted>();
  #sent = 0;
  readonly #forms = new Map<string, Seen>();
  /** What the machine's clock was ahead by when the process began. */
  #ahead = 0;
  #records: ReadonlyMap<string, MessageRecord> = new Map();
  #open: Call[] = [];
  #met = 0;
  #isPaused = false;
  readonly #tried = new Set<string>();
  /** Sent, and nobody said that they did not arrive; nor has a person had them sent again since. */
  readonly #inDoubt = new Set<string>();
  /** Told to have arrived, by the far end or by a person. */
  readonly #arrived = new Set<string>();
  /** A person wanted them discarded. */
  readonly #unwanted = new Set<string>();
  readonly #ended = new Map<string, MessageRecord['state']>();
  /** In this step: what was answered, and what a person had put back. */
  #answered = new Set<string>();
  #putBack = new Set<string>();

  private constructor(circumstances: Circumstances, outbox: Awaited<ReturnType<typeof startOutbox>>) {
    this.#circumstances = circumstances;
    this.#outbox = outbox;
    this.#ahead = circumstances.clock.now() - circumstances.clock.elapsed();
  }

  static async start(circumstances: Circumstances): Promise<Model> {
    return new Model(circumstances, await begin(circumstances));
  }

  async take(step: Step): Promise<void> {
    this.#answered = new Set();
    this.#putBack = new Set();
    const expected = await this.#carryOut(step);
    await this.#outbox.settle();
    await this.#look();
    // Who sleeps for longer than a lease has its attempts broken off.
    this.#open = this.#open.filter(({ isOver }) => !isOver);
    if (expected) expect(this.#stateOf(expected.id)).toBe(expected.state);
    this.#checkEnds();
    this.#checkCalls();
    await this.#checkCounts();
  }

  /** Everything goes well from now on, until nothing waits any more that anybody could deliver. */
  async heal(): Promise<void> {
    await this.take({ step: 'resume' });
    for (let quiet = 0; quiet <= LONGEST_MS; ) {
      if (this.#open.length > 0) {
        await this.take({ step: 'answer', call: 0, outcome: DELIVERED });
        quiet = 0;
      } else if (this.#deliverable().length > 0) {
        await this.take({ step: 'pass', ms: SOME_MS });
        quiet += SOME_MS;
      } else return;
    }
    expect({ 'put to sleep': this.#deliverable() }).toEqual({ 'put to sleep': [] });
  }

  /** A person has all that is set aside sent again, and nothing is left over. */
  async finish(): Promise<void> {
    for (const all of ['unknown', 'dead'] as const) {
      await this.take({ step: 'decide', decided: { all, kind: 'redrive' } });
      await this.heal();
    }
    const left = [...this.#accepted.keys()].filter((id) => !this.#ended.has(id));
    expect({ 'neither delivered nor discarded': left }).toEqual({ 'neither delivered nor discarded': [] });
  }

  /** Its process is stopped. */
  async end(): Promise<void> {
    await this.#stop();
    await this.#outbox.store.close();
  }

  async #stop(): Promise<void> {
    const { clock, dispatcher, settle } = this.#outbox;
    const stopped = dispatcher.stop(0);
    await settle();
    // What has not ended by now never does, which another check then tells.
    clock.advance(ABORTED_MS);
    await stopped;
  }

  /** @returns what the step makes of a message */
  async #carryOut(step: Step): Promise<{ id: string; state: MessageRecord['state'] } | undefined> {
    const { clock, dispatcher, lanes, store } = this.#outbox;
    switch (step.step) {
      case 'accept':
        await this.#accept(step);
        return;
      case 'answer':
        return this.#answer(step);
      case 'at once':
        await Promise.all(step.deeds.map((deed) => this.#carryOut(deed)));
        return;
      case 'pass':
        clock.advance(step.ms);
        return;
      case 'jump':
        clock.jump(step.ms);
        return;
      case 'decide':
        await this.#decide(step.decided);
        dispatcher.wakeAll();
        return;
      case 'pause':
        await lanes.pause('main');
        this.#isPaused = true;
        return;
      case 'resume':
        await lanes.resume('main');
        this.#isPaused = false;
        dispatcher.wakeAll();
        return;
      case 'prune':
        await store.prune({ contentMs: 0, rowsMs: 1e12, limit: 10 });
        return;
      case 'stop':
        await this.end();
        await this.#restart();
        return;
      case 'crash':
        await store.close();
        await this.#stop();
        await this.#restart();
        return;
      default:
        return step satisfies never;
    }
  }

  async #restart(): Promise<void> {
    const { clock } = this.#circumstances;
    this.#outbox = await begin(this.#circumstances);
    this.#ahead = clock.now() - clock.elapsed();
    this.#open = [];
    this.#met = 0;
  }

  /** Those that come at once are answered in their order. */
  async #accept({ authId, onUnknown, onDead, form }: Accept): Promise<void> {
    const { store, dispatcher } = this.#outbox;
    const id = `m${this.#sent++}`;
    this.#accepted.set(id, { authId, onUnknown, onDead });
    const placement = { route: 'routes[0]', delivery: delivery(authId, { text: id, onUnknown, onDead }) };
    const repeat = form === undefined ? undefined : { key: form, withinMs: WINDOW_MS };
    const [answer] = await acceptWith(store, dispatcher)([{ ...entry(id, authId), placement, repeat }]);
    if (answer?.isDuplicate) this.#accepted.delete(id);
    if (form !== undefined && answer !== undefined) this.#checkForm(form, id, answer);
    else expect(answer).toMatchObject({ id, isDuplicate: false });
  }

  /** It is a repeat for as long as it is to be, by the clock of the process; of another process's, nobody can say. */
  #checkForm(form: string, id: string, answer: Acceptance): void {
    const at = this.#circumstances.clock.elapsed();
    const seen = this.#forms.get(form);
    const isRepeat =
      seen === undefined || seen.ahead === this.#ahead
        ? seen !== undefined && at - seen.at < WINDOW_MS
        : answer.isDuplicate;
    const first = isRepeat ? seen?.id : id;
    expect(answer).toMatchObject({ id: first, isDuplicate: isRepeat });
    this.#forms.set(form, { id: answer.id, at, ahead: this.#ahead });
  }

  #answer({ call: number, outcome }: Extract<Step, { step: 'answer' }>) {
    const call = this.#open[number % this.#open.length];
    if (call === undefined) return;
    this.#open = this.#open.filter((other) => other !== call);
    const id = call.text;
    this.#answered.add(id);
    if (outcome.kind === 'delivered') this.#arrived.add(id);
    else if (outcome.kind !== 'unknown') this.#inDoubt.delete(id);
    call.answer(outcome);
    const stops = outcome.kind === 'unknown' && this.#accepted.get(id)?.onUnknown === 'stop';
    if (outcome.kind === 'delivered' || outcome.kind === 'dead') return { id, state: outcome.kind };
    return { id, state: stops ? ('unknown' as const) : ('waiting' as const) };
  }

  async #decide(decided: Decided): Promise<void> {
    const { records } = this.#outbox.store;
    if ('all' in decided) {
      const { all: state, kind } = decided;
      for (const group of (await records.walk({ state }, undefined)).groups) {
        if (kind === 'redrive') await records.redrive(group, { state }, ROUTING);
        else await records.discard(group, { state }, 'a test');
      }
      // Also what came to be so just before.
      for (const id of [...this.#inState(state).map((record) => record.id), ...this.#answered]) {
        if (kind === 'redrive') this.#redriven(id);
        else this.#unwanted.add(id);
      }
      return;
    }
    const { kind } = decided;
    const id = [...this.#accepted.keys()][decided.message % this.#accepted.size];
    if (id === undefined) return;
    const result: DecisionResult = await records.decide(
      id,
      kind === 'redrive' ? { kind, routing: ROUTING } : kind === 'discard' ? { kind, reason: 'a test' } : { kind },
    );
    if (result !== 'done') return;
    if (kind === 'redrive') this.#redriven(id);
    else if (kind === 'confirm') this.#arrived.add(id);
    else this.#unwanted.add(id);
  }

  #redriven(id: string): void {
    this.#inDoubt.delete(id);
    this.#putBack.add(id);
  }

  /** Sees how everything is, and what has been called. */
  async #look(): Promise<void> {
    const { farEnd, store } = this.#outbox;
    const { items } = await store.records.list({}, RECORDS);
    this.#records = new Map(items.map((record) => [record.id, record]));
    const calls = farEnd.calls.slice(this.#met);
    this.#met = farEnd.calls.length;
    this.#open.push(...calls);
    for (const { text: id } of calls) {
      expect({ called: id, 'while its account is paused': this.#isPaused }).toMatchObject({
        'while its account is paused': false,
      });
      expect({ called: id, 'though it was': this.#ended.get(id) }).toEqual({ called: id, 'though it was': undefined });
      const isRepeat = this.#accepted.get(id)?.onUnknown === 'stop' && this.#inDoubt.has(id);
      expect({ called: id, 'though it may have arrived': isRepeat }).toMatchObject({
        'though it may have arrived': false,
      });
      this.#tried.add(id);
      this.#inDoubt.add(id);
      expect({ called: id, before: this.#waitingBefore(id) }).toEqual({ called: id, before: [] });
    }
  }

  /** What is settled is so for a reason, and for good. */
  #checkEnds(): void {
    expect([...this.#records.keys()].toSorted()).toEqual([...this.#accepted.keys()].toSorted());
    const without = (state: MessageRecord['state'], reasons: ReadonlySet<string>) =>
      this.#inState(state).flatMap(({ id }) => (reasons.has(id) ? [] : id));
    expect({
      'delivered and did not arrive': without('delivered', this.#arrived),
      'discarded by nobody': without('discarded', this.#unwanted),
      'dead untried': without('dead', this.#tried),
      'unknown untried': without('unknown', this.#tried),
      'arrived and not delivered': [...this.#arrived].filter((id) => this.#stateOf(id) !== 'delivered'),
      'changed though ended': [...this.#ended].flatMap(([id, state]) => (this.#stateOf(id) === state ? [] : id)),
    }).toEqual({
      'delivered and did not arrive': [],
      'discarded by nobody': [],
      'dead untried': [],
      'unknown untried': [],
      'arrived and not delivered': [],
      'changed though ended': [],
    });
    for (const { id, state } of [...this.#inState('delivered'), ...this.#inState('discarded')]) {
      this.#ended.set(id, state);
    }
  }

  #checkCalls(): void {
    const conversations = this.#open.map(({ authId }) => authId);
    expect({ 'in flight': [...new Set(conversations)] }).toEqual({ 'in flight': conversations });
    const settled = this.#open.flatMap(({ text }) => (this.#stateOf(text) === 'waiting' ? [] : text));
    expect({ 'in flight though settled': settled }).toEqual({ 'in flight though settled': [] });
    const { inFlight } = this.#outbox.lanes.of('main');
    expect({ 'slots taken': inFlight }).toEqual({ 'slots taken': this.#open.length });
  }

  async #checkCounts(): Promise<void> {
    const { store } = this.#outbox;
    const { mended } = await store.recount(0, 1_000);
    expect({ 'counted wrong': mended }).toEqual({ 'counted wrong': [] });
    const survey = (await store.records.survey()).find(({ account }) => account === 'main');
    const { waiting = 0, dead = 0, unknown = 0, stopped = 0 } = survey ?? {};
    expect({ waiting, dead, unknown, stopped }).toEqual({
      waiting: this.#inState('waiting').length,
      dead: this.#inState('dead').length,
      unknown: this.#inState('unknown').length,
      stopped: this.#stopped().size,
    });
  }

  #stateOf(id: string): MessageRecord['state'] | undefined {
    return this.#records.get(id)?.state;
  }

  #inState(state: MessageRecord['state']): readonly MessageRecord[] {
    return [...this.#records.values()].filter((record) => record.state === state);
  }

  /** The conversations that wait for a person. */
  #stopped(): ReadonlySet<string | null> {
    const dead = this.#inState('dead').filter(({ id }) => this.#accepted.get(id)?.onDead === 'stop');
    return new Set([...this.#inState('unknown'), ...dead].map(({ authId }) => authId));
  }

  #deliverable(): readonly string[] {
    const stopped = this.#stopped();
    return this.#inState('waiting').flatMap(({ id, authId }) => (stopped.has(authId) ? [] : id));
  }

  /** What waits in its conversation and was accepted earlier, but for what was put back when it was under way already. */
  #waitingBefore(id: string): readonly string[] {
    const authId = this.#accepted.get(id)?.authId;
    const ids = [...this.#accepted.keys()];
    const earlier = ids.slice(0, ids.indexOf(id));
    const sameConversation = earlier.filter((other) => this.#accepted.get(other)?.authId === authId);
    return sameConversation.filter((other) => this.#stateOf(other) === 'waiting' && !this.#putBack.has(other));
  }
}

async function begin({ maxPerSecond, ...circumstances }: Circumstances) {
  const outbox = await startOutbox({ ...circumstances, accounts: accountsOf({ main: { maxPerSecond } }) });
  outbox.farEnd.automatic = undefined;
  outbox.dispatcher.start();
  await outbox.settle();
  return outbox;
}
