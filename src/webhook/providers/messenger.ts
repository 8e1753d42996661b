import { Item } from '../item.ts';
import { github } from '../verify/hmac.ts';
import { challenge, META_BODY_LIMIT_BYTES } from './meta.ts';
import { provider, type Shape } from './preset.ts';

/** Pages and Instagram. https://developers.facebook.com/docs/messenger-platform/reference/webhook-events/messages */
const message: Shape = {
  // Echoes are what we, or an agent, have written.
  fits: (item) =>
    item.has('message.text', 'message.attachments') &&
    item.at('message.is_echo') !== true &&
    item.at('message.is_deleted') !== true,
  sender: 'sender.id',
  recipient: 'recipient.id',
  text: 'message.text',
  id: 'message.mid',
  sent_at: 'timestamp',
  attachments: (item) =>
    item
      .items('message.attachments')
      .flatMap((file) => [
        ...file.attachment({ url: 'payload.url', content_type: 'type', name: 'payload.title' }),
        ...(file.has('payload.url') ? [] : file.attachment({ url: 'url', content_type: 'type', name: 'title' })),
      ]),
};

/** A button was pressed; what it says is what the customer says. */
const postback: Shape = {
  fits: (item) => item.has('postback.title', 'postback.payload'),
  sender: 'sender.id',
  recipient: 'recipient.id',
  text: ['postback.title', 'postback.payload'],
  id: 'postback.mid',
  sent_at: 'timestamp',
};

export const messenger = provider({
  sender: 'id',
  scheme: github,
  hasVerifyToken: true,
  methods: ['POST', 'GET'],
  bodyLimitBytes: META_BODY_LIMIT_BYTES,
  greet: challenge,
  // What stands under `standby` is for another app, and under `changes` no chat.
  split: (payload) =>
    payload.items('entry').flatMap((entry) => (entry.has('messaging') ? entry.items('messaging') : [new Item({})])),
  shapes: [message, postback],
});
