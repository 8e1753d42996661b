import type { JsonObject } from '../../message.ts';
import { Item } from '../item.ts';
import { isObject } from '../payload.ts';
import { inQuery } from '../verify/fixed.ts';
import { answered } from './answers.ts';
import { provider, type Shape } from './preset.ts';

const PARAMETERS = ['key', 'token'];

/** https://www.jotform.com/help/245-how-to-setup-a-webhook-with-jotform/. Answers are called `q4_email`. */
const submission: Shape = {
  fits: (item) => item.has('submissionID') && item.has('rawRequest'),
  ...answered(answersOf),
  recipient: 'formID',
  // 19 digits.
  id: 'submissionID',
  sent_at: (item) => answersOf(item).submitDate,
};

/** JSON in a field, by some relays wrapped twice. Of a file that is being uploaded there is no link yet. */
function answersOf(item: Item): JsonObject {
  const answers = item.unwrapped('rawRequest');
  if (!isObject(answers)) return {};
  const { temp_upload: _underWay, ...rest } = answers;
  return rest;
}

/** It signs nothing: a secret in the URL is all there is. The URL comes back within the body, and is not kept. */
export const jotform = provider({
  sender: 'email',
  scheme: inQuery(...PARAMETERS),
  secretParameters: PARAMETERS,
  types: ['multipart/form-data', 'application/x-www-form-urlencoded'],
  isForm: true,
  split: ({ data: { webhookURL: _secret, ...payload } }) => [new Item(payload)],
  shapes: [submission],
});
