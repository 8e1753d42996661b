import { Unavailable } from '../../errors.ts';
import type { JsonObject } from '../../message.ts';
import type { SenderKind } from '../../sender.ts';
import { Item } from '../item.ts';
import { formParams, jsonIn } from '../payload.ts';
import { isWithin, TOLERANCE_SECONDS } from '../verify/compare.ts';
import { vonageSms } from '../verify/params.ts';
import { headerOf, type RawRequest, type Scheme } from '../verify/request.ts';
import { isDigestOf, token } from '../verify/token.ts';
import { provider, type Shape } from './preset.ts';
import { place } from './words.ts';

const MEDIA = ['image', 'audio', 'video', 'file', 'sticker', 'vcard'];
const NO_CHAT = ['reaction', 'unsupported'];
/** Where senders are phone numbers. */
const BY_PHONE = ['sms', 'mms', 'whatsapp', 'rcs'];

/** https://developer.vonage.com/en/api/messages-olympus#inbound-message. A status has the same ids, and `status`. */
const messages: Shape = {
  fits: (item) =>
    item.has('message_uuid') && item.has('message_type') && !item.has('status') && !item.is('message_type', ...NO_CHAT),
  sender: ['from', 'profile.user_id'],
  recipient: 'to',
  text: (item) =>
    item.text('text', 'reply.title', 'button.text', ...MEDIA.map((type) => `${type}.caption`)) ??
    place(item, 'location.lat', 'location.long', 'location.name', 'location.address'),
  id: 'message_uuid',
  sent_at: 'timestamp',
  name: 'profile.name',
  kind: (item) => kindOf(item.text('channel')),
  attachments: (item) => MEDIA.flatMap((type) => item.attachment({ url: `${type}.url`, name: `${type}.name` })),
};

/** The first version of it nests what is flat today. */
const nested: Shape = {
  fits: (item) => item.has('message_uuid') && item.has('message.content.type') && !item.has('status'),
  sender: ['from.number', 'from.id'],
  recipient: ['to.number', 'to.id'],
  text: (item) =>
    item.text('message.content.text', ...MEDIA.map((type) => `message.content.${type}.caption`)) ??
    place(item, 'message.content.location.lat', 'message.content.location.long', 'message.content.location.name'),
  id: 'message_uuid',
  sent_at: 'timestamp',
  kind: (item) => kindOf(item.text('from.type')),
  attachments: (item) =>
    MEDIA.flatMap((type) =>
      item.attachment({ url: `message.content.${type}.url`, name: `message.content.${type}.name` }),
    ),
};

/** https://developer.vonage.com/en/messaging/sms/guides/inbound-sms. A delivery receipt has the same names, and `status`. */
const sms: Shape = {
  fits: (item) => item.has('msisdn') && item.has('messageId') && !item.has('status', 'scts', 'err-code'),
  sender: 'msisdn',
  recipient: 'to',
  text: 'text',
  id: 'messageId',
  sent_at: 'message-timestamp',
  extra: concatenation,
};

function kindOf(channel: string | undefined): SenderKind | undefined {
  return channel === undefined || BY_PHONE.includes(channel) ? undefined : 'id';
}

function concatenation(item: Item): JsonObject {
  if (!item.has('concat-ref')) return {};
  return {
    concat_ref: item.text('concat-ref') ?? null,
    concat_part: Number(item.text('concat-part')),
    concat_total: Number(item.text('concat-total')),
  };
}

/** https://developer.vonage.com/en/getting-started/concepts/webhooks#decoding-signed-webhooks */
const signed = token({
  header: 'Authorization',
  prefix: 'Bearer ',
  judge: ({ payload_hash, iat }, { method, body }, now) => {
    // Nothing of the URL is signed.
    if (method !== 'POST') return 'says nothing of the query.';
    // Its own library checks neither.
    if (!isDigestOf(payload_hash, body)) return 'does not fit the body as it arrived.';
    return isWithin(TOLERANCE_SECONDS, String(iat), now)
      ? undefined
      : `is more than ${TOLERANCE_SECONDS} s away from now.`;
  },
});

/** The Messages API signs with a token, the SMS API with a parameter; what has neither is sent again, and signed then. */
const scheme: Scheme = (secrets) => {
  const byToken = signed(secrets);
  return (request, surroundings) => {
    if (/^Bearer /i.test(headerOf(request, 'authorization') ?? '')) return byToken(request, surroundings);
    const params = paramsOf(request);
    if (params.some(([name]) => name === 'sig')) return vonageSms(params, secrets);
    return new Unavailable('The webhook is not signed; send it again. Signing is switched on in the account settings.');
  };
};

function paramsOf({ type, query, body }: RawRequest): readonly (readonly [string, string])[] {
  if (type === undefined) return [...query];
  if (type.essence === 'application/x-www-form-urlencoded') return [...formParams(body.toString('utf8'))];
  const item = new Item(jsonIn(body.toString('utf8')));
  // What is no text is written out, so that nothing can be within it unsigned.
  return Object.entries(item.data).map(([name, value]) => [
    name,
    typeof value === 'string' ? value : JSON.stringify(value),
  ]);
}

export const vonage = provider({
  sender: 'international',
  scheme,
  methods: ['POST', 'GET'],
  types: ['application/json', 'application/x-www-form-urlencoded'],
  shapes: [messages, nested, sms],
});
