import type { JsonObject } from '../../message.ts';
import type { Item } from '../item.ts';
import { isDigestOf, token } from '../verify/token.ts';
import { answered, usual } from './answers.ts';
import { provider, type Shape } from './preset.ts';

/** https://docs.netlify.com/forms/notifications/ */
const submission: Shape = {
  fits: (item) => item.has('data') && item.has('form_name', 'form_id'),
  ...answered(answersOf),
  sender: (item) => usual(answersOf(item), 'email') ?? item.text('email') ?? usual(answersOf(item), 'phone'),
  email: (item) => usual(answersOf(item), 'email') ?? item.text('email'),
  text: (item) => usual(answersOf(item), 'text') ?? item.text('body', 'summary'),
  name: (item) => usual(answersOf(item), 'name') ?? item.text('name'),
  recipient: 'form_name',
  id: 'id',
  sent_at: 'created_at',
};

function answersOf(item: Item): JsonObject {
  return item.item('data').data;
}

/** https://docs.netlify.com/site-deploys/notifications/#payload-signature. It says of no time. */
export const netlify = provider({
  sender: 'email',
  scheme: token({
    header: 'X-Webhook-Signature',
    judge: ({ iss, sha256 }, { body }) => {
      if (iss !== 'netlify') return 'is not by Netlify.';
      return isDigestOf(sha256, body) ? undefined : 'does not fit the body as it arrived.';
    },
  }),
  isForm: true,
  // A function that passes it on wraps it.
  split: (payload) => [payload.has('payload.data') ? payload.item('payload') : payload],
  shapes: [submission],
});
