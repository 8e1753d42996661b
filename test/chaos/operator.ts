import { z } from 'zod';

/** A process of the bridge, as operators see it. */
export interface Desk {
  /** Where the operator's listener is right now; undefined while it is down. */
  readonly adminUrl: string | undefined;
  /** `isFelt`: while it cannot write, anything may be said but that it was done. */
  readonly troubles: { readonly isFelt: boolean };
}

export interface OperatorOptions {
  /** Whom the next word is said to: any process will do. */
  readonly desk: () => Desk;
  /** An answer that no operator should ever get. */
  readonly onMisdeed: (what: string) => void;
}

/** A message that waits for a person. */
export interface Aside {
  /** The bridge's own id of it, and its sender's. */
  readonly id: string;
  readonly provider_id: string;
}

/** Why a person gives a message up. */
export const DISCARDED = 'nobody wants it any more';

const aside = z.object({ id: z.string(), provider_id: z.string() });
const page = z.object({ items: z.array(aside), next: z.string().nullable() });
const account = z.object({ waiting: z.number(), dead: z.number(), unknown: z.number() });
const accounts = z.object({ items: z.array(account) });

/**
 * What a person says to the bridge, each word once. It waits for the answer for as long as the process lives: one that
 * sleeps may carry out later what nobody waits for any more. Without an answer it is not known whether it was done.
 */
export class Operator {
  readonly #options: OperatorOptions;
  /** What was decided without an answer: it may be done when it is said again. */
  readonly #unanswered = new Set<string>();

  constructor(options: OperatorOptions) {
    this.#options = options;
  }

  /** @returns all of the account that are in the state; undefined without an answer */
  async list(of: string, state: 'unknown' | 'dead'): Promise<readonly Aside[] | undefined> {
    const items: Aside[] = [];
    for (let after: string | null = ''; after !== null; ) {
      const query = new URLSearchParams({ account: of, state, limit: '500', ...(after !== '' && { after }) });
      const answer = await this.#ask('GET', `/api/messages?${query}`);
      if (answer === undefined) return undefined;
      const { items: more, next }: z.output<typeof page> = page.parse(answer);
      items.push(...more);
      after = next;
    }
    return items;
  }

  async decide(id: string, decision: 'confirm' | 'redrive' | 'discard'): Promise<void> {
    const body = decision === 'discard' ? { reason: DISCARDED } : {};
    const answer = await this.#ask('POST', `/api/messages/${id}/${decision}`, body, this.#unanswered.has(id));
    if (answer === undefined) this.#unanswered.add(id);
    else this.#unanswered.delete(id);
  }

  /** @returns whether it is known to be so now */
  async tell(name: string, change: 'pause' | 'resume'): Promise<boolean> {
    return (await this.#ask('POST', `/api/accounts/${name}/${change}`, {})) !== undefined;
  }

  /** @returns whether the file is there now */
  async backup(file: string): Promise<boolean> {
    return (await this.#ask('POST', '/api/backup', { file })) !== undefined;
  }

  /** @returns whether nothing waits any more, for whatever */
  async isAtRest(): Promise<boolean> {
    const answer = await this.#ask('GET', '/api/accounts');
    if (answer === undefined) return false;
    return accounts.parse(answer).items.every(({ waiting, dead, unknown }) => waiting + dead + unknown === 0);
  }

  /** @returns undefined when there was no answer, or none that says that it is done */
  async #ask(method: 'GET' | 'POST', path: string, body?: object, mayBeDone = false): Promise<unknown> {
    const { adminUrl, troubles } = this.#options.desk();
    const wasTroubled = troubles.isFelt;
    try {
      const init = body && { body: JSON.stringify(body) };
      const headers = { connection: 'close', ...(body && { 'content-type': 'application/json' }) };
      const answer = await fetch(`${adminUrl}${path}`, { method, headers, ...init });
      const text = await answer.text();
      if (answer.ok) return JSON.parse(text);
      // Where it is not in trouble also a 503 is a fault: all that is ours is one.
      if (!wasTroubled && !troubles.isFelt && !(mayBeDone && answer.status === 409))
        this.#options.onMisdeed(`${method} ${path} was answered ${answer.status}: ${text}`);
    } catch {
      // Down, or killed meanwhile.
    }
    return undefined;
  }
}
