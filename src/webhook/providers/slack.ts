import { Item } from '../item.ts';
import { hmac } from '../verify/hmac.ts';
import { provider, type Shape } from './preset.ts';

/** https://api.slack.com/events/message. What bots write, us among them, has a `bot_id`; what is no plain message a subtype. */
const message: Shape = {
  fits: (item) =>
    item.is('type', 'message') &&
    item.has('user') &&
    !item.is('user', 'USLACKBOT') &&
    !item.has('bot_id') &&
    (!item.has('subtype') || item.is('subtype', 'file_share', 'thread_broadcast')),
  sender: 'user',
  recipient: 'channel',
  text: (item) => unescaped(item.text('text')),
  id: 'event_id',
  sent_at: 'ts',
  attachments: (item) =>
    item
      .items('files')
      .flatMap((file) =>
        file.attachment({ url: 'url_private', id: 'id', name: 'name', content_type: 'mimetype', size: 'size' }),
      ),
};

/** https://api.slack.com/reference/surfaces/formatting#escaping: these three, and no others. */
function unescaped(text: string | undefined): string | undefined {
  return text?.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
}

export const slack = provider({
  sender: 'id',
  scheme: hmac({
    header: 'X-Slack-Signature',
    prefix: 'v0=',
    signed: ['v0:', '{timestamp}', ':', '{body}'],
    timestampHeader: 'X-Slack-Request-Timestamp',
  }),
  handshake: (item) =>
    item.is('type', 'url_verification')
      ? { answer: { status: 200, headers: { 'Content-Type': 'text/plain' }, body: item.text('challenge') ?? '' } }
      : undefined,
  // Without the token beside it, which is an old secret.
  split: (payload) => {
    const { team_id = null, api_app_id = null, event_id = null } = payload.data;
    return [new Item({ ...payload.item('event').data, team_id, api_app_id, event_id })];
  },
  shapes: [message],
});
