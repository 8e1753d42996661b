import { z } from 'zod';
import { type FieldError, Invalid } from '../errors.ts';
import type { HoldView } from '../outbox/lanes.ts';
import type { AccountSurvey, MessageDetails, MessageFilter, MessageRecord, MessageState } from '../outbox/records.ts';
import type { TablesInSight } from '../outbox/tables.ts';
import type { DryRun, Fate } from '../routing/dry-run.ts';
import type { LiveTable } from '../routing/live.ts';
import type { Problem } from '../routing/problem.ts';
import type { KeptVersion } from '../routing/versions/versions.ts';

/** What the API takes and gives: snake_case, times in ISO 8601. */

const words = z.string().min(1).max(1_000);
const time = z.iso
  .datetime({ offset: true, error: 'must be a time such as 2026-11-22T12:30:00Z' })
  .transform((text) => Date.parse(text));
const STATES = ['waiting', 'delivered', 'unknown', 'dead', 'discarded'] as const satisfies readonly MessageState[];
const oneOf = <const T extends readonly string[]>(values: T) =>
  z.enum(values, { error: `must be one of ${values.join(', ')}` });
const filterShape = z
  .object({
    state: oneOf(STATES),
    channel: words,
    account: words,
    auth_id: words,
    sender: words,
    provider_id: words,
    reason: words,
    since: time,
    until: time,
  })
  .partial();

const MAX_PAGE = 500;
const page = z
  .string()
  .regex(/^\d{1,3}$/, `must be a whole number from 1 to ${MAX_PAGE}`)
  .transform(Number)
  .pipe(z.number().min(1).max(MAX_PAGE));

export const listQuery = z.strictObject({
  ...filterShape.shape,
  limit: page.prefault('50'),
  after: z
    .string()
    .regex(/^\d{1,15}$/, 'must be the "next" of a page before')
    .transform(Number)
    .optional(),
});

/** Of those that wait for a person; dead ones unless it says otherwise, since unknown ones may have arrived. */
const asideFilter = z
  .strictObject({ ...filterShape.shape, state: oneOf(['dead', 'unknown']).default('dead') })
  .transform(toFilter);
/** What waits may be moved too, from an account that is no longer there. */
const redriveFilter = z
  .strictObject({ ...filterShape.shape, state: oneOf(['dead', 'unknown', 'waiting']).default('dead') })
  .transform(toFilter);

const why = z.string().trim().min(1, 'must say why').max(1_000);
const MIN_RATE = 0.01;
const MAX_RATE = 10_000;

