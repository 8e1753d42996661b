import { provider, type Shape } from '../../src/webhook/providers/preset.ts';
import { hmac } from '../../src/webhook/verify/hmac.ts';

/** https://docs.acme.example/webhooks */
const message: Shape = {
  fits: (item) => item.is('kind', 'message'),
  sender: 'from',
  recipient: 'to',
  text: 'text',
  id: 'id',
  sent_at: 'at',
  attachments: (item) => item.items('files').flatMap((file) => file.attachment({ url: 'link', content_type: 'mime' })),
};

export const acme = provider({
  sender: 'international',
  scheme: hmac({ header: 'X-Acme-Signature', signed: ['{body}'] }),
  split: (payload) => payload.items('events'),
  shapes: [message],
});
