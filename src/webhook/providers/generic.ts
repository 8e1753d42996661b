import { type FieldError, Invalid } from '../../errors.ts';
import type { Json, JsonObject } from '../../message.ts';
import type { Channel } from '../../routing/table.ts';
import { type Find, toMessage } from '../candidate.ts';
import { decodeObject, isList, isObject, USUAL_TYPES } from '../payload.ts';
import { inTurns, MAX_BATCH } from '../turns.ts';
import { familyOf } from '../verify/hmac.ts';
import { headerOf, type VerifiedRequest } from '../verify/request.ts';
import { illFormed, MAX_PROBLEMS } from '../wellformed.ts';
import type { Arrival, Parsed, Provider, Receipt, Reply } from './provider.ts';

/** Any system that can POST: JSON, urlencoded or multipart, one message or `{"messages":[…]}`. */
export const generic: Provider = {
  sender: 'phone',
  credentials: undefined,
  methods: ['POST'],
  types: USUAL_TYPES,
  parse: parseGeneric,
  reply: replyJson,
};

async function parseGeneric(request: VerifiedRequest, channel: Channel): Promise<Parsed> {
  const { data, attachments } = await decodeObject(request);
  const problems = illFormed(data);
  if (problems.length > 0) throw new Invalid(problems);

  const batch = batchOf(data, channel);
  const items = batch ?? [data];
  if (items.length === 0) throw new Invalid([{ path: 'messages', message: 'must hold at least one message' }]);
  if (items.length > MAX_BATCH)
    throw new Invalid([{ path: 'messages', message: `must not hold more than ${MAX_BATCH}` }]);

  const key = schemeId(request, channel) ?? idempotencyKey(request);
  const arrivals: Arrival[] = [];
  const errors: FieldError[] = [];
  for await (const [index, item] of inTurns([...items.entries()])) {
    if (errors.length >= MAX_PROBLEMS) break;
    const checked = await toMessage(findIn(item, channel, batch ? `messages[${index}].` : ''), {
      channel,
      fallbackId: key === undefined || !batch ? key : JSON.stringify([key, index]),
      attachments,
    });
    if ('message' in checked) arrivals.push(checked);
    else errors.push(...checked.errors);
  }
  if (errors.length > 0) throw new Invalid(errors);
  return { arrivals, isBatch: batch !== undefined };
}

/** A channel whose paths lead into `messages` takes the payload as one message. */
function batchOf(data: JsonObject, channel: Channel): readonly Json[] | undefined {
  const { messages } = data;
  const isMapped = Object.values(channel.fields ?? {}).some((path) => /^messages\b/.test(path?.text ?? ''));
  return isList(messages) && !isMapped ? messages : undefined;
}

/** With a field map only what is mapped is read, and `fields` is the whole payload unless it is mapped too. */
function findIn(item: Json, { fields: paths }: Channel, prefix: string): Find {
  return (name) => {
    const path = paths?.[name];
    if (paths === undefined) return { path: prefix + name, value: own(item, name) };
    if (path === undefined) return { path: prefix + name, value: name === 'fields' ? item : undefined };
    return { path: prefix + path.text, value: path.read(item) };
  };
}

function own(item: Json, name: string): Json | undefined {
  return isObject(item) && Object.hasOwn(item, name) ? item[name] : undefined;
}

/** The id that a Standard Webhook carries, which is signed with it. */
function schemeId(request: VerifiedRequest, { verify }: Channel): string | undefined {
  if (verify === 'none' || verify.standard_webhooks === undefined) return undefined;
  return headerOf(request, `${familyOf(request)}-id`)?.trim() || undefined;
}

/** https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/ */
export function idempotencyKey(request: VerifiedRequest): string | undefined {
  return headerOf(request, 'idempotency-key')?.trim() || undefined;
}

export function replyJson(receipts: readonly Receipt[], isBatch: boolean): Reply {
  const isDone = receipts.every(({ status }) => status === 'duplicate' || status === 'delivered');
  return { status: isDone ? 200 : 202, body: isBatch ? { messages: receipts } : (receipts[0] ?? {}) };
}
