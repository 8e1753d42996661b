import type { Json, JsonObject } from '../../message.ts';
import type { Item } from '../item.ts';
import { isList } from '../payload.ts';
import { hmac } from '../verify/hmac.ts';
import { answered, usual } from './answers.ts';
import { provider, type Shape } from './preset.ts';

/** https://tally.so/help/webhooks */
const response: Shape = {
  fits: (item) => item.is('eventType', 'FORM_RESPONSE') && item.has('data.fields'),
  ...answered(answersOf),
  sender: (item) =>
    ofType(item, 'INPUT_EMAIL') ?? ofType(item, 'INPUT_PHONE_NUMBER') ?? usual(answersOf(item), 'email'),
  email: (item) => ofType(item, 'INPUT_EMAIL'),
  phone: (item) => ofType(item, 'INPUT_PHONE_NUMBER'),
  text: (item) => usual(answersOf(item), 'text') ?? ofType(item, 'TEXTAREA'),
  recipient: 'data.formId',
  id: ['data.responseId', 'data.submissionId'],
  sent_at: ['data.createdAt', 'createdAt'],
};

function answersOf(item: Item): JsonObject {
  return Object.fromEntries(
    item.items('data.fields').flatMap((field): [string, Json][] => {
      const name = field.text('label') ?? field.text('key');
      return name === undefined ? [] : [[name, answerOf(field)]];
    }),
  );
}

/** What was chosen is told by the ids of the options. */
function answerOf(field: Item): Json {
  const value = field.data.value ?? null;
  const labels = new Map(field.items('options').map((option) => [option.text('id'), option.text('text')]));
  if (!isList(value) || labels.size === 0) return value;
  return value.map((id) => (typeof id === 'string' ? (labels.get(id) ?? id) : id));
}

function ofType(item: Item, type: string): string | undefined {
  return item
    .items('data.fields')
    .filter((field) => field.is('type', type))
    .map((field) => field.text('value'))
    .at(-1);
}

export const tally = provider({
  sender: 'email',
  scheme: hmac({ header: 'Tally-Signature', encoding: 'base64', signed: ['{body}'] }),
  isForm: true,
  shapes: [response],
});
