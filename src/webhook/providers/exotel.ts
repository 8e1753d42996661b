import { Item } from '../item.ts';
import { inQuery } from '../verify/fixed.ts';
import { provider, type Shape } from './preset.ts';
import { place } from './words.ts';

const PARAMETERS = ['key', 'token'];
const MEDIA = ['image', 'video', 'audio', 'voice', 'document', 'sticker'];

/** https://support.exotel.com: by GET, after a HEAD. Numbers are local, with a 0 in front. */
const sms: Shape = {
  fits: (item) => item.has('SmsSid') && item.has('From'),
  sender: 'From',
  recipient: 'To',
  text: 'Body',
  id: 'SmsSid',
  sent_at: 'Date',
};

/** WhatsApp, in the first of two formats; it gives no id, but a time. */
const whatsappMessage: Shape = {
  fits: (item) =>
    item.has('from') && item.has('content.type') && (!item.has('callback_type') || item.is('callback_type', 'icm')),
  sender: 'from',
  recipient: 'to',
  text: (item) =>
    item.text(
      'content.text.body',
      'content.button.text',
      'content.interactive.button_reply.title',
      'content.interactive.list_reply.title',
      ...MEDIA.map((type) => `content.${type}.caption`),
    ) ??
    place(
      item,
      'content.location.latitude',
      'content.location.longitude',
      'content.location.name',
      'content.location.address',
    ),
  sent_at: 'timestamp',
  name: ['profile_name', 'profile.name'],
  kind: () => 'international',
  attachments: (item) =>
    MEDIA.flatMap((type) => [
      ...item.attachment({
        url: `content.${type}.url`,
        content_type: `content.${type}.mime_type`,
        name: `content.${type}.filename`,
      }),
      ...(item.has(`content.${type}.url`)
        ? []
        : item.attachment({ url: `content.${type}.link`, content_type: `content.${type}.mime_type` })),
    ]),
};

/** The second. */
const incoming: Shape = {
  fits: (item) => item.is('event', 'incoming_message') && item.has('message.from'),
  sender: 'message.from',
  recipient: 'message.to',
  text: (item) =>
    item.text(
      'message.text.body',
      'message.button.text',
      'message.interactive.button_reply.title',
      'message.interactive.list_reply.title',
      ...MEDIA.map((type) => `message.${type}.caption`),
    ) ??
    place(
      item,
      'message.location.latitude',
      'message.location.longitude',
      'message.location.name',
      'message.location.address',
    ),
  id: 'message.id',
  sent_at: ['message.timestamp', 'timestamp'],
  name: 'contact.profile.name',
  kind: () => 'international',
  attachments: (item) =>
    MEDIA.flatMap((type) =>
      item.attachment({
        url: item.has(`message.${type}.url`) ? `message.${type}.url` : `message.${type}.link`,
        id: `message.${type}.id`,
        content_type: `message.${type}.mime_type`,
        name: `message.${type}.filename`,
      }),
    ),
};

/** What stands in the answer to an SMS is sent to the customer. */
export const exotel = provider({
  sender: 'phone',
  scheme: inQuery(...PARAMETERS),
  secretParameters: PARAMETERS,
  methods: ['GET', 'POST'],
  types: ['application/json', 'application/x-www-form-urlencoded'],
  handshake: (item) =>
    item.is('type', 'verification') && item.has('challenge')
      ? {
          answer: {
            status: 200,
            headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify({ challenge: item.at('challenge') }),
          },
        }
      : undefined,
  split: (payload) =>
    payload.has('whatsapp') ? payload.items('whatsapp.messages').map(({ data }) => new Item(data)) : [payload],
  shapes: [sms, whatsappMessage, incoming],
  reply: ({ type }) =>
    type === undefined ? { status: 200, headers: { 'Content-Type': 'text/plain' } } : { status: 200 },
});
