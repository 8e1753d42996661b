import type { JsonObject } from '../../message.ts';
import type { Item } from '../item.ts';
import { hmac } from '../verify/hmac.ts';
import { provider, type Shape } from './preset.ts';
import { joined, order, place } from './words.ts';

/** https://developers.sinch.com/docs/sms/api-reference/sms/tag/Webhooks. A binary's `body` is base64, and for no reader. */
const sms: Shape = {
  fits: (item) => item.is('type', 'mo_text', 'mo_media', 'mo_binary') && item.has('from'),
  sender: 'from',
  recipient: 'to',
  text: (item) => (item.is('type', 'mo_binary') ? undefined : item.text('body', 'body.message', 'body.subject')),
  id: 'id',
  sent_at: 'received_at',
  // Without a link it has not been taken over.
  attachments: (item) =>
    item.items('body.media').flatMap((file) => file.attachment({ url: 'url', content_type: 'content_type' })),
  extra: concatenation,
};

/** 3GPP TS 23.040 §9.2.3.24.1 and .8: which part of which message, with a reference of one byte or two. */
const CONCATENATED = /^(?:050003([0-9a-f]{2})|060804([0-9a-f]{4}))([0-9a-f]{2})([0-9a-f]{2})$/i;

function concatenation(item: Item): JsonObject {
  const [found, short, long, total = '', part = ''] = CONCATENATED.exec(item.text('udh') ?? '') ?? [];
  if (found === undefined) return {};
  const [concat_ref, concat_part, concat_total] = [short ?? long ?? '', part, total].map((hex) =>
    Number.parseInt(hex, 16),
  );
  return { concat_ref: String(concat_ref), concat_part: concat_part ?? null, concat_total: concat_total ?? null };
}

const BY_PHONE = ['SMS', 'MMS', 'WHATSAPP', 'RCS', 'VIBERBM'];
const SAID = 'message.contact_message';
const FLOW = `${SAID}.channel_specific_message.message.nfm_reply`;

/** https://developers.sinch.com/docs/conversation/callbacks#message-inbound */
const conversation: Shape = {
  fits: (item) => item.has(SAID) && !item.is('message.direction', 'TO_CONTACT'),
  sender: 'message.channel_identity.identity',
  recipient: ['message.sender_id', 'app_id'],
  text: (item) =>
    item.text(
      `${SAID}.text_message.text`,
      `${SAID}.media_card_message.caption`,
      `${SAID}.fallback_message.raw_message`,
      `${SAID}.choice_response_message.postback_data`,
    ) ??
    place(
      item,
      `${SAID}.location_message.coordinates.latitude`,
      `${SAID}.location_message.coordinates.longitude`,
      `${SAID}.location_message.title`,
      `${SAID}.location_message.label`,
    ) ??
    order(
      item.text(`${SAID}.product_response_message.text`),
      item.items(`${SAID}.product_response_message.products`),
    ) ??
    joined('\n', item.text(`${FLOW}.body`), item.text(`${FLOW}.response_json`)),
  id: 'message.id',
  sent_at: ['message.accept_time', 'accepted_time'],
  kind: (item) => (item.is('message.channel_identity.channel', ...BY_PHONE) ? undefined : 'id'),
  attachments: (item) => [
    ...item.attachment({ url: `${SAID}.media_message.url`, name: `${SAID}.media_message.filename_override` }),
    ...item.attachment({ url: `${SAID}.media_card_message.url` }),
  ],
};

/** Both of its APIs sign alike. Its own library does not look at the time. */
export const sinch = provider({
  sender: 'international',
  scheme: hmac({
    header: 'x-sinch-webhook-signature',
    encoding: 'base64',
    signed: ['{body}', '.', '{x-sinch-webhook-signature-nonce}', '.', '{timestamp}'],
    timestampHeader: 'x-sinch-webhook-signature-timestamp',
  }),
  shapes: [sms, conversation],
});
