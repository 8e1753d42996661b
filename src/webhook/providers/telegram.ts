import type { Attachment } from '../../message.ts';
import type { Item } from '../item.ts';
import { inHeader } from '../verify/fixed.ts';
import { provider, type Shape } from './preset.ts';
import { joined, place } from './words.ts';

/** https://core.telegram.org/bots/api#message; a file's `file_id` is what `getFile` wants. */
const FILES = ['document', 'voice', 'audio', 'video', 'video_note', 'animation', 'sticker'];

const message: Shape = {
  // Service messages (somebody joined, something was pinned) have neither.
  fits: (item) =>
    item.has('message.from.id') &&
    item.at('message.from.is_bot') !== true &&
    // Written in the name of a chat: `from` is made up then.
    !item.has('message.sender_chat') &&
    (text(item) ?? files(item)[0]) !== undefined,
  sender: 'message.from.id',
  text,
  // Counted within a chat.
  id: (item) => joined(':', item.text('message.chat.id'), item.text('message.message_id')),
  event: 'update_id',
  sent_at: 'message.date',
  name: (item) => joined(' ', item.text('message.from.first_name'), item.text('message.from.last_name')),
  attachments: files,
};

function text(item: Item): string | undefined {
  const contact = joined(' ', item.text('message.contact.first_name'), item.text('message.contact.last_name'));
  return (
    item.text(
      'message.text',
      'message.caption',
      'message.web_app_data.data',
      'message.poll.question',
      'message.dice.emoji',
    ) ??
    place(
      item,
      'message.venue.location.latitude',
      'message.venue.location.longitude',
      'message.venue.title',
      'message.venue.address',
    ) ??
    place(item, 'message.location.latitude', 'message.location.longitude') ??
    joined(', ', contact, item.text('message.contact.phone_number'))
  );
}

function files(item: Item): readonly Attachment[] {
  // The sizes of one picture, the largest last.
  const photo = item.items('message.photo').at(-1)?.attachment({ id: 'file_id', size: 'file_size' }) ?? [];
  const others = FILES.flatMap((kind) =>
    item
      .item(`message.${kind}`)
      .attachment({ id: 'file_id', name: 'file_name', content_type: 'mime_type', size: 'file_size' })
      .map((file) => ({ ...file, content_type: file.content_type ?? kind })),
  );
  // An animation comes as a document too.
  const seen = new Set<string | undefined>();
  return [...photo.map((file) => ({ ...file, content_type: 'image/jpeg' })), ...others].filter(
    ({ id }) => !seen.has(id) && seen.add(id),
  );
}

/** What stands in an answer is carried out as a call of the Bot API. */
export const telegram = provider({
  sender: 'id',
  scheme: inHeader('X-Telegram-Bot-Api-Secret-Token'),
  shapes: [message],
});
