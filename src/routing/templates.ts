import { createHash } from 'node:crypto';
import { Context, defaultOperators, Liquid, type Template as Node, TypeGuards } from 'liquidjs';
import { messageOf } from '../fault.ts';
import type { Message } from '../message.ts';
import { isCountry, phoneNumber } from '../sender.ts';

export interface Template {
  readonly source: string;
  /** What stands outside of all tags, and so is part of whatever is rendered; `x` for each value put in. */
  readonly outline: string;
  /** Which of the names that it may use it does. */
  readonly names: readonly string[];
  /** Nothing but text: it renders to its outline. */
  readonly isConstant: boolean;
  /** @throws when a limit is passed or a filter is given what it cannot take */
  render(message: Message, channel: string): string;
}

/** The names that a template may use. */
const VARIABLES = [
  'sender',
  'recipient',
  'text',
  'id',
  'sent_at',
  'name',
  'email',
  'phone',
  'fields',
  'attachments',
  'channel',
];

/**
 * Strangers' text flows through operators' loops: a template that renders longer than this is given up. The thread's own
 * time, not the clock's: a machine that stood still meanwhile must not cost a message. Liquid looks at it between tags only.
 */
const RENDER_LIMIT_MS = 50;
/** Liquid counts roughly one unit a character or array slot. What it does not count is added, by `costOf`. */
const MEMORY_LIMIT = 4_000_000;

/** Templates could read files by these; nothing here needs them. */
const FILE_TAGS = ['include', 'render', 'layout', 'block'];

/**
 * Those with which the limits do not hold, or that `explain` could not foretell: expressions out of a text, evaluated for
 * each item of a list; lists within themselves; chance; output that is not counted.
 */
const UNFIT_FILTERS = [
  ...['find_exp', 'find_index_exp', 'group_by_exp', 'has_exp', 'reject_exp', 'where_exp'],
  ...['push', 'unshift', 'sample', 'raw'],
];

/** They look for one text in another, which in the worst case takes the product of both. */
const SEARCHES = [
  'contains',
  'remove',
  'remove_first',
  'remove_last',
  'replace',
  'replace_first',
  'replace_last',
  'split',
];
/** They go through a text, and Liquid does not count it. */
const UNCOUNTED = [
  'alnum',
  'cgi_escape',
  'digits',
  'e164',
  'sha256',
  'slugify',
  'uri_escape',
  'url_decode',
  'url_encode',
];

/** In units of MEMORY_LIMIT, each about 15 ns. */
const COMPARISONS_A_UNIT = 32;
const ITEM_COST = 32;
const DATE_PART_COST = 64;

/** What one call costs, beside what Liquid counts: it is known before the call is made, and nothing ends a call. */
function costOf(name: string, value: unknown, argument: unknown): number {
  const width = sizeOf(argument);
  if (SEARCHES.includes(name)) return (sizeOf(value) * width) / COMPARISONS_A_UNIT;
  if (UNCOUNTED.includes(name)) return sizeOf(value);
  if (name === 'date') return width * DATE_PART_COST;
  return Array.isArray(value) && name !== 'concat' ? value.length * (ITEM_COST + width) : 0;
}

export function createTemplates(): (source: string) => Template {
  const liquid = new Liquid({
    ownPropertyOnly: true,
    strictFilters: true,
    memoryLimit: MEMORY_LIMIT,
    operators: {
      ...defaultOperators,
      contains(left: unknown, right: unknown, { memoryLimit }: Context) {
        memoryLimit.use(costOf(Array.isArray(left) ? 'has' : 'contains', left, right));
        if (Array.isArray(left)) return left.includes(right);
        return typeof left === 'string' && right !== undefined && right !== null && left.includes(String(right));
      },
    },
    // Counts what is put out, which Liquid does not; it escapes nothing.
    outputEscape(this: { readonly context: Context }, value: string) {
      this.context.memoryLimit.use(sizeOf(value));
      return value;
    },
  });
  for (const tag of FILE_TAGS) delete liquid.tags[tag];
  for (const filter of UNFIT_FILTERS) delete liquid.filters[filter];
  liquid.registerFilter('digits', (value) => asText(value).replace(/[^0-9]/g, ''));
  liquid.registerFilter('alnum', (value) => asText(value).replace(/[^A-Za-z0-9]/g, ''));
  liquid.registerFilter('sha256', (value) => createHash('sha256').update(asText(value)).digest('hex'));
  liquid.registerFilter('e164', (value, country) => {
    const text = asText(value);
    return phoneNumber(text, typeof country === 'string' && isCountry(country) ? country : undefined) ?? text;
  });
  for (const [name, filter] of Object.entries(liquid.filters)) {
    if (typeof filter !== 'function') throw new Error(`the filter ${name} cannot be counted`);
    liquid.registerFilter(name, function (value, ...rest) {
      this.context.memoryLimit.use(costOf(name, value, rest[0]));
      return filter.call(this, value, ...rest);
    });
  }
  return (source) => compile(liquid, source);
}

/** @throws {Error} with the fault and its place in the template */
function compile(liquid: Liquid, source: string): Template {
  const nodes = explained(() => liquid.parse(source));
  const names = liquid.globalVariablesSync(nodes);
  const unknown = names.filter((name) => !VARIABLES.includes(name));
  if (unknown.length > 0) {
    throw new Error(`unknown name ${unknown.join(', ')}; a template may use ${VARIABLES.join(', ')}`);
  }
  return {
    source,
    names,
    outline: nodes.map(outlineOf).join(''),
    isConstant: nodes.every(({ token }) => TypeGuards.isHTMLToken(token)),
    render: (message, channel) => {
      const { providerId, sentAt, ...rest } = message;
      const scope = { ...rest, id: providerId, sent_at: sentAt, channel };
      const text = explained(() => String(liquid.renderSync(nodes, limited(liquid, scope))));
      if (text.length > MEMORY_LIMIT) throw new Error(`it gives more than ${MEMORY_LIMIT} characters`);
      // Out of the best of texts url_decode makes NUL, and split half a character: no database takes that as it is.
      return text.replaceAll('\0', '').toWellFormed();
    },
  };
}

/** What a render may use, and where it keeps what it is told to keep: nothing of it is left for the next. */
function limited(liquid: Liquid, scope: object): Context {
  const context = new Context(scope, liquid.options, { sync: true }, { liquid });
  const end = threadMs() + RENDER_LIMIT_MS;
  context.renderLimit.check = () => {
    if (threadMs() > end) throw new Error(`it renders longer than ${RENDER_LIMIT_MS} ms`);
  };
  return context;
}

function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

function outlineOf({ token }: Node): string {
  if (TypeGuards.isHTMLToken(token)) return token.getContent();
  return TypeGuards.isOutputToken(token) ? 'x' : '';
}

/** Liquid's `line:1, col:5` beside the place in the file would be taken for that place. */
function explained<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    const worded = messageOf(error).replace(/, line:(\d+), col:(\d+)$/, ' (line $1, column $2 of the template)');
    throw new Error(worded, { cause: error });
  }
}

/** In characters, those of all items together with the items. */
function sizeOf(value: unknown): number {
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + sizeOf(item), value.length);
  return typeof value === 'string' ? value.length : 1;
}

function asText(value: unknown): string {
  return value === undefined || value === null ? '' : String(value);
}
