import { Item } from '../item.ts';
import { isList } from '../payload.ts';
import { basic } from '../verify/fixed.ts';
import { provider, type Shape } from './preset.ts';
import { place } from './words.ts';

/** The second and third are of RCS: a suggestion was tapped, a place was asked for. */
const TYPES = ['message-received', 'suggestion-response', 'requested-location-response'];

/** https://dev.bandwidth.com/docs/messaging/webhooks/#message-received. `to` has all members of a group, `owner` is ours. */
const message: Shape = {
  fits: (item) => item.is('type', ...TYPES) && !item.is('message.direction', 'out'),
  sender: 'message.from',
  recipient: 'message.owner',
  text: (item) =>
    item.text('message.text', 'message.content.text', 'message.suggestionResponse.text') ??
    place(item, 'message.locationResponse.latitude', 'message.locationResponse.longitude'),
  id: 'message.id',
  sent_at: ['message.time', 'time'],
  attachments: (item) => {
    const urls = item.at('message.media');
    // How the parts of an MMS are laid out is no part of it.
    return [
      ...(isList(urls) ? urls : [])
        .filter((url) => typeof url === 'string' && !/\.smil$/i.test(url))
        .flatMap((url) => new Item({ url }).attachment({ url: 'url' })),
      ...item.attachment({ url: 'message.content.media.fileUrl' }),
    ];
  },
};

export const bandwidth = provider({
  sender: 'phone',
  credentials: 'user:password',
  scheme: basic,
  shapes: [message],
});
