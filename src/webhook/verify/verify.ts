import type { Refusal } from '../../errors.ts';
import type { Verify } from '../../routing/schema/schema.ts';
import { basic, inHeader, inQuery } from './fixed.ts';
import { github, hmac, standardWebhooks, stripe } from './hmac.ts';
import type { Check, RawRequest, Scheme, Surroundings, VerifiedRequest } from './request.ts';
import { sns } from './sns.ts';

/**
 * Checks a request by its channel's `verify`, over the raw bytes, in constant time.
 *
 * @param own the provider's own scheme, which `secret` and `public_key` are for
 * @param report called instead of refusing where the channel's mode is `report`
 * @throws {NotVerified} saying what is missing or wrong; {Unavailable} where that cannot be told now, or the provider will
 * sign what it sends again
 */
export async function verify(
  config: Verify,
  own: Scheme | undefined,
  request: RawRequest,
  surroundings: Surroundings,
  report: (fault: Refusal) => void,
): Promise<VerifiedRequest> {
  const fault = config === 'none' ? undefined : await checkOf(config, own)(request, surroundings);
  if (fault !== undefined && config !== 'none' && config.mode === 'enforce') throw fault;
  if (fault !== undefined) report(fault);
  return request as VerifiedRequest;
}

function checkOf(config: Exclude<Verify, 'none'>, own: Scheme | undefined): Check {
  if (config.header) return inHeader(config.header.name)(config.header.secret);
  if (config.query) return inQuery(config.query.name)(config.query.secret);
  if (config.basic) {
    const { username, password } = config.basic;
    return basic(password.map((word) => `${username}:${word}`));
  }
  if (config.standard_webhooks) return standardWebhooks(config.standard_webhooks.secret);
  if (config.github) return github(config.github.secret);
  if (config.stripe) return stripe(config.stripe.header)(config.stripe.secret);
  if (config.hmac) {
    const { timestamp_header, tolerance_seconds, secret, ...template } = config.hmac;
    return hmac({ ...template, timestampHeader: timestamp_header, toleranceSeconds: tolerance_seconds })(secret);
  }
  if (config.topic_arn !== undefined) return sns(config.topic_arn, config.certificate);
  const secrets = config.secret ?? config.public_key;
  if (own === undefined || secrets === undefined) throw new Error('verify has no scheme');
  return own(secrets);
}
