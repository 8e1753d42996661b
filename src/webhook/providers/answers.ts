import type { Attachment, Json, JsonObject } from '../../message.ts';
import type { FieldName } from '../candidate.ts';
import { Item } from '../item.ts';
import { isList, isObject, MAX_FIELDS } from '../payload.ts';
import type { Shape } from './preset.ts';

/** What people call the fields of their forms, in any case; the first that is filled in counts. */
export const USUAL_NAMES = {
  sender: ['email', 'your-email', 'phone'],
  text: ['message', 'your-message', 'comments'],
  name: ['name', 'your-name'],
  email: ['email', 'your-email'],
  phone: ['phone', 'your-phone'],
} satisfies Partial<Record<FieldName, readonly string[]>>;

/** Form builders have labels for names: `Your e-mail address` is `email`, `q4_email4` too. */
const SYNONYMS: Readonly<Record<'email' | 'phone' | 'text' | 'name', readonly string[]>> = {
  email: ['email', 'emailaddress', 'mail', 'workemail', 'replyto'],
  phone: ['phone', 'phonenumber', 'mobile', 'mobilenumber', 'telephone', 'tel', 'contactnumber', 'whatsappnumber'],
  text: ['message', 'comments', 'comment', 'question', 'query', 'enquiry', 'inquiry', 'description', 'howcanwehelp'],
  name: ['name', 'fullname'],
};

/** What a form's answers say under the usual names. */
export function usual(answers: JsonObject, wanted: keyof typeof SYNONYMS): string | undefined {
  const names = Object.keys(answers)
    .slice(0, MAX_FIELDS)
    .map((name) => [plain(name), name] as const);
  return SYNONYMS[wanted]
    .flatMap((synonym) => names.filter(([called]) => called === synonym))
    .map(([, name]) => sayable(answers[name]))
    .find((text) => text !== undefined && text !== '');
}

/** Nobody calls a field by more. What follows costs by its length, and visitors may name fields too. */
const MAX_NAME_LENGTH = 200;

function plain(name: string): string {
  return name
    .slice(0, MAX_NAME_LENGTH)
    .toLowerCase()
    .replace(/^q\d+_/, '')
    .replace(/[^\p{L}\p{N}]/gu, '')
    .replace(/^your/, '')
    .replace(/\d+$/, '');
}

/** Text, a number, a list of such, or a name or number in its parts. */
function sayable(value: Json | undefined): string | undefined {
  const item = new Item({ value: value ?? null });
  if (!isObject(value)) return item.text('value');
  const parts = ['prefix', 'first', 'middle', 'last', 'suffix', 'country', 'area', 'phone'];
  return item.text('value.full') ?? (parts.flatMap((part) => item.text(`value.${part}`) ?? []).join(' ') || undefined);
}

/**
 * The parts of a message that stand among a form's answers. What was filled in is shown as `fields` too, but for names that
 * lead into what the provider says itself: who fills in a form must not choose its route.
 */
export function answered(
  answersOf: (item: Item) => JsonObject,
): Pick<Shape, 'sender' | 'text' | 'name' | 'email' | 'phone' | 'attachments' | 'extra'> {
  const find = (wanted: keyof typeof SYNONYMS) => (item: Item) => usual(answersOf(item), wanted);
  return {
    sender: (item) => find('email')(item) ?? find('phone')(item),
    text: find('text'),
    name: (item) => find('name')(item) ?? fullName(answersOf(item)),
    email: find('email'),
    phone: find('phone'),
    attachments: (item) => uploads(answersOf(item)),
    extra: (item) => {
      const leadsInto = (name: string) => Object.hasOwn(item.data, name.split(/[.[]/, 1)[0] ?? '');
      return Object.fromEntries(Object.entries(answersOf(item)).filter(([name]) => !leadsInto(name)));
    },
  };
}

function fullName(answers: JsonObject): string | undefined {
  const part = (name: string) => Object.entries(answers).find(([key]) => plain(key).endsWith(name))?.[1];
  const parts = [part('firstname'), part('lastname')].flatMap((value) => sayable(value) ?? []);
  return parts.join(' ') || undefined;
}

/** Files that were uploaded are lists of links, or one link to something with a file's name. */
export function uploads(answers: JsonObject): readonly Attachment[] {
  return Object.values(answers).flatMap((value) => {
    const list = isList(value) ? value : (listWithin(value) ?? [value]);
    const isUpload = isList(value) || listWithin(value) !== undefined;
    return list.flatMap((one) => {
      if (isObject(one)) {
        const file = new Item(one);
        return isLink(file.text('url') ?? '')
          ? file.attachment({ url: 'url', name: nameIn(file), content_type: typeIn(file), size: 'size' })
          : [];
      }
      const url = typeof one === 'string' ? one : '';
      return isLink(url) && (isUpload || isFile(url)) ? [{ url }] : [];
    });
  });
}

const nameIn = (file: Item) => (file.has('filename') ? 'filename' : 'name');
const typeIn = (file: Item) => (file.has('mimeType') ? 'mimeType' : 'type');

function listWithin(value: Json | undefined): readonly Json[] | undefined {
  const list = typeof value === 'string' && value.startsWith('[') ? new Item({ value }).unwrapped('value') : undefined;
  return isList(list) ? list : undefined;
}

function isLink(text: string): boolean {
  return /^https?:\/\/\S+$/.test(text);
}

function isFile(url: string): boolean {
  return /\/[^/?#]+\.[a-z0-9]{2,5}$/i.test(URL.parse(url)?.pathname ?? '');
}
