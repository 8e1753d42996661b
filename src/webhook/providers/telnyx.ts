import { telnyx as scheme } from '../verify/ed25519.ts';
import { provider, type Shape } from './preset.ts';

/** https://developers.telnyx.com/api/messaging/receive-inbound-message. In a group `to` has all members, the first is taken for ours. */
const message: Shape = {
  fits: (item) => item.is('data.event_type', 'message.received') && !item.is('data.payload.direction', 'outbound'),
  sender: 'data.payload.from.phone_number',
  recipient: 'data.payload.to[0].phone_number',
  text: 'data.payload.text',
  id: 'data.payload.id',
  sent_at: ['data.payload.received_at', 'data.occurred_at'],
  attachments: (item) =>
    item
      .items('data.payload.media')
      .flatMap((file) => file.attachment({ url: 'url', content_type: 'content_type', size: 'size' })),
};

export const telnyx = provider({
  sender: 'phone',
  credentials: 'public_key',
  scheme,
  shapes: [message],
});
