import type { JsonObject } from '../../message.ts';
import type { Item } from '../item.ts';
import { isObject } from '../payload.ts';
import { hmac } from '../verify/hmac.ts';
import { answered, usual } from './answers.ts';
import { provider, type Shape } from './preset.ts';

/** What the script of docs/providers.md sends; or the event of a spreadsheet as it is, which has no id. */
const response: Shape = {
  fits: (item) => isObject(item.at('answers')) || isObject(item.at('namedValues')),
  ...answered(answersOf),
  sender: (item) => usual(answersOf(item), 'email') ?? item.text('respondentEmail') ?? usual(answersOf(item), 'phone'),
  email: (item) => usual(answersOf(item), 'email') ?? item.text('respondentEmail'),
  recipient: 'formId',
  id: 'responseId',
  sent_at: ['submittedAt', 'namedValues.Timestamp'],
};

/** By the titles of the questions. */
function answersOf(item: Item): JsonObject {
  const answers = item.at('answers', 'namedValues');
  return isObject(answers) ? answers : {};
}

export const googleForms = provider({
  sender: 'email',
  scheme: hmac({ header: 'X-Signature-256', prefix: 'sha256=', signed: ['{body}'] }),
  isForm: true,
  shapes: [response],
});
