import type { JsonObject } from '../../message.ts';
import type { Item } from '../item.ts';
import { hmac } from '../verify/hmac.ts';
import { answered } from './answers.ts';
import { provider, type Shape } from './preset.ts';

/** https://developers.webflow.com/data/reference/webhooks/events/form-submission. Fields are called by their labels. */
const submission: Shape = {
  fits: (item) => item.is('triggerType', 'form_submission'),
  ...answered(answersOf),
  recipient: ['payload.formId', 'payload.name'],
  id: 'payload.id',
  sent_at: 'payload.submittedAt',
};

function answersOf(item: Item): JsonObject {
  return item.item('payload.data').data;
}

/** https://developers.webflow.com/data/docs/working-with-webhooks#validating-request-signatures; the time is in milliseconds. */
export const webflow = provider({
  sender: 'email',
  scheme: hmac({
    header: 'x-webflow-signature',
    signed: ['{timestamp}', ':', '{body}'],
    timestampHeader: 'x-webflow-timestamp',
  }),
  isForm: true,
  shapes: [submission],
});
