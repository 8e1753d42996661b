import { Item } from '../item.ts';
import { inQuery } from '../verify/fixed.ts';
import { provider, type Shape } from './preset.ts';
import { whatsappFiles, whatsappText } from './whatsapp.ts';

const PARAMETERS = ['key', 'token'];

/** https://support.exotel.com: by GET, after a HEAD. Numbers are local, with a 0 in front. */
const sms: Shape = {
  fits: (item) => item.has('SmsSid') && item.has('From'),
  sender: 'From',
  recipient: 'To',
  text: 'Body',
  id: 'SmsSid',
  sent_at: 'Date',
};

/**
 * WhatsApp, in the first of two formats, with Meta's own contents; it gives no id, but a time.
 * https://developer.exotel.com/api/receive-messages, https://developer.exotel.com/api/receive-whatsapp-flow-messages
 */
const whatsappMessage: Shape = {
  fits: (item) =>
    item.has('from') &&
    item.has('content.type') &&
    !item.is('content.type', 'reaction') &&
    (!item.has('callback_type') || item.is('callback_type', 'icm')),
  sender: 'from',
  recipient: 'to',
  text: (item) => whatsappText(item.item('content')),
  sent_at: 'timestamp',
  name: ['profile_name', 'profile.name'],
  kind: () => 'international',
  attachments: (item) => whatsappFiles(item.item('content')),
};

/** The second. https://developer.exotel.com/docs/whatsapp-api/api-reference/receive-messages */
const incoming: Shape = {
  fits: (item) =>
    item.is('event', 'incoming_message') && item.has('message.from') && !item.is('message.type', 'reaction'),
  sender: 'message.from',
  recipient: 'message.to',
  text: (item) => whatsappText(item.item('message')),
  id: 'message.id',
  sent_at: ['message.timestamp', 'timestamp'],
  name: 'contact.profile.name',
  kind: () => 'international',
  attachments: (item) => whatsappFiles(item.item('message')),
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
