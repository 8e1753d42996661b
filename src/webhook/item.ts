import type { Attachment, Json, JsonObject } from '../message.ts';
import { parsePath } from '../path.ts';
import { isFilled, isList, isObject, jsonIn } from './payload.ts';
import { wellFormed } from './wellformed.ts';

/**
 * One message or event of a request, whatever it holds: reading it never fails. Paths are those of the routing file
 * (`from.phone`, `items[0].text`), and never made of what came; the first at which there is something counts.
 */
export class Item {
  readonly data: JsonObject;

  constructor(data: Json | undefined) {
    this.data = isObject(data) ? data : {};
  }

  /** Neither null nor an empty text counts as something. */
  at(...paths: readonly string[]): Json | undefined {
    return paths.map((path) => parsePath(path).read(this.data)).find(isFilled);
  }

  /** The value of that very name, which may be one that the sender chose. */
  own(name: string): Json | undefined {
    return Object.hasOwn(this.data, name) ? this.data[name] : undefined;
  }

  /** As text, where it is text, a number, or a list of such. */
  text(...paths: readonly string[]): string | undefined {
    return paths.map((path) => textOf(parsePath(path).read(this.data))).find(isFilled);
  }

  has(...paths: readonly string[]): boolean {
    return this.at(...paths) !== undefined;
  }

  /** Whether the text there is one of these. */
  is(path: string, ...values: readonly string[]): boolean {
    const text = this.text(path);
    return text !== undefined && values.includes(text);
  }

  /** What stands there as an item of its own, be it empty. */
  item(path: string): Item {
    return new Item(this.at(path));
  }

  /** The objects of the list there. */
  items(path: string): readonly Item[] {
    const list = this.at(path);
    return isList(list) ? list.filter(isObject).map((data) => new Item(data)) : [];
  }

  /** The object or list that is written as JSON in the text there: some senders wrap it twice. */
  unwrapped(path: string): Json | undefined {
    return unwrap(this.at(path));
  }

  /** A file by where its parts stand; undefined where there is neither a link nor an id. */
  attachment(where: Readonly<Partial<Record<keyof Attachment, string>>>): readonly Attachment[] {
    const part = (name: keyof Attachment) => {
      const path = where[name];
      return path === undefined ? undefined : this.text(path);
    };
    const [url, id, size] = [part('url'), part('id'), Number(part('size'))];
    if (url === undefined && id === undefined) return [];
    return [{ url, id, name: part('name'), content_type: part('content_type'), size: size > 0 ? size : undefined }];
  }
}

function textOf(value: Json | undefined): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  if (!isList(value) || !value.every((one) => typeof one === 'string' || typeof one === 'number')) return undefined;
  return value.join(', ');
}

/** More than this is nobody's mistake. */
const MAX_WRAPPINGS = 2;

/** The object or list that is written as JSON in a text, if it is no such already. */
export function unwrap(value: Json | undefined): Json | undefined {
  let inner = value;
  for (let wrapping = 0; typeof inner === 'string' && wrapping < MAX_WRAPPINGS; wrapping += 1) {
    inner = jsonIn(inner);
  }
  return typeof inner === 'object' && inner !== null ? wellFormed(inner) : undefined;
}
