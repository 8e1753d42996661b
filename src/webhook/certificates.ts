import type { KeyObject } from 'node:crypto';
import type fetch from 'node-fetch';
import { Unavailable } from '../errors.ts';
import { keyOfCertificate } from './verify/sns.ts';

/** SNS waits 15 s for its answer. */
const TIMEOUT_MS = 2_000;
const MAX_BYTES = 64 * 1024;
/** One a region, and a new one once in a while. */
const MAX_KEPT = 20;
/** Who is not verified yet must not make us call around. */
const MAX_AT_ONCE = 4;

/** Certificates by the address that signed messages give; each is fetched once. */
export class Certificates {
  readonly #fetch: typeof fetch;
  readonly #kept = new Map<string, KeyObject>();
  readonly #underWay = new Map<string, Promise<KeyObject | Unavailable>>();

  constructor(options: { readonly fetch: typeof fetch }) {
    this.#fetch = options.fetch;
  }

  /** @param url one that is known to be the provider's own */
  async keyOf(url: string): Promise<KeyObject | Unavailable> {
    const kept = this.#kept.get(url) ?? this.#underWay.get(url);
    if (kept !== undefined) return kept;
    if (this.#underWay.size >= MAX_AT_ONCE)
      return new Unavailable('Too many certificates are asked for; send it again.');
    const fetching = this.#load(url).finally(() => this.#underWay.delete(url));
    this.#underWay.set(url, fetching);
    return fetching;
  }

  async #load(url: string): Promise<KeyObject | Unavailable> {
    try {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      const response = await this.#fetch(url, { signal, redirect: 'error', size: MAX_BYTES });
      if (!response.ok) throw new Error(`it was answered ${response.status}`);
      const key = keyOfCertificate(await response.text());
      const [oldest] = this.#kept.keys();
      if (this.#kept.size >= MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest);
      this.#kept.set(url, key);
      return key;
    } catch (cause) {
      const advice = 'send it again. Where this machine may not call Amazon, pin the certificate (verify.certificate)';
      return new Unavailable(`The certificate of the signature cannot be fetched; ${advice}.`, { cause });
    }
  }
}
