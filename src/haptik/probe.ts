import type fetch from 'node-fetch';
import { messageOf, propertyOf } from '../fault.ts';
import { type HaptikAccount, headersOf } from './api.ts';

/** What is known of an account's credentials; `why` where Haptik's answer says nothing of them. */
export type Probed = { readonly is: 'accepted' | 'refused' } | { readonly is: 'unknown'; readonly why: string };

const TIMEOUT_MS = 10_000;

/**
 * Whether Haptik accepts an account's credentials, found out by an empty message, which it logs for nobody. That it looks at
 * the credentials first (401), and at the message after (another 4xx), is observed; its documentation does not say so.
 */
export async function probe(account: HaptikAccount, call: typeof fetch): Promise<Probed> {
  try {
    const { status } = await call(account.messageUrl, {
      method: 'POST',
      headers: headersOf(account),
      body: '{}',
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      size: 64 * 1024,
    });
    if (status === 401) return { is: 'refused' };
    // Too many, too slow: said of anybody.
    const isOfNobody = status === 408 || status === 425 || status === 429;
    if (status >= 400 && status < 500 && !isOfNobody) return { is: 'accepted' };
    return { is: 'unknown', why: `HTTP ${status}` };
  } catch (error) {
    return { is: 'unknown', why: String(propertyOf(error, 'code') ?? messageOf(error)) };
  }
}
