import type { Json } from '../../message.ts';
import type { Item } from '../item.ts';
import { twilio as scheme } from '../verify/params.ts';
import { provider, type Shape } from './preset.ts';
import { place } from './words.ts';

/** https://www.twilio.com/docs/messaging/guides/webhook-request */
const sms: Shape = {
  // The same address gets the status of what was sent, where somebody has pointed it there.
  fits: (item) =>
    item.has('From') &&
    item.has('MessageSid', 'SmsMessageSid', 'SmsSid') &&
    !item.has('MessageStatus') &&
    (!item.has('SmsStatus') || item.is('SmsStatus', 'received')),
  sender: (item) => bare(item, 'From'),
  recipient: (item) => bare(item, 'To'),
  text: (item) => item.text('ButtonText', 'Body') ?? place(item, 'Latitude', 'Longitude', 'Label', 'Address'),
  id: ['MessageSid', 'SmsMessageSid', 'SmsSid'],
  name: 'ProfileName',
  kind: (item) => (/^(messenger|channel):/.test(item.text('From') ?? '') ? 'id' : undefined),
  attachments: (item) =>
    Array.from({ length: Math.min(Number(item.text('NumMedia') ?? 0) || 0, 10) }).flatMap((_, index) =>
      item.attachment({ url: `MediaUrl${index}`, content_type: `MediaContentType${index}` }),
    ),
};

/** The same as an event: https://www.twilio.com/docs/events/event-types/messaging/inbound-message */
const event: Shape = {
  fits: (item) => item.is('type', 'com.twilio.messaging.inbound-message.received'),
  sender: (item) => bare(item, 'data.from'),
  recipient: (item) => bare(item, 'data.to'),
  text: 'data.body',
  id: 'data.messageSid',
  sent_at: ['data.timestamp', 'time'],
};

/** The channel that stands before a number is not part of it. */
function bare(item: Item, path: string): Json | undefined {
  return item.text(path)?.replace(/^(whatsapp|rcs):/, '');
}

const TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response></Response>';

/** SMS, MMS, RCS and WhatsApp. What stands in an answer of text is sent to the customer: it is TwiML that says nothing. */
export const twilio = provider({
  sender: 'phone',
  scheme,
  methods: ['POST', 'GET'],
  types: ['application/x-www-form-urlencoded', 'application/json'],
  shapes: [event, sms],
  reply: ({ type }) =>
    type?.essence === 'application/x-www-form-urlencoded' || type === undefined
      ? { status: 200, headers: { 'Content-Type': 'text/xml' }, body: TWIML }
      : { status: 200 },
});
