import { inHeader } from '../verify/fixed.ts';
import { provider, type Shape } from './preset.ts';

/** A "callback profile": its names are those of Kaleyra's variables, unless the customer chose others (`fields`). */
const sms: Shape = {
  fits: (item, mapped) => (item.has('source') || mapped.has('sender')) && (item.has('message') || mapped.has('text')),
  sender: 'source',
  recipient: 'recipient',
  text: 'message',
  id: 'id',
  sent_at: 'timestamp',
};

/** By GET, without an id. A status has neither sender nor body. */
const whatsapp: Shape = {
  fits: (item) => item.has('from') && item.has('body', 'media_url'),
  sender: 'from',
  text: ['body', 'caption'],
  sent_at: 'created_at',
  name: 'name',
  attachments: (item) => item.attachment({ url: 'media_url', content_type: 'type' }),
};

export const kaleyra = provider({
  sender: 'international',
  scheme: inHeader('X-Api-Key'),
  methods: ['POST', 'GET'],
  types: ['application/json', 'application/x-www-form-urlencoded'],
  shapes: [sms, whatsapp],
});