export const redriveBody = z.strictObject({
  filter: redriveFilter,
  preview: z.boolean().default(false),
  rate: z
    .number()
    .min(MIN_RATE, `must be from ${MIN_RATE} to ${MAX_RATE}`)
    .max(MAX_RATE, `must be from ${MIN_RATE} to ${MAX_RATE}`)
    .default(100),
  reroute: z.boolean().default(false),
});
export const discardBody = z.strictObject({ filter: asideFilter, reason: why });
export const redriveOneBody = z.strictObject({ reroute: z.boolean().default(false) }).prefault({});
/** For what takes nothing. */
export const emptyBody = z.strictObject({}).prefault({});
export const discardOneBody = z.strictObject({ reason: why });
export const backupBody = z.strictObject({
  file: z.string().regex(/^\//, 'must be an absolute path, on the machine that the bridge runs on'),
});

/** @throws {Invalid} with every problem */
export function read<T>(schema: z.ZodType<T>, input: unknown): T {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw new Invalid(
    parsed.error.issues.flatMap((issue) => {
      const { path, message } = issue;
      if (issue.code !== 'unrecognized_keys') return { path: path.join('.'), message };
      return issue.keys.map((key) => ({ path: [...path, key].join('.'), message: 'is not known here' }));
    }),
  );
}

type Filter = z.output<typeof filterShape>;

export function toFilter({ auth_id: authId, provider_id: providerId, ...filter }: Filter): MessageFilter {
  const { state, channel, account, sender, reason, since, until } = filter;
  return { state, channel, account, authId, sender, providerId, reason, since, until };
}

export function messageView(record: MessageRecord) {
  return {
    id: record.id,
    state: record.state,
    reason: record.reason,
    channel: record.channel,
    account: record.account,
    business_id: record.businessId,
    auth_id: record.authId,
    sender: record.sender,
    provider_id: record.providerId,
    accepted_at: iso(record.acceptedAt),
    settled_at: iso(record.settledAt),
    attempts: record.attempts,
    message_id: record.messageId,
    created_at: record.createdAt,
    route: record.route,
    table_version: record.tableVersion,
  };
}

/** One message with what a person needs to judge it; its text is null once it is erased. */
export function detailsView(details: MessageDetails) {
  return {
    ...messageView(details),
    detail: details.detail,
    stops: details.stops,
    waits_behind: details.waitsBehind,
    text: details.text ?? null,
    attempt_log: details.attemptLog.map(({ at, outcome, status, duration, detail }) => ({
      at: iso(at),
      outcome,
      status,
      duration_ms: duration,
      detail,
    })),
  };
}

export interface AccountState {
  readonly survey: AccountSurvey;
  readonly isKnown: boolean;
  readonly hold: HoldView | undefined;
}

export function accountView({ survey, isKnown, hold }: AccountState) {
  const state = !isKnown ? 'missing' : hold ? 'held' : 'active';
  return {
    name: survey.account,
    state,
    cause: hold?.cause ?? null,
    since: iso(hold?.since),
    next_probe_at: iso(hold?.nextProbeAt),
    waiting: survey.waiting,
    oldest_at: iso(survey.oldestAt),
    stopped: survey.stopped,
    stopped_since: iso(survey.stoppedSince),
    dead: survey.dead,
    unknown: survey.unknown,
  };
}

function iso(ms: number | null | undefined): string | null {
  return ms === null || ms === undefined ? null : new Date(ms).toISOString();
}

/** A payload that is no text is sent as JSON. */
export const explainBody = z
  .strictObject({
    channel: words,
    payload: z.union([z.string(), z.record(z.string(), z.unknown()), z.array(z.unknown())]).default(''),
    headers: z.record(z.string(), z.string()).default({}),
    query: z.string().default(''),
    method: oneOf(['GET', 'POST']).default('POST'),
  })
  .transform(({ payload, headers, ...rest }) => ({
    ...rest,
    body: Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload)),
    headers: {
      'content-type': 'application/json',
      ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
    },
  }));

const MAX_SAMPLES = 10_000;
const SAMPLES = `must be a whole number from 1 to ${MAX_SAMPLES}`;
export const dryRunBody = z
  .strictObject({
    /** The text of a routing file; the one that is there where left out. */
    source: z.string().min(1, 'must hold a routing file').optional(),
    /** By which its problems are told. */
    name: words.default('source'),
    last: z.int(SAMPLES).min(1, SAMPLES).max(MAX_SAMPLES, SAMPLES).default(1_000),
  })
  .prefault({});

export function rehearsalView({ version, against, rehearsal }: DryRun) {
  const { differences, examples, readOtherwise, ...counts } = rehearsal;
  return {
    version,
    against,
    ...counts,
    ...differences,
    read_otherwise: readOtherwise,
    examples: examples.map(({ before, after, ...rest }) => ({
      ...rest,
      before: fateView(before),
      after: fateView(after),
    })),
  };
}

function fateView({ businessId, authId, ...rest }: Fate) {
  return { ...rest, business_id: businessId, auth_id: authId };
}

export const rollbackBody = z.strictObject({ version: words });

export function routingView(
  { table, loadedAt, refused }: Pick<LiveTable, 'table' | 'loadedAt' | 'refused'>,
  inSight: TablesInSight | undefined,
) {
  const newest = inSight?.isBehind ? inSight.newest : undefined;
  return {
    version: table.version,
    loaded_at: iso(loadedAt),
    rolled_back_at: table.rolledBackAt ?? null,
    behind: newest ? { version: newest.version, since: iso(newest.since) } : null,
    refused: refused ? { at: iso(refused.at), problems: refused.problems } : null,
  };
}

export function versionView({ version, at, file }: KeptVersion, inForce: string) {
  return { version, at: iso(at), in_force: version === inForce, file };
}

/** By the place in the file, as `check` tells them. */
export function problemsOf(problems: readonly Problem[]): readonly FieldError[] {
  return problems.map(({ file, line, column, message }) => ({ path: `${file}:${line}:${column}:`, message }));
}
