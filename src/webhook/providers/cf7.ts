import { inHeader } from '../verify/fixed.ts';
import { answered, usual } from './answers.ts';
import { provider } from './preset.ts';

/** Contact Form 7 with the plugin "CF7 to Webhook": the names of the form's tags. It says of no time, and gives no id. */
export const cf7 = provider({
  sender: 'email',
  scheme: inHeader('X-Api-Key'),
  // Where the form's own template is no JSON it says so, also where it is.
  types: ['application/json', 'text/plain', 'application/x-www-form-urlencoded'],
  isForm: true,
  shapes: [
    {
      fits: ({ data }) => Object.keys(data).length > 0,
      ...answered(({ data }) => data),
      // A template that is no JSON is all that there is.
      text: (item) => usual(item.data, 'text') ?? item.text('body'),
    },
  ],
});
