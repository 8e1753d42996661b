import type { Attachment, Json } from '../../message.ts';
import { Item, unwrap } from '../item.ts';
import { inHeader } from '../verify/fixed.ts';
import { provider, type Shape } from './preset.ts';
import { splitWhatsapp, whatsapp, whatsappText } from './whatsapp.ts';
import { joined, people, place } from './words.ts';

const NO_CHAT = ['reaction', 'unsupported', 'system'];

/** https://docs.gupshup.io/docs/what-is-inbound-events. It does not say which number was written to, only which app. */
const v2: Shape = {
  fits: (item) =>
    item.is('type', 'message') && item.has('payload.payload', 'payload.type') && !item.is('payload.type', ...NO_CHAT),
  // Without a number there is an id: https://partner-docs.gupshup.io/docs/bsuid.
  sender: ['payload.sender.phone', 'payload.source', 'payload.sender.userId'],
  recipient: 'app',
  text: (item) =>
    item.text('payload.payload.text', 'payload.payload.title', 'payload.payload.caption') ??
    place(
      item,
      'payload.payload.latitude',
      'payload.payload.longitude',
      'payload.payload.name',
      'payload.payload.address',
    ) ??
    people(item.items('payload.payload.contacts')),
  id: 'payload.id',
  sent_at: 'timestamp',
  name: 'payload.sender.name',
  attachments: (item) =>
    item.attachment({
      url: 'payload.payload.url',
      content_type: 'payload.payload.contentType',
      name: 'payload.payload.name',
    }),
};

const FILES = ['image', 'video', 'audio', 'voice', 'document', 'sticker'];

/** The Enterprise gateway. What is not text is Meta's, as JSON in a field called like its type. `messageId` is what was replied to. */
const enterprise: Shape = {
  fits: (item) =>
    item.has('mobile') && item.has('type') && item.has('waNumber', 'replyId') && !item.is('type', ...NO_CHAT),
  sender: 'mobile',
  recipient: 'waNumber',
  text: (item) => item.text('text') ?? whatsappText(new Item({ [item.text('type') ?? '']: said(item) ?? null })),
  id: 'replyId',
  sent_at: 'timestamp',
  name: 'name',
  attachments: (item) => (item.is('type', ...FILES) ? file(new Item(said(item))) : []),
};

function said(item: Item): Json | undefined {
  return unwrap(item.own(item.text('type') ?? ''));
}

/** What is signed stands beside the link, and belongs to it. */
function file(part: Item): readonly Attachment[] {
  const url = joined('', part.text('url'), part.text('signature')) ?? null;
  return new Item({ ...part.data, url }).attachment({ url: 'url', content_type: 'mime_type', name: 'filename' });
}

/** A body in the answer would be taken for a reply. */
export const gupshup = provider({
  sender: 'international',
  scheme: inHeader('Authorization'),
  types: ['application/json', 'application/x-www-form-urlencoded'],
  split: (payload) => (payload.has('entry') ? splitWhatsapp(payload) : [payload]),
  shapes: [whatsapp, v2, enterprise],
});
