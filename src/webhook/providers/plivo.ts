import { commaList, hmac } from '../verify/hmac.ts';
import { plivoV3 } from '../verify/params.ts';
import { headerOf, type Scheme } from '../verify/request.ts';
import { provider, type Shape } from './preset.ts';

/** https://www.plivo.com/docs/messaging/api/message/receive-message. A delivery report has `Status`. */
const message: Shape = {
  fits: (item) =>
    item.has('MessageUUID') &&
    item.has('From') &&
    !item.has('Status') &&
    // What WhatsApp could not pass on.
    !item.is('ContentType', 'unknown') &&
    (item.has('Type') || item.has('Text', 'Body')),
  sender: 'From',
  recipient: 'To',
  text: ['Text', 'Body', 'ButtonText', 'Caption'],
  id: 'MessageUUID',
  name: 'ProfileName',
  attachments: (item) =>
    // Counted from 0 or from 1.
    Array.from({ length: 11 }).flatMap((_, index) =>
      item.attachment({ url: `Media${index}`, content_type: 'MimeType' }),
    ),
};

/** Of main accounts (`Ma`) and subaccounts. It covers the address alone, neither its query nor the body. */
const [main, sub] = ['X-Plivo-Signature-Ma-V2', 'X-Plivo-Signature-V2'].map((header) =>
  hmac({
    header,
    read: commaList,
    encoding: 'base64',
    signed: ['{url without query}', '{X-Plivo-Signature-V2-Nonce}'],
  }),
);

const V3 = ['X-Plivo-Signature-V3', 'X-Plivo-Signature-Ma-V3', 'X-Plivo-Signature-V3-Nonce'];

const scheme: Scheme = (secrets) => async (request, surroundings) => {
  if (V3.some((name) => headerOf(request, name) !== undefined)) return plivoV3(secrets)(request, surroundings);
  const fault = await sub?.(secrets)(request, surroundings);
  const isOfMain = headerOf(request, 'X-Plivo-Signature-Ma-V2') !== undefined;
  return fault && isOfMain ? main?.(secrets)(request, surroundings) : fault;
};

export const plivo = provider({
  sender: 'international',
  scheme,
  methods: ['POST', 'GET'],
  types: ['application/x-www-form-urlencoded'],
  shapes: [message],
  reply: () => ({ status: 200, headers: { 'Content-Type': 'application/xml' }, body: '<Response></Response>' }),
});
