import { readFile } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { type Explained, explain, explanationView } from '../explain.ts';
import { messageOf, propertyOf, reasonOf } from '../fault.ts';
import { loadRouting } from '../routing/load.ts';
import type { Trace } from '../routing/table.ts';
import { DEFAULTS, type Environment } from '../settings.ts';
import { providers } from '../webhook/providers/registry.ts';
import { json, printable } from './print.ts';

interface Options {
  readonly file?: string;
  readonly header: readonly string[];
  readonly query?: string;
  readonly get?: boolean;
  readonly json?: boolean;
}

/** A payload that cannot be read, or that the channel would refuse. */
export class PayloadRefused extends Error {
  override readonly name = 'PayloadRefused';
}

/**
 * Prints what would become of a webhook, step by step, and the call that Haptik would get.
 *
 * @param payload a file, or `-` for standard input
 * @throws {RoutingRefused | UnknownChannel | PayloadRefused}
 */
export async function explainPayload(
  channel: string,
  payload: string,
  options: Options,
  env: Environment,
): Promise<void> {
  const path = options.file ?? env.ROUTING_FILE ?? DEFAULTS.ROUTING_FILE;
  const table = await loadRouting(path, env, providers);
  const body = options.get ? Buffer.alloc(0) : await read(payload);
  const question = {
    channel,
    method: options.get ? ('GET' as const) : ('POST' as const),
    query: options.query ?? '',
    headers: headersOf(options.header, body),
    body,
  };
  const { messages, ignored, provider, version } = await explain(table, providers, question).catch((error: unknown) => {
    if (propertyOf(error, 'status') === undefined) throw error;
    throw new PayloadRefused(`it would be answered ${propertyOf(error, 'status')}: ${messageOf(error)}`);
  });
  if (options.json) {
    console.log(json(explanationView({ provider, version, messages, ignored })));
    return;
  }
  const nothing =
    messages.length === 0 ? [`No message: answered, counted as ignored (${ignored}), and forgotten.`] : [];
  const head = `${path} (version ${version}), channel ${channel}: ${provider}. The signature is not checked here.`;
  console.log([head, ...nothing, ...messages.map((one) => report(one))].join('\n\n'));
}

async function read(payload: string): Promise<Buffer> {
  try {
    return payload === '-' ? await buffer(process.stdin) : await readFile(payload);
  } catch (error) {
    throw new PayloadRefused(`${payload} cannot be read: ${reasonOf(error)}`);
  }
}

/** Without a Content-Type it is taken for JSON, where it looks like that, else for a form. */
function headersOf(given: readonly string[], body: Buffer): IncomingHttpHeaders {
  const looksLikeJson = /^\s*[[{]/.test(body.subarray(0, 100).toString('utf8'));
  const usual = looksLikeJson ? 'application/json' : 'application/x-www-form-urlencoded';
  const headers = given.map((line) => /^([^:]+):\s*(.*)$/s.exec(line) ?? []);
  return {
    'content-type': usual,
    ...Object.fromEntries(headers.map(([, name = '', value = '']) => [name.toLowerCase(), value])),
  };
}

function report({ message, routes, placement, request }: Explained): string {
  const { providerId: id, sentAt: sent_at, fields: _all, attachments, ...rest } = message;
  const values = { ...rest, id, sent_at, ...(attachments.length > 0 && { attachments }) };
  const shown = Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [`  ${name.padEnd(11)} ${printable(JSON.stringify(value))}`],
  );
  const decided = placement.route;
  const result =
    'dead' in placement
      ? [`Dead letter, ${placement.dead}: ${printable(placement.detail)}`]
      : [
          `By ${decided}: account ${placement.delivery.account}, business_id ${placement.delivery.businessId}, auth_id ${printable(placement.delivery.authId)}`,
        ];
  return [
    'Message',
    ...shown,
    'Routes, the first that fits decides',
    ...routes.map((trace) => `  ${describe(trace)}`),
    ...result,
    ...(request ? [curl(request)] : []),
  ].join('\n');
}

function describe({ route, conditions }: Trace): string {
  const failed = conditions.filter(({ holds }) => !holds);
  const named = (failed.length > 0 ? failed : conditions).map(({ subject }) => subject).join(', ');
  return `${route}  ${failed.length > 0 ? 'does not fit' : 'fits'}: ${named || 'any message'}`;
}

/** With the token masked, so that it can be shown to others. */
function curl({ url, clientId, body }: NonNullable<Explained['request']>): string {
  const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  return [
    `curl -X POST ${quoted(url)}`,
    `  -H 'Authorization: Bearer ***' -H ${quoted(`client-id: ${clientId}`)} -H 'Content-Type: application/json'`,
    `  -d ${quoted(JSON.stringify(body))}`,
  ].join(' \\\n');
}
