import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Acknowledged } from './checker.ts';
import { between, type Random } from './random.ts';

export interface ProducerOptions {
  /** Names of the conversations, of which it holds one after the other. */
  readonly name: string;
  readonly channel: string;
  /** Otherwise its repeats are messages of their own. */
  readonly hasIds: boolean;
  /** Where the bridge takes messages right now; undefined while it is down. */
  readonly url: () => string | undefined;
  readonly random: Random;
  /** Between two messages at most. */
  readonly pauseMs: number;
  readonly onAcknowledged: (message: Acknowledged) => void;
  /** An answer that no sender should ever get: a 4xx, where only the bridge is in trouble. */
  readonly onRefused: (status: number) => void;
  /** A try that brought no 2xx, for whatever reason. */
  readonly onFailed: (why: string) => void;
}

/** A new conversation is a new user, who has to be registered: that goes on under faults too. */
const MESSAGES_A_CONVERSATION = 40;
const ANSWER_LIMIT_MS = 2_000;
const AGAIN_MS = 50;
const receipt = z.object({ id: z.string() });

/**
 * Writes message after message until `signal` aborts, as a provider does: the same one again until it is told that it was
 * taken, or `giveUp` aborts.
 */
export async function produce(options: ProducerOptions, signal: AbortSignal, giveUp: AbortSignal): Promise<void> {
  const { name, hasIds, random, pauseMs, onAcknowledged } = options;
  for (let count = 0; !signal.aborted; count += 1) {
    const sender = `${name}x${Math.floor(count / MESSAGES_A_CONVERSATION)}`;
    const id = `${sender}-${count % MESSAGES_A_CONVERSATION}`;
    const message = { sender, text: id, ...(hasIds && { id }) };
    let bridgeId = await post(options, message);
    let tries = 1;
    for (; bridgeId === undefined; tries += 1) {
      if (giveUp.aborted) return;
      await sleep(AGAIN_MS);
      bridgeId = await post(options, message);
    }
    onAcknowledged({ id, bridgeId, hasId: hasIds, tries });
    await sleep(between(random, 0, pauseMs));
  }
}

/** @returns the bridge's id of the message; undefined when it did not say that it has it */
async function post(
  { url, channel, onRefused, onFailed }: ProducerOptions,
  message: object,
): Promise<string | undefined> {
  try {
    const answer = await fetch(`${url()}/webhooks/${channel}`, {
      method: 'POST',
      // A connection for each: a balancer gives each to whom it likes.
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: JSON.stringify(message),
      signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
    });
    const text = await answer.text();
    if (answer.ok) return receipt.parse(JSON.parse(text)).id;
    if (answer.status < 500) onRefused(answer.status);
    onFailed(`${answer.status}: ${text}`);
  } catch (error) {
    // Down, killed, paused: whether it was taken is not known, and the next try tells.
    onFailed(String(error));
  }
  return undefined;
}
