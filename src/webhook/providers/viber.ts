import { hmac } from '../verify/hmac.ts';
import { provider, type Shape } from './preset.ts';
import { joined, place } from './words.ts';

/** https://developers.viber.com/docs/api/rest-bot-api/#receive-message-from-user */
const message: Shape = {
  fits: (item) => item.is('event', 'message'),
  sender: 'sender.id',
  text: (item) =>
    item.text('message.text') ??
    place(item, 'message.location.lat', 'message.location.lon') ??
    joined(', ', item.text('message.contact.name'), item.text('message.contact.phone_number')) ??
    (item.is('message.type', 'url') ? item.text('message.media') : undefined),
  // A number of 19 digits.
  id: 'message_token',
  sent_at: 'timestamp',
  name: 'sender.name',
  attachments: (item) => {
    if (item.is('message.type', 'url')) return [];
    if (item.is('message.type', 'sticker') && !item.has('message.media')) {
      return item.attachment({ id: 'message.sticker_id', content_type: 'message.type' });
    }
    return item.attachment({
      url: 'message.media',
      name: 'message.file_name',
      content_type: 'message.type',
      size: 'message.size',
    });
  },
};

/** What stands in the answer to `conversation_started` is sent to the customer. */
export const viber = provider({
  sender: 'id',
  scheme: hmac({ header: 'X-Viber-Content-Signature', signed: ['{body}'] }),
  shapes: [message],
});
