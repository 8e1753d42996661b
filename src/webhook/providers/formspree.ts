import type { JsonObject } from '../../message.ts';
import type { Item } from '../item.ts';
import { stripe } from '../verify/hmac.ts';
import { answered } from './answers.ts';
import { provider, type Shape } from './preset.ts';

/** https://help.formspree.io/hc/en-us/articles/360015234873-Webhooks. No id, but a time. */
const submission: Shape = {
  fits: (item) => item.has('submission'),
  ...answered(answersOf),
  recipient: 'form',
  sent_at: 'submission._date',
};

function answersOf(item: Item): JsonObject {
  return item.item('submission').data;
}

export const formspree = provider({
  sender: 'email',
  scheme: stripe('Formspree-Signature'),
  isForm: true,
  shapes: [submission],
});
