import { Malformed, TooLarge } from '../../errors.ts';
import type { Attachment, Json, JsonObject, Message } from '../../message.ts';
import type { ProviderTraits } from '../../routing/catalog.ts';
import type { Channel } from '../../routing/table.ts';
import { normaliseSender, type SenderKind } from '../../sender.ts';
import type { FieldName } from '../candidate.ts';
import { Item } from '../item.ts';
import { type ContentType, decodePayload, isList, isObject, LENIENT, type Payload } from '../payload.ts';
import { repeatOf } from '../repeat.ts';
import { toIso } from '../time.ts';
import { inTurns, MAX_BATCH } from '../turns.ts';
import type { RawRequest, Scheme, VerifiedRequest } from '../verify/request.ts';
import { wellFormed } from '../wellformed.ts';
import type { Arrival, Parsed, Provider, Reply } from './provider.ts';

/** Where a value stands in an item: a path, several of which the first with something counts, or a look at the item. */
export type Where = string | readonly string[] | ((item: Item) => Json | undefined);

/** What one kind of message looks like. */
export interface Shape extends Readonly<Partial<Record<Exclude<FieldName, 'fields'>, Where>>> {
  readonly sender: Where;
  readonly text: Where;
  /** Whether an item is such a message. `mapped` holds what stands where the channel's `fields` say. */
  readonly fits: (item: Item, mapped: Item) => boolean;
  /** What the provider says to recognise repeats by, where that is not the message's id. */
  readonly event?: Where;
  readonly attachments?: (item: Item) => readonly Attachment[];
  /** What this sender is, where it is not what the provider's mostly are. */
  readonly kind?: (item: Item) => SenderKind | undefined;
  /** What else `fields` are to show, and the channel's paths to find, beside what came. */
  readonly extra?: (item: Item) => JsonObject;
}

/** A provider as data. What no shape fits is an event that is no message: answered, counted and forgotten. */
export interface Preset {
  readonly sender: SenderKind;
  readonly credentials?: ProviderTraits['credentials'];
  readonly scheme?: Scheme;
  readonly hasVerifyToken?: boolean;
  readonly unnamed?: ProviderTraits['unnamed'];
  readonly methods?: readonly ('GET' | 'HEAD' | 'POST')[];
  readonly types?: readonly ContentType[];
  readonly bodyLimitBytes?: number;
  /** Parameters of the URL that hold its secret, and are no part of what came. */
  readonly secretParameters?: readonly string[];
  /** A website's form: two of the same within a minute are one, where the provider gives neither id nor time. */
  readonly isForm?: boolean;
  readonly greet?: Provider['greet'];
  /** A signed request that asks for an answer of its own. */
  readonly handshake?: (item: Item) => Pick<Parsed, 'answer' | 'confirm'> | undefined;
  /** Takes a payload apart, where it holds several messages or wraps them. A list is taken apart as it is. */
  readonly split?: (payload: Item) => readonly Item[];
  readonly shapes: readonly Shape[];
  /** Many send the body of an answer to the customer, so mostly it is empty. */
  readonly reply?: (request: RawRequest) => Reply;
}

const EMPTY: Reply = { status: 200 };
/** Presets take what providers are known to send; what has files within says so itself. */
const BODY_LIMIT_BYTES = 1024 * 1024;

/** Makes a provider of a preset. */
export function provider(preset: Preset): Provider {
  const { credentials = 'secret', methods = ['POST'], types = ['application/json'] } = preset;
  const reply = preset.reply ?? (() => EMPTY);
  return {
    sender: preset.sender,
    credentials,
    hasVerifyToken: preset.hasVerifyToken ?? false,
    ...(preset.unnamed && { unnamed: preset.unnamed }),
    methods,
    types,
    bodyLimitBytes: preset.bodyLimitBytes ?? BODY_LIMIT_BYTES,
    scheme: preset.scheme,
    ...(preset.greet && { greet: preset.greet }),
    parse: (request, channel) => parse(preset, request, channel),
    reply: (_receipts, _isBatch, _channel, request) => reply(request),
  };
}

