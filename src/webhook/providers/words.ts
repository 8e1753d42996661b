import type { Json, JsonObject } from '../../message.ts';
import type { Item } from '../item.ts';
import { isList } from '../payload.ts';

/** What is sent without text, in words that an agent and a bot can read. */

/** `Name, Address (12.97, 77.59)`, as far as it is known. */
export function place(
  item: Item,
  latitude: string,
  longitude: string,
  ...about: readonly string[]
): string | undefined {
  const [north, east] = [item.text(latitude), item.text(longitude)];
  if (north === undefined || east === undefined) return undefined;
  const named = about.flatMap((path) => item.text(path) ?? []).join(', ');
  return named === '' ? `${north}, ${east}` : `${named} (${north}, ${east})`;
}

/** `Asha Rao, +91 99999 00001`, a line each. */
export function people(contacts: readonly Item[]): string | undefined {
  const lines = contacts.map((contact) => {
    const name = contact.text('name.formatted_name', 'name.formattedName', 'name');
    const phones = contact.items('phones').flatMap((phone) => phone.text('phone', 'wa_id', 'waId') ?? []);
    return [name, ...phones].filter((part) => part !== undefined).join(', ');
  });
  return lines.filter((line) => line !== '').join('\n') || undefined;
}

/** `2 × sku-1 (300 INR)`, a line each, after what the customer wrote to it. */
export function order(text: string | undefined, products: readonly Item[]): string | undefined {
  const lines = products.map((product) => {
    const price = joined(' ', product.text('item_price', 'itemPrice'), product.text('currency'));
    const what = joined(
      ' × ',
      product.text('quantity'),
      product.text('product_retailer_id', 'productRetailerId', 'id'),
    );
    return joined(' ', what, price && `(${price})`);
  });
  return joined('\n', text, ...lines);
}

/** As far as there is anything, joined. */
export function joined(separator: string, ...parts: readonly (string | undefined)[]): string | undefined {
  return parts.filter((part) => part !== undefined && part !== '').join(separator) || undefined;
}

/** The last of several values under one name: senders that repeat a name mean the last. */
export function lastOfEach(data: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(data).map(([name, value]): [string, Json] => [name, isList(value) ? (value.at(-1) ?? null) : value]),
  );
}
