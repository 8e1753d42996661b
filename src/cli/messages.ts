import { z } from 'zod';
import type { Environment } from '../settings.ts';
import { Admin } from './admin.ts';
import { columns, json, properties } from './print.ts';

/** What the options of a command say of the messages that are meant; the keys are those of commander. */
export interface FilterOptions {
  readonly state?: string;
  readonly channel?: string;
  readonly account?: string;
  readonly authId?: string;
  readonly sender?: string;
  readonly providerId?: string;
  readonly because?: string;
  readonly since?: string;
  readonly until?: string;
}

interface ListOptions extends FilterOptions {
  readonly limit: number;
  readonly after?: string;
  readonly json?: boolean;
}

const message = z.looseObject({
  id: z.string(),
  state: z.string(),
  reason: z.string().nullable(),
  channel: z.string(),
  sender: z.string(),
  account: z.string().nullable(),
  auth_id: z.string().nullable(),
  accepted_at: z.string(),
  attempts: z.number(),
});
const page = z.object({ items: z.array(message), next: z.string().nullable() });
const details = z.looseObject({
  attempt_log: z.array(
    z.object({
      at: z.string(),
      outcome: z.string(),
      status: z.number().nullable(),
      duration_ms: z.number().nullable(),
      detail: z.string().nullable(),
    }),
  ),
});

const PAGE = 500;

/** Lists messages, the newest first. @throws {BridgeUnreachable | BridgeRefused} */
export async function listMessages(options: ListOptions, env: Environment): Promise<void> {
  const admin = new Admin(env);
  const items: z.output<typeof message>[] = [];
  let next: string | null = options.after ?? null;
  do {
    const left = Math.min(PAGE, options.limit - items.length);
    const query = new URLSearchParams({
      ...filterOf(options),
      limit: String(left),
      ...(next !== null && { after: next }),
    });
    const found = page.parse(await admin.get(`/api/messages?${query}`));
    items.push(...found.items);
    next = found.next;
  } while (next !== null && items.length < options.limit);

  if (options.json) return console.log(json({ items, next }));
  if (items.length === 0) return console.log('No messages.');
  console.log(
    columns(
      items.map(({ id, state, reason, accepted_at, channel, sender, account, auth_id, attempts }) => ({
        id,
        state,
        reason,
        accepted_at,
        channel,
        sender,
        account,
        auth_id,
        attempts,
      })),
    ),
  );
  if (next !== null) console.log(`\nThere may be more: --after ${next}`);
}

/** Shows all that is known of a message. @throws {BridgeUnreachable | BridgeRefused} */
export async function showMessage(id: string, options: { readonly json?: boolean }, env: Environment): Promise<void> {
  print(await new Admin(env).get(pathOf(id)), options.json);
}

/** Says that a message did arrive. @throws {BridgeUnreachable | BridgeRefused} */
export async function confirmMessage(
  id: string,
  options: { readonly json?: boolean },
  env: Environment,
): Promise<void> {
  print(await new Admin(env).post(`${pathOf(id)}/confirm`), options.json);
}

export function print(answer: unknown, asJson = false): void {
  if (asJson) {
    console.log(json(answer));
    return;
  }
  const { attempt_log, ...rest } = details.parse(answer);
  console.log(properties(rest));
  if (attempt_log.length > 0) console.log(`\n${columns(attempt_log)}`);
}

export function pathOf(id: string): string {
  return `/api/messages/${encodeURIComponent(id)}`;
}

/** As the API names them; what is not given is left out. */
export function filterOf(options: FilterOptions): Record<string, string> {
  const { state, channel, account, authId, sender, providerId, because, since, until } = options;
  const all = {
    state,
    channel,
    account,
    auth_id: authId,
    sender,
    provider_id: providerId,
    reason: because,
    since,
    until,
  };
  return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
