import type { Attachment } from '../../message.ts';
import { htmlToText } from '../html.ts';
import type { Item } from '../item.ts';
import { hmac } from '../verify/hmac.ts';
import { provider, type Shape } from './preset.ts';

/** https://developers.intercom.com/docs/references/webhooks/webhook-models. What admins and bots write has other topics. */
const created: Shape = {
  fits: (item) => item.is('topic', 'conversation.user.created') && isCustomer(item.item('data.item.source')),
  ...said((item) => item.item('data.item.source')),
  // Parts are counted by themselves, so that one may have the same number.
  event: (item) => {
    const id = item.text('data.item.source.id');
    return id === undefined ? undefined : `source ${id}`;
  },
  sent_at: ['data.item.source.created_at', 'data.item.created_at'],
};

/** The new text is the last part; `source` is still the first. */
const replied: Shape = {
  fits: (item) => item.is('topic', 'conversation.user.replied') && lastPart(item) !== undefined,
  ...said((item) => lastPart(item) ?? item),
  sent_at: (item) => lastPart(item)?.at('created_at'),
};

function lastPart(item: Item): Item | undefined {
  return item.items('data.item.conversation_parts.conversation_parts').filter(isCustomer).at(-1);
}

function isCustomer(part: Item): boolean {
  return part.has('author.id') && !part.is('author.type', 'admin', 'bot', 'team');
}

function said(
  part: (item: Item) => Item,
): Pick<Shape, 'sender' | 'recipient' | 'text' | 'id' | 'name' | 'email' | 'attachments'> {
  return {
    sender: (item) => part(item).at('author.id'),
    recipient: 'app_id',
    text: (item) => htmlToText(part(item).text('body') ?? ''),
    id: (item) => part(item).at('id'),
    name: (item) => part(item).at('author.name'),
    email: (item) => part(item).at('author.email'),
    attachments: (item) => [...part(item).items('attachments').flatMap(file), ...images(part(item).text('body') ?? '')],
  };
}

function file(item: Item): readonly Attachment[] {
  return item.attachment({ url: 'url', name: 'name', content_type: 'content_type', size: 'filesize' });
}

/** Pictures stand within the text, and nowhere else. */
function images(html: string): readonly Attachment[] {
  return [...html.matchAll(/<img\b[^<>]*?\ssrc="(https:[^"<>]+)"/gi)].map(([, url = '']) => ({
    url: url.replaceAll('&amp;', '&'),
    content_type: 'image',
  }));
}

export const intercom = provider({
  sender: 'id',
  scheme: hmac({ header: 'X-Hub-Signature', algorithm: 'sha1', prefix: 'sha1=', signed: ['{body}'] }),
  // Whether the address answers is asked by HEAD.
  methods: ['POST', 'HEAD'],
  greet: ({ method }) => (method === 'HEAD' ? { status: 200 } : undefined),
  shapes: [created, replied],
});