async function parse(preset: Preset, request: VerifiedRequest, channel: Channel): Promise<Parsed> {
  const { data, attachments } = await payloadOf(preset, request, channel);
  const whole = new Item(data);
  const handshake = preset.handshake?.(whole);
  if (handshake) return { arrivals: [], ignored: ['handshake'], ...handshake };

  const items = (isList(data) ? data.filter(isObject).map((one) => new Item(one)) : [whole]).flatMap(
    (item) => preset.split?.(item) ?? [item],
  );
  if (items.length > MAX_BATCH) throw new TooLarge(`There are more than ${MAX_BATCH} messages in one request.`);
  const arrivals: Arrival[] = [];
  for await (const item of inTurns(items)) {
    const mapped = mappedIn(item, channel);
    const shape = preset.shapes.find(({ fits }) => fits(item, mapped));
    if (shape) arrivals.push(toArrival(preset, shape, item, attachments, channel));
  }
  const ignored = Math.max(items.length - arrivals.length, arrivals.length === 0 ? 1 : 0);
  return { arrivals, ignored: Array.from({ length: ignored }, () => 'event') };
}

function mappedIn(item: Item, { fields = {} }: Channel): Item {
  return new Item(
    Object.fromEntries(Object.entries(fields).map(([name, path]) => [name, (path && item.at(path.text)) ?? null])),
  );
}

/** Without what no database and no agent could read, since there is nobody to be told to mend it. */
async function payloadOf(preset: Preset, request: VerifiedRequest, channel: Channel): Promise<Payload> {
  if (request.type !== undefined && request.body.length === 0) return { data: null, attachments: [] };
  const { data, attachments } = await decodePayload(request, LENIENT).catch((fault: unknown) => {
    // What is called text may be JSON, or text after all.
    if (fault instanceof Malformed && request.type?.essence === 'text/plain') {
      return { data: { body: LENIENT(request.body, request.type) }, attachments: [] };
    }
    throw fault;
  });
  const secrets = [
    ...(preset.secretParameters ?? []),
    ...(channel.verify !== 'none' && channel.verify.query ? [channel.verify.query.name] : []),
  ];
  const isQuery = request.type === undefined && isObject(data);
  const shown = isQuery ? Object.fromEntries(Object.entries(data).filter(([name]) => !secrets.includes(name))) : data;
  return { data: wellFormed(shown), attachments };
}

function toArrival(
  preset: Preset,
  shape: Shape,
  item: Item,
  uploads: readonly Attachment[],
  channel: Channel,
): Arrival {
  const extra = shape.extra?.(item) ?? {};
  const find = (name: Exclude<FieldName, 'fields'>): string | undefined => {
    const mapped = channel.fields?.[name];
    return mapped ? (item.text(mapped.text) ?? new Item(extra).text(mapped.text)) : readText(item, shape[name]);
  };
  const optional = (name: Exclude<FieldName, 'fields'>) => find(name)?.trim() || undefined;
  const kind = shape.kind?.(item) ?? preset.sender;
  const sentAt = find('sent_at');
  const id = optional('id');
  const fields = { ...extra, ...item.data };
  const message: Message = {
    sender: normaliseSender(find('sender') ?? '', channel.senders.country, kind),
    recipient: normaliseSender(optional('recipient') ?? channel.name),
    text: find('text') ?? '',
    providerId: id,
    sentAt: toIso(sentAt),
    name: optional('name'),
    email: optional('email'),
    phone: optional('phone'),
    fields: channel.fields?.fields?.read(fields) ?? fields,
    attachments: [...(shape.attachments?.(item) ?? []), ...uploads],
  };
  const repeat = repeatOf({
    id: (channel.fields?.id ? undefined : readText(item, shape.event)) ?? id,
    isTimed: sentAt !== undefined,
    isForm: preset.isForm ?? false,
    content: { fields, uploads },
  });
  return { message, repeat };
}

function readText(item: Item, where: Where | undefined): string | undefined {
  if (where === undefined) return undefined;
  if (typeof where === 'function') return new Item({ value: where(item) ?? null }).text('value');
  return item.text(...[where].flat());
}
