import { messageOf } from '../fault.ts';
import type { Delivery, Message, Placement, UnroutedReason, UserProfile } from '../message.ts';
import type { AccountConfig, RouteConfig } from './schema/schema.ts';
import type { Template } from './templates.ts';

/** A route, as far as it says what becomes of a message that fits it. */
export interface Destination extends RouteConfig {
  /** Its place in the file. */
  readonly label: string;
  readonly accountName: string;
  readonly accountConfig: AccountConfig;
}

type Rendered = { readonly text: string } | { readonly fault: string };
type Render = (template: Template) => Rendered;

/** A template's fault is worded by Liquid, with the template's source, never with the values. */
function renderer(message: Message, channel: string): Render {
  return (template) => {
    try {
      return { text: template.render(message, channel) };
    } catch (error) {
      return { fault: messageOf(error) };
    }
  };
}

/**
 * What a route makes of a message. Never throws: what it cannot make anything of is a dead letter.
 *
 * @param known the auth_id of its sender, where that is listed
 */
export function deliveryBy(
  route: Destination,
  channel: string,
  message: Message,
  known: string | undefined,
): Placement {
  const dead = (reason: UnroutedReason, detail: string): Placement => ({ route: route.label, dead: reason, detail });
  const render = renderer(message, channel);

  const id = known === undefined ? route.auth_id && render(route.auth_id) : { text: known };
  if (id === undefined) return dead('no_auth_id', 'the sender is not in senders, and the route has no auth_id');
  if ('fault' in id) return dead('no_auth_id', `the auth_id template failed: ${id.fault}`);
  const authId = id.text.trim();
  if (authId === '') return dead('no_auth_id', 'the auth_id template gave nothing');
  const { auth_id_pattern: allowed, max_length: maxLength } = route.accountConfig;
  if (!allowed.fits(authId)) return dead('bad_auth_id', `"${authId}" does not fit ${allowed.source}`);

  const body = route.message_body ? render(route.message_body) : { text: defaultText(message) };
  if ('fault' in body) return dead('empty', `the message_body template failed: ${body.fault}`);
  if (body.text.trim() === '') return dead('empty', 'there is no text to deliver');
  const delivery: Delivery = {
    account: route.accountName,
    businessId: route.business_id,
    authId,
    text: maxLength === undefined ? body.text : cut(body.text, maxLength),
    user: profile(route, message, render),
    onUnknown: route.on_unknown,
    onDead: route.on_dead,
  };
  return { route: route.label, delivery };
}

/** The text, then the links to its files. What has no link is told of where a message is nothing but files. */
function defaultText({ text, attachments }: Message): string {
  const isBlank = text.trim() === '';
  const files = attachments.flatMap(({ url, name, content_type, id }) =>
    url !== undefined ? [url] : isBlank ? [`[file: ${name ?? content_type ?? id}]`] : [],
  );
  return (isBlank ? files : [text, ...files]).join('\n');
}

/** Cut between characters as people see them, and marked, so that an agent knows that there was more. */
function cut(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  let kept = '';
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    if (kept.length + segment.length > maxLength - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}

/** A profile is worth less than its message: what its templates cannot give is left out. */
function profile({ user }: Destination, message: Message, render: Render): UserProfile {
  if (user === undefined) return { name: message.name, email: message.email, mobile_no: message.phone };
  const optional = (template: Template | undefined) => {
    const rendered = template && render(template);
    return rendered && 'text' in rendered ? rendered.text.trim() || undefined : undefined;
  };
  return {
    name: optional(user.name),
    email: optional(user.email),
    mobile_no: optional(user.mobile_no),
    language_code: optional(user.language_code),
    custom_data: user.custom_data && customData(user.custom_data, render),
  };
}

function customData(templates: Readonly<Record<string, Template>>, render: Render): Record<string, string> {
  const rendered = Object.entries(templates).map(([key, template]) => [key, render(template)] as const);
  return Object.fromEntries(rendered.flatMap(([key, value]) => ('text' in value ? [[key, value.text]] : [])));
}
