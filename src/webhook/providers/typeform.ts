import type { Json, JsonObject } from '../../message.ts';
import type { Item } from '../item.ts';
import { isList } from '../payload.ts';
import { hmac } from '../verify/hmac.ts';
import { answered, usual } from './answers.ts';
import { provider, type Shape } from './preset.ts';

/** https://www.typeform.com/developers/webhooks/example-payload/. A partial response is none yet. */
const response: Shape = {
  fits: (item) => item.is('event_type', 'form_response') && item.has('form_response.answers'),
  ...answered(answersOf),
  sender: (item) => ofType(item, 'email') ?? ofType(item, 'phone_number') ?? usual(answersOf(item), 'email'),
  email: (item) => ofType(item, 'email') ?? usual(answersOf(item), 'email'),
  phone: (item) => ofType(item, 'phone_number'),
  text: (item) => usual(answersOf(item), 'text') ?? longText(item) ?? ofType(item, 'text'),
  recipient: 'form_response.form_id',
  // An event may be fired again by hand, and is another then.
  id: 'form_response.token',
  sent_at: 'form_response.submitted_at',
  attachments: (item) =>
    answers(item)
      .filter((answer) => answer.is('type', 'file_url'))
      .flatMap((answer) => answer.attachment({ url: 'file_url' })),
};

function answers(item: Item): readonly Item[] {
  return item.items('form_response.answers');
}

/** By `ref`, which the form's owner gives, and by the question; and what the form's address held, hidden. */
function answersOf(item: Item): JsonObject {
  const titles = new Map(
    item.items('form_response.definition.fields').map((field) => [field.text('id'), field.text('title')] as const),
  );
  const given = answers(item).flatMap((answer) => {
    const value = answerOf(answer);
    const names = [titles.get(answer.text('field.id')), answer.text('field.ref')];
    return names.flatMap((name): [string, Json][] => (name === undefined ? [] : [[name, value]]));
  });
  return { ...item.item('form_response.hidden').data, ...Object.fromEntries(given) };
}

function answerOf(answer: Item): Json {
  return (
    answer.text('choice.label', 'choice.other') ??
    chosen(answer) ??
    answer.at('payment') ??
    answer.own(answer.text('type') ?? '') ??
    null
  );
}

/** Of several, and what was written in beside them. */
function chosen(answer: Item): Json | undefined {
  const labels = answer.at('choices.labels');
  const other = answer.at('choices.other');
  const all = [...(isList(labels) ? labels : []), ...(other === undefined ? [] : [other])];
  return all.length > 0 ? all : undefined;
}

function ofType(item: Item, type: string): string | undefined {
  return answers(item)
    .filter((answer) => answer.is('type', type))
    .map((answer) => answer.text(type))
    .at(-1);
}

function longText(item: Item): string | undefined {
  return answers(item)
    .filter((answer) => answer.is('field.type', 'long_text'))
    .map((answer) => answer.text('text'))
    .at(-1);
}

export const typeform = provider({
  sender: 'email',
  scheme: hmac({ header: 'Typeform-Signature', encoding: 'base64', prefix: 'sha256=', signed: ['{body}'] }),
  isForm: true,
  shapes: [response],
});
