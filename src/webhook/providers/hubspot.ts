import type { Item } from '../item.ts';
import { digestOf } from '../repeat.ts';
import { hmac } from '../verify/hmac.ts';
import { provider, type Shape } from './preset.ts';
import { joined } from './words.ts';

/**
 * The whole contact, by a workflow's "Send a webhook"; which form it was says the last submission. The events of its
 * Webhooks API hold ids and no text. https://developers.hubspot.com/docs/api-reference/webhooks
 */
const contact: Shape = {
  fits: (item) => item.has('properties') && item.has('vid', 'canonical-vid', 'properties.email', 'properties.phone'),
  sender: ['properties.email.value', 'properties.phone.value'],
  recipient: (item) => submission(item)?.at('form-id'),
  text: 'properties.message.value',
  id: (item) => submission(item)?.at('conversion-id'),
  // The workflow may run again without a new submission, and say something else.
  event: (item) => {
    const id = submission(item)?.text('conversion-id');
    return id === undefined
      ? undefined
      : digestOf({
          id,
          text: item.at('properties.message.value'),
          since: item.at('properties.message.versions[0].timestamp'),
        });
  },
  sent_at: (item) => submission(item)?.at('timestamp') ?? item.at('properties.lastmodifieddate.value'),
  name: (item) => joined(' ', item.text('properties.firstname.value'), item.text('properties.lastname.value')),
  email: 'properties.email.value',
  phone: 'properties.phone.value',
};

function submission(item: Item): Item | undefined {
  const time = (one: Item) => Number(one.text('timestamp') ?? 0);
  return [...item.items('form-submissions')].sort((a, b) => time(a) - time(b)).at(-1);
}

/** https://developers.hubspot.com/docs/apps/authentication/validating-requests: the third version, and no other. */
export const hubspot = provider({
  sender: 'email',
  scheme: hmac({
    header: 'X-HubSpot-Signature-v3',
    encoding: 'base64',
    signed: ['{method}', '{url}', '{body}', '{timestamp}'],
    timestampHeader: 'X-HubSpot-Request-Timestamp',
  }),
  isForm: true,
  shapes: [contact],
});
