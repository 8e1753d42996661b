import { z } from 'zod';
import { isCountry } from '../../sender.ts';
import type { Catalog } from '../catalog.ts';
import { compiled, path, positive, text, WHEN_KEYS_ARE_FINE } from './parts.ts';
import { faultFor, verify } from './verify.ts';

const FORM_ONLY = ['allowed_origins', 'redirect', 'honeypot', 'rate_limit'] as const;

/** How an inbound endpoint reads and checks what it gets. */
export function channel(providers: Catalog) {
  return z
    .strictObject({
      provider: z
        .enum(Object.keys(providers))
        .default('generic')
        .describe('The kind of system that sends; docs/providers.md says what each is.'),
      verify: verify.describe('How its webhooks are checked, or the written word none.'),
      fields: z
        .strictObject({
          sender: path.optional().describe('Path of who wrote it: phone, e-mail, user id.'),
          text: path.optional().describe('Path of what was written.'),
          recipient: path.optional().describe('Path of what they wrote to: number, form, page.'),
          id: path.optional().describe('Path of the id of the message, by which repeats are recognised.'),
          sent_at: path.optional().describe('Path of when it was written.'),
          name: path.optional().describe('Path of the name of who wrote it.'),
          email: path.optional().describe('Path of their e-mail address.'),
          phone: path.optional().describe('Path of their phone number.'),
          fields: path.optional().describe('Path of what routes and templates see as fields; all of it by default.'),
        })
        .optional()
        .describe('Where values are in the payload, as paths such as from.phone, items[0].text, ["1.3"].'),
      default_country: z
        .string()
        .refine(isCountry, 'expected a country of ISO 3166-1 such as IN or US')
        .optional()
        .describe('The country of phone numbers that come without +, such as IN.'),
      allowed_origins: z
        .array(compiled('bad_url', originOf))
        .min(1, 'must hold at least one origin; leave it out to allow any')
        .optional()
        .describe('Form: pages of which sites may send, such as https://www.example.com; any by default.'),
      redirect: compiled('bad_url', pageUrl)
        .optional()
        .describe('Form: the page that the browser goes on to; a thank-you page by default.'),
      honeypot: text.optional().describe('Form: the field that only robots fill in; _gotcha by default.'),
      rate_limit: positive.optional().describe('Form: messages a minute and address; 30 by default.'),
    })
    .describe('An inbound endpoint, POST /webhooks/<its name>: who sends, and how it is checked.')
    .superRefine((value, context) => {
      const traits = providers[value.provider];
      if (traits === undefined) return;
      const refuse = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
      for (const key of FORM_ONLY) {
        if (value[key] !== undefined && !traits.isOwnForm) refuse([key], 'is only for provider: form');
      }
      const fault = faultFor(value.provider, traits, value.verify);
      if (fault !== undefined) refuse(['verify', fault.key], fault.message);
      for (const name of traits.unnamed ?? []) {
        if (value.fields?.[name] !== undefined) continue;
        refuse(['fields'], `needs ${name}: what ${value.provider} calls it is chosen by whoever made the form`);
      }
    }, WHEN_KEYS_ARE_FINE);
}

function originOf(source: string): string {
  const url = URL.parse(source);
  if (url === null || url.origin !== source)
    throw new Error('expected an origin such as https://www.example.com, no path');
  return url.origin;
}

function pageUrl(source: string): string {
  const url = URL.parse(source);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new Error('expected a URL such as https://www.example.com/thanks');
  return url.href;
}
