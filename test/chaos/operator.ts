import { z } from 'zod';

export interface OperatorOptions {
  /** Where the operator's listener is right now; undefined while the bridge is down. */
  readonly url: () => string | undefined;
  readonly isDiskFull: () => boolean;
  /** An answer that no operator should ever get. */
  readonly onMisdeed: (what: string) => void;
}

/** A message that waits for a person. */
export interface Aside {
  /** The bridge's own id of it, and its sender's. */
  readonly id: string;
  readonly provider_id: string;
}

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

  async decide(id: string, decision: 'confirm' | 'redrive'): Promise<void> {
    await this.#ask('POST', `/api/messages/${id}/${decision}`, {});
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
  async #ask(method: 'GET' | 'POST', path: string, body?: object): Promise<unknown> {
    const wasFull = this.#options.isDiskFull();
    try {
      const init = body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
      const answer = await fetch(`${this.#options.url()}${path}`, { method, ...init });
      const text = await answer.text();
      if (answer.ok) return JSON.parse(text);
      // Of a full disk anything may be said but that it was done. Otherwise also a 503 is a fault: all that is ours is one.
      if (!wasFull && !this.#options.isDiskFull())
        this.#options.onMisdeed(`${method} ${path} was answered ${answer.status}: ${text}`);
    } catch {
      // Down, or killed meanwhile.
    }
    return undefined;
  }
}
