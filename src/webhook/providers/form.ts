import type { IncomingHttpHeaders } from 'node:http';
import { Invalid, OriginNotAllowed } from '../../errors.ts';
import type { JsonObject } from '../../message.ts';
import type { Channel } from '../../routing/table.ts';
import { type FieldName, type Find, toMessage } from '../candidate.ts';
import { decodeObject, isFilled, USUAL_TYPES } from '../payload.ts';
import { repeatOf } from '../repeat.ts';
import type { RawRequest, VerifiedRequest } from '../verify/request.ts';
import { illFormed } from '../wellformed.ts';
import { USUAL_NAMES } from './answers.ts';
import { idempotencyKey, replyJson } from './generic.ts';
import type { Parsed, Provider, Receipt, Reply } from './provider.ts';

const usualNames: Readonly<Partial<Record<FieldName, readonly string[]>>> = USUAL_NAMES;
const DEFAULT_HONEYPOT = '_gotcha';
const PREFLIGHT_SECONDS = '86400';

/** A website's own form, posted by the browser or by a script of the page. */
export const form: Provider = {
  sender: 'phone',
  credentials: undefined,
  isOwnForm: true,
  methods: ['POST', 'OPTIONS'],
  types: USUAL_TYPES,
  rateLimit: 30,
  cors,
  parse: parseForm,
  reply: replyForm,
};

/**
 * A page may send from the origins that the channel allows. `Origin` is sent by every browser on a POST; where a page
 * hides it (`null`), its Referer speaks. A request with neither is not from a page, and no origin check stops a script.
 */
function cors(channel: Channel, headers: IncomingHttpHeaders): Record<string, string> {
  const { origin = refererOrigin(headers), 'access-control-request-headers': requested } = headers;
  const allowed = channel.allowed_origins;
  const speaking = origin === 'null' ? (refererOrigin(headers) ?? 'null') : origin;
  if (allowed !== undefined && speaking !== undefined && !allowed.includes(speaking)) {
    throw new OriginNotAllowed(
      `Pages of ${speaking} may not send to this channel; its allowed_origins do not list it.`,
    );
  }
  return {
    Vary: 'Origin',
    'Access-Control-Allow-Origin': allowed === undefined ? '*' : (headers.origin ?? allowed[0] ?? '*'),
    'Access-Control-Allow-Methods': 'POST',
    'Access-Control-Allow-Headers': requested ?? 'Content-Type, Idempotency-Key',
    'Access-Control-Max-Age': PREFLIGHT_SECONDS,
    'Cross-Origin-Resource-Policy': 'cross-origin',
  };
}

function refererOrigin({ referer }: IncomingHttpHeaders): string | undefined {
  return referer === undefined ? undefined : URL.parse(referer)?.origin;
}

async function parseForm(request: VerifiedRequest, channel: Channel): Promise<Parsed> {
  const { data, attachments } = await decodeObject(request);
  if (isFilled(data[channel.honeypot ?? DEFAULT_HONEYPOT])) return { arrivals: [], ignored: ['trapped'] };
  const problems = illFormed(data);
  if (problems.length > 0) throw new Invalid(problems);

  const checked = await toMessage(findIn(data, channel), {
    channel,
    fallbackId: idempotencyKey(request),
    attachments,
  });
  if ('errors' in checked) throw new Invalid(checked.errors);
  const { message } = checked;
  const repeat = repeatOf({
    id: message.providerId,
    isTimed: message.sentAt !== undefined,
    isForm: true,
    content: { data, attachments },
  });
  return { arrivals: [{ message, repeat }] };
}

/** By the channel's own paths, else by the usual names; `fields` is the whole form unless it is mapped. */
function findIn(data: JsonObject, channel: Channel): Find {
  return (name) => {
    const path = channel.fields?.[name];
    if (path !== undefined) return { path: path.text, value: path.read(data) };
    if (name === 'fields') return { path: name, value: data };
    const usual = usualNames[name] ?? [];
    const keys = usual.flatMap((wanted) => Object.keys(data).filter((key) => key.toLowerCase() === wanted));
    const key = keys.find((candidate) => isFilled(data[candidate])) ?? keys[0];
    return key === undefined ? { path: usual[0] ?? name, value: undefined } : { path: key, value: data[key] };
  };
}

/** A browser that posts a form shows what it gets, so it gets a page; JSON is only sent by scripts, and answered so. */
function replyForm(receipts: readonly Receipt[], isBatch: boolean, channel: Channel, { headers }: RawRequest): Reply {
  if (/json/i.test(headers['content-type'] ?? '')) return replyJson(receipts, isBatch);
  if (channel.redirect !== undefined) return { status: 303, headers: { Location: channel.redirect } };
  return /\btext\/html\b/.test(headers.accept ?? '')
    ? { status: 200, headers: { 'Content-Type': 'text/html; charset=utf-8' }, body: THANKS }
    : replyJson(receipts, isBatch);
}

const THANKS = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Thank you</title>
<h1>Thank you</h1>
<p>Your message has arrived.</p>
</html>
`;
