import type { Attachment } from '../../message.ts';
import { Item } from '../item.ts';
import { hmac } from '../verify/hmac.ts';
import { provider, type Shape } from './preset.ts';
import { place } from './words.ts';

const FILES = ['image', 'video', 'audio', 'file'];

/** https://developers.line.biz/en/reference/messaging-api/#message-event. In `standby` another module answers. */
const message: Shape = {
  fits: (item) => item.is('type', 'message') && !item.is('mode', 'standby'),
  sender: 'source.userId',
  recipient: 'destination',
  text: (item) =>
    item.text('message.text') ??
    place(item, 'message.latitude', 'message.longitude', 'message.title', 'message.address'),
  id: 'message.id',
  event: 'webhookEventId',
  sent_at: 'timestamp',
  attachments: files,
};

/** The content is fetched by the message's id, unless it was somewhere else from the start. */
function files(item: Item): readonly Attachment[] {
  const [type, id] = [item.text('message.type') ?? '', item.text('message.id')];
  if (type === 'sticker') return item.attachment({ id: 'message.stickerId', content_type: 'message.type' });
  if (!FILES.includes(type) || id === undefined) return [];
  const url =
    item.text('message.contentProvider.originalContentUrl') ??
    `https://api-data.line.me/v2/bot/message/${encodeURIComponent(id)}/content`;
  return new Item({ ...item.item('message').data, url }).attachment({
    url: 'url',
    id: 'id',
    name: 'fileName',
    content_type: 'type',
    size: 'fileSize',
  });
}

export const line = provider({
  sender: 'id',
  scheme: hmac({ header: 'x-line-signature', encoding: 'base64', signed: ['{body}'] }),
  split: (payload) => {
    const { destination = null } = payload.data;
    return payload.items('events').map((event) => new Item({ ...event.data, destination }));
  },
  shapes: [message],
});
