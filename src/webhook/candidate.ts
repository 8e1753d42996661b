import { body, type ValidationChain } from 'express-validator';
import type { FieldError } from '../errors.ts';
import type { Attachment, Json, Message } from '../message.ts';
import type { Channel } from '../routing/table.ts';
import { normaliseSender } from '../sender.ts';
import { isFilled } from './payload.ts';
import { toIso } from './time.ts';

/** What a field of a message may be read from. */
export type FieldName = 'sender' | 'text' | 'recipient' | 'id' | 'sent_at' | 'name' | 'email' | 'phone' | 'fields';

/** A value as it stood in the payload, with its place there, so that an error can name it. */
export interface Found {
  readonly path: string;
  readonly value: Json | undefined;
}

/** Where a provider finds each field of a message to be; unchecked. */
export type Find = (name: FieldName) => Found;

const MAX_NAME_LENGTH = 1_000;

const isText = (value: unknown) => typeof value === 'string';
const isTextOrNumber = (value: unknown) => isText(value) || typeof value === 'number';
const isMap = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value);

const short = (chain: ValidationChain) =>
  chain.isLength({ max: MAX_NAME_LENGTH }).withMessage(`must not be longer than ${MAX_NAME_LENGTH} characters`);
const present = (chain: ValidationChain) =>
  chain.notEmpty({ ignore_whitespace: true }).withMessage('must not be empty');
const textOrNumber = (chain: ValidationChain) =>
  short(chain.custom(isTextOrNumber).withMessage('must be text').bail().customSanitizer(String));
const required = (name: FieldName) => body(name).exists({ values: 'null' }).withMessage('is missing').bail();

/** One chain a field. A chain costs some 14 µs, so those of optional fields run only where the field is there. */
const rules: Readonly<Record<FieldName, ValidationChain>> = {
  sender: present(textOrNumber(required('sender'))),
  text: required('text').custom(isText).withMessage('must be text'),
  recipient: textOrNumber(body('recipient')),
  id: textOrNumber(body('id')),
  sent_at: body('sent_at')
    .custom((value) => toIso(value) !== undefined)
    .withMessage('must be a time: ISO 8601, or Unix time in seconds or milliseconds'),
  name: textOrNumber(body('name')),
  email: textOrNumber(body('email')),
  phone: textOrNumber(body('phone')),
  fields: body('fields').custom(isMap).withMessage('must be an object'),
};

function isRequired(name: FieldName): boolean {
  return name === 'sender' || name === 'text';
}

type Checked = { readonly message: Message } | { readonly errors: readonly FieldError[] };

/** Where a message comes from, for what the payload itself does not say. */
export interface Origin {
  /** Its name stands in for a recipient that the payload does not name. */
  readonly channel: Channel;
  /** Used where the payload holds no id: what the headers say. */
  readonly fallbackId: string | undefined;
  readonly attachments: readonly Attachment[];
}

/** Checks every field and tells every problem; a message comes out only where there is none. */
export async function toMessage(find: Find, origin: Origin): Promise<Checked> {
  const found = (Object.keys(rules) as FieldName[])
    .map((name) => ({ name, ...find(name) }))
    .filter(({ name, value }) => isRequired(name) || isFilled(value));
  const values: Partial<Record<FieldName, Json | undefined>> = {};
  for (const { name, value } of found) values[name] = value;

  const errors: FieldError[] = [];
  const request = { body: values };
  for (const { name, path } of found) {
    const result = await rules[name].run(request);
    for (const { msg } of result.array()) errors.push({ path, message: msg });
  }
  const { text } = request.body;
  if (typeof text === 'string' && text.trim() === '' && origin.attachments.length === 0) {
    errors.push({ path: find('text').path, message: 'must not be empty' });
  }
  return errors.length > 0 ? { errors } : { message: messageOf(request.body, origin) };
}

function messageOf(values: Readonly<Partial<Record<FieldName, Json | undefined>>>, origin: Origin): Message {
  const optional = (name: FieldName) =>
    values[name] === undefined ? undefined : String(values[name]).trim() || undefined;
  return {
    sender: normaliseSender(String(values.sender), origin.channel.senders.country, origin.channel.senders.kind),
    recipient: normaliseSender(optional('recipient') ?? origin.channel.name),
    text: String(values.text),
    providerId: optional('id') ?? origin.fallbackId,
    sentAt: toIso(values.sent_at),
    name: optional('name'),
    email: optional('email'),
    phone: optional('phone'),
    fields: values.fields ?? {},
    attachments: origin.attachments,
  };
}
