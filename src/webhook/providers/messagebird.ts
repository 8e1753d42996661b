import type { SenderKind } from '../../sender.ts';
import { Item } from '../item.ts';
import { isList } from '../payload.ts';
import { assumedUrl } from '../verify/request.ts';
import { isDigestOf, seconds, token } from '../verify/token.ts';
import { provider, type Shape } from './preset.ts';
import { lastOfEach, place } from './words.ts';

/** As long as a token lives: so our clock may be as far behind as it may be ahead. */
const SKEW_SECONDS = 60;
const BY_PHONE = ['sms', 'whatsapp', 'rcs'];
const MEDIA = ['image', 'video', 'audio', 'file'];

/** https://developers.messagebird.com/api/#verifying-http-requests */
const scheme = token({
  header: 'MessageBird-Signature-JWT',
  judge: ({ iss, nbf, exp, url_hash, payload_hash }, { url, body }, now) => {
    if (iss !== 'MessageBird') return 'is not by MessageBird.';
    const second = now / 1_000;
    if (!(seconds(nbf) - SKEW_SECONDS <= second && second <= seconds(exp))) return 'is not of now.';
    if (!isDigestOf(url_hash, url)) {
      return `is for another URL. ${assumedUrl({ url })}`;
    }
    const fits = body.length === 0 ? payload_hash === undefined : isDigestOf(payload_hash, body);
    return fits ? undefined : 'does not fit the body as it arrived.';
  },
});

/** SMS, as "forward to URL" and the flows send it. Reports have a status. */
const sms: Shape = {
  fits: (item) =>
    item.has('originator') && item.has('body', 'message', 'mediaurls') && !item.has('status', 'statusdatetime'),
  sender: 'originator',
  recipient: ['recipient', 'shortcode', 'receiver'],
  text: ['body', 'message'],
  id: ['id', 'mid'],
  sent_at: ['createddatetime', 'receive_datetime'],
  attachments: (item) => {
    const urls = item.unwrapped('mediaurls') ?? item.at('mediaurls');
    return (isList(urls) ? urls : [urls ?? null]).flatMap((url) => new Item({ url }).attachment({ url: 'url' }));
  },
};

/** https://developers.messagebird.com/api/conversations/#webhooks. What is not received was sent by us. */
const conversation: Shape = {
  fits: (item) => item.is('type', 'message.created') && item.is('message.direction', 'received'),
  sender: 'message.from',
  recipient: ['message.to', 'message.channelId'],
  text: (item) =>
    // https://developers.messagebird.com/quickstarts/whatsapp/send-interactive-messages
    item.text(
      'message.content.text',
      'message.content.interactive.reply.text',
      ...MEDIA.map((type) => `message.content.${type}.caption`),
    ) ?? place(item, 'message.content.location.latitude', 'message.content.location.longitude'),
  id: 'message.id',
  sent_at: 'message.createdDatetime',
  name: ['contact.displayName', 'contact.firstName'],
  kind: (item): SenderKind | undefined =>
    item.has('message.platform') && !item.is('message.platform', ...BY_PHONE) ? 'id' : undefined,
  attachments: (item) => MEDIA.flatMap((type) => item.attachment({ url: `message.content.${type}.url` })),
};

/** The first generation of what is Bird today. */
export const messagebird = provider({
  sender: 'international',
  scheme,
  methods: ['POST', 'GET'],
  types: ['application/x-www-form-urlencoded', 'application/json'],
  // Names come in several spellings, and more than once.
  split: ({ data }) => {
    const last = lastOfEach(data);
    const lower = Object.entries(last).map(([name, value]) => [name.toLowerCase(), value]);
    return [new Item({ ...last, ...Object.fromEntries(lower) })];
  },
  shapes: [conversation, sms],
  reply: ({ type }) =>
    type?.essence === 'application/json'
      ? { status: 200 }
      : { status: 200, headers: { 'Content-Type': 'text/plain' }, body: 'OK' },
});
