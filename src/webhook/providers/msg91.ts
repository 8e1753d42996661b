import { Item } from '../item.ts';
import { inQuery } from '../verify/fixed.ts';
import { provider, type Shape } from './preset.ts';
import { whatsappText } from './whatsapp.ts';
import { place } from './words.ts';

const PARAMETERS = ['token', 'key'];

/** WhatsApp. What customers name themselves ("Webhook (New)") is told by the channel's `fields`. Reports have `status`. */
const message: Shape = {
  fits: (item, mapped) =>
    (item.has('customerNumber') || mapped.has('sender')) &&
    !item.has('status') &&
    !item.is('direction', 'outbound') &&
    !item.is('messageType', 'reaction') &&
    !item.is('contentType', 'reaction'),
  sender: 'customerNumber',
  recipient: 'integratedNumber',
  text: (item) =>
    item.text('text', 'caption') ??
    pressed(item) ??
    place(item, 'latitude', 'longitude', 'name', 'address') ??
    whatsappText(original(item)),
  id: ['uuid', 'requestId'],
  sent_at: 'ts',
  name: 'customerName',
  attachments: (item) => item.attachment({ url: 'url', name: 'filename', content_type: 'contentType' }),
};

/** A button or a line of a list: JSON in a text. */
function pressed(item: Item): string | undefined {
  return ['button', 'interactive']
    .map((name) => new Item(item.unwrapped(name)).text('text', 'button_reply.title', 'list_reply.title'))
    .find((text) => text !== undefined);
}

/** The message as Meta sent it, in a list that is JSON in a text. */
function original(item: Item): Item {
  return new Item({ messages: item.unwrapped('messages') ?? null }).items('messages')[0] ?? new Item({});
}

export const msg91 = provider({
  sender: 'international',
  scheme: inQuery(...PARAMETERS),
  secretParameters: PARAMETERS,
  // It looks at the address by GET now and then.
  methods: ['POST', 'GET'],
  greet: ({ method }) => (method === 'GET' ? { status: 200 } : undefined),
  types: ['application/json', 'application/x-www-form-urlencoded'],
  shapes: [message],
});
