import { telnyx as scheme } from '../verify/ed25519.ts';
import { provider, type Shape } from './preset.ts';
import { place } from './words.ts';

/**
 * https://developers.telnyx.com/api/messaging/receive-inbound-message. In a group `to` has all members, the first is taken
 * for ours. RCS has a `body` instead: https://developers.telnyx.com/docs/messaging/messages/receiving-rcs-webhooks.
 */
const message: Shape = {
  fits: (item) => item.is('data.event_type', 'message.received') && !item.is('data.payload.direction', 'outbound'),
  sender: 'data.payload.from.phone_number',
  recipient: ['data.payload.to[0].phone_number', 'data.payload.to[0].agent_id'],
  text: (item) =>
    item.text('data.payload.text', 'data.payload.body.text', 'data.payload.body.suggestion_response.text') ??
    place(item, 'data.payload.body.location.latitude', 'data.payload.body.location.longitude'),
  id: 'data.payload.id',
  sent_at: ['data.payload.received_at', 'data.occurred_at'],
  attachments: (item) => [
    ...item
      .items('data.payload.media')
      .flatMap((file) => file.attachment({ url: 'url', content_type: 'content_type', size: 'size' })),
    ...item.item('data.payload.body.user_file.payload').attachment({
      url: 'file_uri',
      content_type: 'mime_type',
      name: 'file_name',
      size: 'file_size_bytes',
    }),
  ],
};

export const telnyx = provider({
  sender: 'phone',
  credentials: 'public_key',
  scheme,
  shapes: [message],
});
