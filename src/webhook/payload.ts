import { MIMEType } from 'node:util';
import type { Busboy } from 'busboy';
import { Malformed, UnsupportedContent } from '../errors.ts';
import { messageOf } from '../fault.ts';
import { parseJson } from '../json.ts';
import type { Attachment, Json, JsonObject } from '../message.ts';
import type { VerifiedRequest } from './verify/request.ts';

export interface Payload<Data extends Json = Json> {
  readonly data: Data;
  readonly attachments: readonly Attachment[];
}

/** Nothing that people write nests deeper, and code that walks what it is given must not run out of stack. */
const MAX_DEPTH = 64;
/** Fields or parts of a form; each costs us more than it costs the sender. */
export const MAX_FIELDS = 1_000;

export type ContentType =
  | 'application/json'
  | 'application/x-www-form-urlencoded'
  | 'multipart/form-data'
  | 'text/plain';

/** What any system can be expected to send. */
export const USUAL_TYPES: readonly ContentType[] = [
  'application/json',
  'application/x-www-form-urlencoded',
  'multipart/form-data',
];

/**
 * Decodes a verified request: the query of a GET, else the body by its Content-Type; `text/plain` is JSON by a sender that
 * calls it so.
 *
 * @throws {UnsupportedContent} for other types or unknown charsets; {Malformed} when the body is not what the type says
 */
export async function decodePayload(request: VerifiedRequest, decode: Decode = decodeText): Promise<Payload> {
  const { type } = request;
  if (type === undefined) return { data: gather(request.query), attachments: [] };
  switch (type.essence) {
    case 'application/x-www-form-urlencoded':
      return { data: gather(formParams(decode(request.body, type))), attachments: [] };
    case 'multipart/form-data':
      return decodeMultipart(request);
    default:
      return { data: decodeJson(decode(request.body, type)), attachments: [] };
  }
}

/** @throws {Malformed} when it is JSON, and no object; otherwise as `decodePayload` */
export async function decodeObject(request: VerifiedRequest): Promise<Payload<JsonObject>> {
  const { data, attachments } = await decodePayload(request);
  if (!isObject(data)) throw new Malformed('The body must be a JSON object.');
  return { data, attachments };
}

/** @throws {UnsupportedContent} for a type that the provider does not send, so that a body is not read in vain */
export function mediaType(header: string | undefined, accepted: readonly ContentType[]): MIMEType {
  const type = header === undefined ? undefined : parseMediaType(header);
  const essence = /^application\/[^;]+\+json$/.test(type?.essence ?? '') ? 'application/json' : type?.essence;
  if (type && accepted.some((one) => one === essence)) return type;
  const detail = `Content-Type ${header ?? '(none)'} is not accepted; send one of ${accepted.join(', ')}.`;
  throw new UnsupportedContent(detail, { headers: { Accept: accepted.join(', ') } });
}

function parseMediaType(header: string): MIMEType | undefined {
  try {
    return new MIMEType(header);
  } catch {
    return undefined;
  }
}

type Decode = (body: Buffer, type: MIMEType) => string;

/**
 * For senders who cannot be told, and may never send again: UTF-8 whatever they call it, since what is signed is read as
 * that too; what is none becomes U+FFFD.
 */
export const LENIENT: Decode = (body) => new TextDecoder().decode(body);

const UTF8 = new TextDecoder('utf-8', { fatal: true });

function decodeText(body: Buffer, type: MIMEType): string {
  const charset = type.params.get('charset') ?? 'utf-8';
  const decoder = decoderOf(charset);
  try {
    return decoder.decode(body);
  } catch {
    throw new Malformed(`The body is not valid ${charset}.`);
  }
}

function decoderOf(charset: string): TextDecoder {
  if (charset.toLowerCase() === 'utf-8') return UTF8;
  try {
    return new TextDecoder(charset, { fatal: true });
  } catch {
    throw new UnsupportedContent(`The charset ${charset} is not known; send UTF-8.`);
  }
}

