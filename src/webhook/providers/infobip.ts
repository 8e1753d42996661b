import type { Attachment } from '../../message.ts';
import type { Item } from '../item.ts';
import { isObject } from '../payload.ts';
import { basic } from '../verify/fixed.ts';
import { provider, type Shape } from './preset.ts';
import { joined, order, people, place } from './words.ts';

const BY_PHONE = ['SMS', 'MMS', 'WHATSAPP', 'RCS'];
const NO_CHAT = ['REACTION', 'UNSUPPORTED', 'INTERACTIVE_CALL_PERMISSION_REPLY'];

/** https://www.infobip.com/docs/api/channels/sms/sms-messaging/inbound-sms. Reports have `status`, or `seenAt`. */
const message: Shape = {
  fits: (item) =>
    item.has('from', 'sender') &&
    item.has('messageId') &&
    !item.has('status', 'seenAt', 'doneAt') &&
    !item.is('message.type', ...NO_CHAT),
  // RCS has its own name for it.
  sender: ['from', 'sender'],
  recipient: 'to',
  text: (item) =>
    order(said(item), item.items('message.productItems')) ??
    joined('\n', ...segments(item).flatMap((segment) => segment.text('value', 'text') ?? [])) ??
    place(item, 'message.latitude', 'message.longitude', 'message.name', 'message.address') ??
    people(item.items('message.contacts')),
  id: 'messageId',
  sent_at: 'receivedAt',
  name: 'contact.name',
  kind: (item) => (item.has('integrationType') && !item.is('integrationType', ...BY_PHONE) ? 'id' : undefined),
  // The link of a place is no file.
  attachments: (item) =>
    item.is('message.type', 'LOCATION') ? [] : [...file(item.item('message')), ...segments(item).flatMap(file)],
};

/** Beside it stands one without the key word, which the customer did write. A flow's answers are an object. */
function said(item: Item): string | undefined {
  const answers = item.at('message.response');
  return joined(
    '\n',
    item.text('text', 'message.text', 'message.caption', 'message.title'),
    isObject(answers) ? JSON.stringify(answers) : undefined,
  );
}

/** Of an MMS: texts and files. */
function segments(item: Item): readonly Item[] {
  return item.items('message');
}

function file(part: Item): readonly Attachment[] {
  return part.attachment({
    url: 'url',
    content_type: 'contentType',
    name: part.has('fileName') ? 'fileName' : 'name',
    size: 'size',
  });
}

export const infobip = provider({
  sender: 'international',
  credentials: 'user:password',
  scheme: basic,
  // Up to 2,000 messages in one.
  bodyLimitBytes: 4 * 1024 * 1024,
  split: (payload) => payload.items('results'),
  shapes: [message],
});
