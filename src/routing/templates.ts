import { createHash } from 'node:crypto';
import { Liquid, type Template as Node, TypeGuards } from 'liquidjs';
import { messageOf } from '../fault.ts';
import type { Message } from '../message.ts';
import { isCountry, phoneNumber } from '../sender.ts';

export interface Template {
  readonly source: string;
  /** What stands outside of all tags, and so is part of whatever is rendered; `x` for each value put in. */
  readonly outline: string;
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

/** Strangers' text flows through operators' loops: a template that renders longer than this is cut off, not waited for. */
const RENDER_LIMIT_MS = 50;
/** Liquid counts roughly one unit a character or array slot. */
const MEMORY_LIMIT = 4_000_000;

/** Templates could read files by these; nothing here needs them. */
const FILE_TAGS = ['include', 'render', 'layout', 'block'];

export function createTemplates(): (source: string) => Template {
  const liquid = new Liquid({
    ownPropertyOnly: true,
    strictFilters: true,
    renderLimit: RENDER_LIMIT_MS,
    memoryLimit: MEMORY_LIMIT,
  });
  for (const tag of FILE_TAGS) delete liquid.tags[tag];
  liquid.registerFilter('digits', (value) => asText(value).replace(/[^0-9]/g, ''));
  liquid.registerFilter('alnum', (value) => asText(value).replace(/[^A-Za-z0-9]/g, ''));
  liquid.registerFilter('sha256', (value) => createHash('sha256').update(asText(value)).digest('hex'));
  liquid.registerFilter('e164', (value, country) => {
    const text = asText(value);
    return phoneNumber(text, typeof country === 'string' && isCountry(country) ? country : undefined) ?? text;
  });
  return (source) => compile(liquid, source);
}

/** @throws {Error} with the fault and its place in the template */
function compile(liquid: Liquid, source: string): Template {
  const nodes = explained(() => liquid.parse(source));
  const unknown = liquid.globalVariablesSync(nodes).filter((name) => !VARIABLES.includes(name));
  if (unknown.length > 0) {
    throw new Error(`unknown name ${unknown.join(', ')}; a template may use ${VARIABLES.join(', ')}`);
  }
  return {
    source,
    outline: nodes.map(outlineOf).join(''),
    isConstant: nodes.every(({ token }) => TypeGuards.isHTMLToken(token)),
    render: (message, channel) => {
      const { providerId, sentAt, ...rest } = message;
      const scope = { ...rest, id: providerId, sent_at: sentAt, channel };
      const text = explained(() => String(liquid.renderSync(nodes, scope)));
      if (text.length > MEMORY_LIMIT) throw new Error(`it gives more than ${MEMORY_LIMIT} characters`);
      return text;
    },
  };
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

function asText(value: unknown): string {
  return value === undefined || value === null ? '' : String(value);
}
