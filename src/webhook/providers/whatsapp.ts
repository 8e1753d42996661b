import type { Attachment } from '../../message.ts';
import { Item } from '../item.ts';
import type { Shape } from './preset.ts';
import { joined, order, people, place } from './words.ts';

/**
 * The messages of WhatsApp's Cloud API, as Meta sends them and as others pass them on.
 * https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/reference/messages
 */

const MEDIA = ['image', 'video', 'audio', 'voice', 'document', 'sticker'];
/** Anything else (reactions, what WhatsApp itself says, what it cannot pass on) is no message to answer. */
const TYPES = ['text', 'button', 'interactive', 'location', 'contacts', 'order', ...MEDIA];

/** One item a message, with what is said once for all of them. Statuses and the like stand beside `messages`. */
export function splitWhatsapp(payload: Item): readonly Item[] {
  return payload.items('entry').flatMap((entry) =>
    entry.items('changes').flatMap((change) => {
      const { metadata = null, contacts = null } = change.item('value').data;
      const messages = change.is('field', 'messages') ? change.items('value.messages') : [];
      const known = byId(new Item({ contacts }).items('contacts'));
      const events = messages.length === 0 ? [new Item({})] : [];
      return [
        ...events,
        ...messages.map((message) => {
          const contact = known.get(message.text('from') ?? '') ?? known.get(message.text('from_user_id') ?? '');
          return new Item({ ...message.data, metadata, ...(contact && { contact: contact.data }) });
        }),
      ];
    }),
  );
}

function byId(contacts: readonly Item[]): ReadonlyMap<string, Item> {
  return new Map(
    contacts.flatMap((contact) => [contact.text('user_id'), contact.text('wa_id')].map((id) => [id ?? '-', contact])),
  );
}

export const whatsapp: Shape = {
  // What is said in a group is not said to us.
  fits: (item) =>
    item.is('type', ...TYPES) &&
    // As the splitting left it: there may be none.
    item.own('metadata') !== undefined &&
    !item.has('group_id') &&
    // Whether they may be called is an answer to WhatsApp.
    !item.has('interactive.call_permission_reply'),
  // Who has a user name may have no number, but an id that is theirs with this business.
  sender: ['from', 'from_user_id'],
  recipient: ['metadata.phone_number_id', 'metadata.display_phone_number'],
  text: whatsappText,
  id: 'id',
  sent_at: 'timestamp',
  name: 'contact.profile.name',
  attachments: whatsappFiles,
};

/** What a message says, be it the payload's own or one that another provider has wrapped. */
export function whatsappText(item: Item): string | undefined {
  return (
    item.text(
      'text.body',
      'button.text',
      'interactive.button_reply.title',
      'interactive.list_reply.title',
      ...MEDIA.map((type) => `${type}.caption`),
    ) ??
    joined('\n', item.text('interactive.nfm_reply.body'), item.text('interactive.nfm_reply.response_json')) ??
    place(item, 'location.latitude', 'location.longitude', 'location.name', 'location.address') ??
    people(item.items('contacts')) ??
    order(item.text('order.text'), item.items('order.product_items'))
  );
}

export function whatsappFiles(item: Item): readonly Attachment[] {
  return MEDIA.flatMap((type) => media(item, type));
}

function media(item: Item, type: string): readonly Attachment[] {
  const part = (name: string) => `${type}.${name}`;
  return item.attachment({
    url: part('url'),
    id: part('id'),
    name: part('filename'),
    content_type: part('mime_type'),
  });
}
