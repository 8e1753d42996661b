import { hmac } from '../verify/hmac.ts';
import { provider, type Shape } from './preset.ts';
import { place } from './words.ts';

/** https://docs.bird.com/api/notifications-api/supported-webhook-subscription-events */
const message: Shape = {
  fits: (item) => /\.inbound$/.test(item.text('event') ?? '') && !item.is('payload.direction', 'outgoing'),
  // A user name can change; the id beside it cannot:
  // https://docs.bird.com/api/channels-api/supported-channels/programmable-whatsapp/business-scoped-user-ids
  sender: (item) =>
    (item.is('payload.sender.contact.identifierKey', 'whatsappusername')
      ? item.text('payload.meta.extraInformation.whatsappbsuid')
      : undefined) ?? item.text('payload.sender.contact.identifierValue'),
  recipient: ['payload.receiver.connector.identifierValue', 'payload.channelId'],
  text: (item) =>
    item.text(
      'payload.body.text.text',
      'payload.body.image.text',
      'payload.body.file.text',
      'payload.body.list.text',
    ) ??
    place(
      item,
      'payload.body.location.coordinates.latitude',
      'payload.body.location.coordinates.longitude',
      'payload.body.location.location.label',
    ),
  id: 'payload.id',
  sent_at: 'payload.createdAt',
  name: 'payload.sender.contact.annotations.name',
  kind: (item) =>
    item.has('payload.sender.contact.identifierKey') && !item.is('payload.sender.contact.identifierKey', 'phonenumber')
      ? 'id'
      : undefined,
  attachments: (item) =>
    [...item.items('payload.body.image.images'), ...item.items('payload.body.file.files')].flatMap((file) =>
      file.attachment({ url: 'mediaUrl', content_type: 'contentType', name: 'filename' }),
    ),
};

/** The digest in what is signed is of the body, as 32 bytes. https://docs.bird.com/api/notifications-api/api-reference/webhook-subscriptions/verifying-a-webhook-subscription */
export const bird = provider({
  sender: 'phone',
  scheme: hmac({
    header: 'messagebird-signature',
    encoding: 'base64',
    signed: ['{timestamp}', '\n', '{url}', '\n', '{body digest}'],
    timestampHeader: 'messagebird-request-timestamp',
  }),
  shapes: [message],
});
