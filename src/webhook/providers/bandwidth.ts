import { Item } from '../item.ts';
import { isList } from '../payload.ts';
import { basic } from '../verify/fixed.ts';
import { provider, type Shape } from './preset.ts';

/** https://dev.bandwidth.com/docs/messaging/webhooks/#message-received. `to` has all members of a group, `owner` is ours. */
const message: Shape = {
  fits: (item) => item.is('type', 'message-received') && !item.is('message.direction', 'out'),
  sender: 'message.from',
  recipient: 'message.owner',
  text: 'message.text',
  id: 'message.id',
  sent_at: ['message.time', 'time'],
  attachments: (item) => {
    const urls = item.at('message.media');
    // How the parts of an MMS are laid out is no part of it.
    return (isList(urls) ? urls : [])
      .filter((url) => typeof url === 'string' && !/\.smil$/i.test(url))
      .flatMap((url) => new Item({ url }).attachment({ url: 'url' }));
  },
};

export const bandwidth = provider({
  sender: 'phone',
  credentials: 'user:password',
  scheme: basic,
  shapes: [message],
});
