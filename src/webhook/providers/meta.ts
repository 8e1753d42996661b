import { Forbidden } from '../../errors.ts';
import type { Channel } from '../../routing/table.ts';
import { matchesAny } from '../verify/compare.ts';
import type { RawRequest } from '../verify/request.ts';
import type { Reply } from './provider.ts';

/** What Meta's stated maximum (3 MB) fits into. */
export const META_BODY_LIMIT_BYTES = 4 * 1024 * 1024;

/**
 * Meta asks once whether the address is ours, and wants its challenge back.
 * https://developers.facebook.com/docs/graph-api/webhooks/getting-started#verification-requests
 *
 * @throws {Forbidden} when it does not hold the channel's `verify_token`
 */
export function challenge(
  { method, query }: Pick<RawRequest, 'method' | 'query'>,
  { verify }: Channel,
): Reply | undefined {
  if (method !== 'GET') return undefined;
  const tokens = verify === 'none' ? undefined : verify.verify_token;
  const given = query.get('hub.verify_token') ?? '';
  if (query.get('hub.mode') !== 'subscribe' || tokens === undefined || !matchesAny(tokens, given)) {
    const fault = 'This is no verification request with the verify_token of this channel';
    throw new Forbidden(`${fault}; write it beside the secret: verify: { secret: …, verify_token: … }.`);
  }
  return { status: 200, headers: { 'Content-Type': 'text/plain' }, body: query.get('hub.challenge') ?? '' };
}
