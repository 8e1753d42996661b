import { inHeader } from '../verify/fixed.ts';
import { uploads } from './answers.ts';
import { provider } from './preset.ts';
import { joined } from './words.ts';

/** https://docs.gravityforms.com/category/add-ons-gravity-forms/webhooks-add-on/. Fields are numbered, each form in its own way. */
export const gravityforms = provider({
  sender: 'email',
  scheme: inHeader('Authorization', 'Bearer '),
  unnamed: ['sender', 'text'],
  types: ['application/json', 'application/x-www-form-urlencoded'],
  isForm: true,
  shapes: [
    {
      fits: ({ data }) => Object.keys(data).length > 0,
      sender: [],
      text: [],
      recipient: 'form_id',
      // Where the owner has chosen the names, this may be one of theirs.
      id: (item) => (item.has('form_id', 'date_created') ? item.at('id') : undefined),
      // Counted within a site, and anew where that is set up again.
      event: (item) =>
        item.has('id') && item.has('form_id', 'date_created')
          ? joined(' ', item.text('form_id'), item.text('id'), item.text('date_created'))
          : undefined,
      sent_at: 'date_created',
      // Those with a number for a name are what was filled in.
      attachments: ({ data }) =>
        uploads(Object.fromEntries(Object.entries(data).filter(([name]) => /^\d+(\.\d+)?$/.test(name)))),
    },
  ],
});