/** @throws {Malformed} when it is not JSON, or nests too deep */
export function decodeJson(text: string): Json {
  let data: Json;
  try {
    data = parseJson(text);
  } catch (error) {
    // V8 quotes the text around the fault, which would put what customers write into logs.
    const fault = messageOf(error);
    const position = /at position (\d+)/.exec(fault)?.[1];
    const where = /end of JSON/.test(fault)
      ? ': it ends too early'
      : position === undefined
        ? ''
        : `: see position ${position}`;
    throw new Malformed(`The body is not valid JSON${where}.`);
  }
  if (deeperThan(MAX_DEPTH, data)) throw new Malformed(`The body nests deeper than ${MAX_DEPTH} levels.`);
  return data;
}

/** More of them than anybody means; a few megabytes can hold a million. */
const MAX_ON_A_LEVEL = 100_000;

/** Level by level, without recursion. */
function deeperThan(limit: number, data: Json): boolean {
  let level: Json[] = [data];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > limit) return true;
    if (level.length > MAX_ON_A_LEVEL)
      throw new Malformed(`The body holds more than ${MAX_ON_A_LEVEL} objects and lists.`);
    level = level.flatMap((value) =>
      typeof value === 'object' && value !== null
        ? Object.values(value).filter((inner) => typeof inner === 'object')
        : [],
    );
  }
  return false;
}

/** The JSON in a text; undefined where it is none. */
export function jsonIn(text: string): Json | undefined {
  try {
    return decodeJson(text);
  } catch {
    return undefined;
  }
}

/** Forms send every input, filled in or not: an empty one says nothing. */
export function isFilled<T extends Json>(value: T | undefined): value is T {
  return value !== undefined && value !== null && value !== '';
}

export function isObject(data: Json | undefined): data is JsonObject {
  return typeof data === 'object' && data !== null && !Array.isArray(data);
}

export function isList(data: Json | undefined): data is readonly Json[] {
  return Array.isArray(data);
}

/**
 * The parameters of a form, in their order.
 *
 * @throws {Malformed} when they are too many: a megabyte can hold half a million, and who sends them need not be verified yet
 */
export function formParams(text: string): URLSearchParams {
  const separators = text.split('&', MAX_FIELDS + 1).length;
  if (separators > MAX_FIELDS) throw new Malformed(`The body has more than ${MAX_FIELDS} fields.`);
  return new URLSearchParams(text);
}

/** Fields by name; a name that comes more than once (checkboxes) holds a list. */
function gather(entries: Iterable<readonly [string, string]>): JsonObject {
  const fields = new Map<string, string[]>();
  for (const [name, value] of entries) {
    const values = fields.get(name);
    if (values === undefined) fields.set(name, [value]);
    else values.push(value);
  }
  return Object.fromEntries(
    [...fields].map(([name, values]) => [name, values.length > 1 ? values : (values[0] ?? '')]),
  );
}

/** Text parts become fields; of files only name, type and size are kept, their bytes are counted and dropped. */
async function decodeMultipart(request: VerifiedRequest): Promise<Payload> {
  // Most bridges never see one, and need not hold what reads it.
  const { default: busboy } = await import('busboy');
  return new Promise((resolve, reject) => {
    const entries: [string, string][] = [];
    const attachments: Attachment[] = [];
    const malformed = (cause: unknown) =>
      reject(new Malformed(`The body is not valid multipart/form-data: ${messageOf(cause)}.`));
    let parser: Busboy;
    try {
      parser = busboy({
        headers: request.headers,
        defParamCharset: 'utf8',
        limits: { parts: MAX_FIELDS, fieldSize: request.body.length, fieldNameSize: 1_000 },
      });
    } catch (error) {
      malformed(error);
      return;
    }
    parser.on('field', (name, value) => entries.push([name, value]));
    parser.on('file', (_field, stream, { filename, mimeType }) => {
      let size = 0;
      stream.on('data', (chunk: Buffer) => {
        size += chunk.length;
      });
      stream.on('error', malformed);
      // A file input that was left empty comes as a part without a name.
      stream.on('end', () => filename && attachments.push({ name: filename, content_type: mimeType, size }));
    });
    parser.on('partsLimit', () => malformed(`it has more than ${MAX_FIELDS} parts`));
    parser.on('error', malformed);
    parser.on('close', () => resolve({ data: gather(entries), attachments }));
    parser.end(request.body);
  });
}
