import { github } from '../verify/hmac.ts';
import { challenge, META_BODY_LIMIT_BYTES } from './meta.ts';
import { provider } from './preset.ts';
import { splitWhatsapp, whatsapp } from './whatsapp.ts';

/**
 * WhatsApp by Meta, and by those who pass Meta's bodies on (360dialog; Gupshup's V3), mostly without its signature: they
 * take a header of one's own. Numbers come without `+`.
 */
export const whatsappCloud = provider({
  sender: 'international',
  scheme: github,
  hasVerifyToken: true,
  methods: ['POST', 'GET'],
  bodyLimitBytes: META_BODY_LIMIT_BYTES,
  greet: challenge,
  split: splitWhatsapp,
  shapes: [whatsapp],
});
