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
      id: 'id',
      // Counted within a site, and anew where that is set up again.
      event: (item) =>
        item.has('id') ? joined(' ', item.text('form_id'), item.text('id'), item.text('date_created')) : undefined,
      sent_at: 'date_created',
      // Those with a number for a name are what was filled in.
      attachments: ({ data }) =>
        uploads(Object.fromEntries(Object.entries(data).filter(([name]) => /^\d+(\.\d+)?$/.test(name)))),
    },
  ],
});
