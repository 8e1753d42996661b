import fc from 'fast-check';

/** Changes to what providers really send, by its structure: what is only noise gets no further than the first check. */
export interface Change {
  readonly kind: 'put' | 'remove' | 'add' | 'rename' | 'double' | 'flood';
  /** Which of all places, counted through. */
  readonly at: number;
  readonly key: string;
  readonly value: unknown;
  /** Go on inside, where a text holds JSON. */
  readonly within: boolean;
}

/** Written as it stands, since JavaScript has no such number, or no object that has a key twice. */
const RAW = '\u{f8ff}';
const raw = (text: string) => RAW + text;
/** A flood is many, and yet less than what a provider may send at once. */
const FLOOD = { copies: 300, bytes: 400_000 };

const nested = (depth: number, open: string, close: string) => raw(open.repeat(depth) + 1 + close.repeat(depth));

const ODD: readonly unknown[] = [
  ...[
    null,
    true,
    false,
    0,
    -1,
    1e21,
    8.64e15 + 1,
    '',
    ' ',
    '\0',
    'a\0b',
    '\ud800',
    '\udfff x \ud83d',
    '\u2028',
    '\ufeff',
  ],
  ...[[], {}, [[]], [null], [{}], [1, 'x'], { length: 1e9 }, { toString: 1 }, '{}', '[]', 'null', '{"a":', '"x"'],
  ...['__proto__', 'constructor', 'whatsapp:', 'whatsapp:+', '+', '+1', '0', '00', '9'.repeat(400), '+91 98200 12345'],
  ...[
    '2026-13-45T99:99:99Z',
    '0000-00-00 00:00:00',
    '1e9',
    'NaN',
    '-1',
    '1795350600.000200',
    '(((((((((',
    'x@',
    '@',
    '<b>&amp;',
  ],
  ...[
    '{{ sender }}',
    'x'.repeat(20_000),
    '🙏🏽'.repeat(500),
    'a&'.repeat(2_000),
    '<'.repeat(5_000),
    `${'1'.repeat(20_000)}a`,
  ],
  ...['1e400', '-1e400', '-0', '12345678901234567890123', '9007199254740993', '1E-400', '1.0'].map(raw),
  ...[nested(60, '[', ']'), nested(64, '{"a":', '}'), nested(5_000, '[', ']'), nested(50_000, '{"a":', '}')],
];

const KEYS = [
  '__proto__',
  'constructor',
  'toString',
  'length',
  '',
  '\0',
  '\ud800',
  'a.b',
  'a[0]',
  '0',
  'id',
  'type',
  'text',
  `${'1'.repeat(20_000)}a`,
  `${'/'.repeat(20_000)}a`,
  `a${'['.repeat(5_000)}`,
];

export const changes: fc.Arbitrary<readonly Change[]> = fc.array(
  fc.record({
    kind: fc.oneof(
      { weight: 12, arbitrary: fc.constant('put' as const) },
      { weight: 8, arbitrary: fc.constantFrom('remove', 'add', 'rename', 'double') },
      { weight: 1, arbitrary: fc.constant('flood' as const) },
    ),
    at: fc.nat(),
    key: fc.oneof(fc.constantFrom(...KEYS), fc.string({ unit: 'binary', maxLength: 8 })),
    value: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...ODD) },
      { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 40 }) },
      { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
    ),
    within: fc.boolean(),
  }),
  { minLength: 1, maxLength: 4 },
);

/** A flood of floods would be ours to drown in. */
function atMostOneFlood(all: readonly Change[]): readonly Change[] {
  const first = all.findIndex(({ kind }) => kind === 'flood');
  return all.filter(({ kind }, index) => kind !== 'flood' || index === first);
}

type Holder = Record<string, unknown>;

export function changed(data: unknown, all: readonly Change[]): unknown {
  const root: Holder = { data: structuredClone(data) };
  for (const change of atMostOneFlood(all)) applyTo(root, change);
  return root.data;
}

function applyTo(root: Holder, change: Change): void {
  const { kind, at, key, within } = change;
  // It may be changed in its turn.
  const value: unknown = structuredClone(change.value);
  const places = placesIn(root);
  // What is wrapped is one place among many, and holds most of what matters.
  const wrapping = within ? places.filter((one) => isWrapping(one.holder[one.name])) : [];
  const chosen = wrapping.length > 0 ? wrapping : places;
  const place = chosen[at % chosen.length];
  if (place === undefined) return;
  const { holder, name } = place;
  const old = holder[name];
  if (within && isWrapping(old)) holder[name] = toJson(changed(parsed(old), [{ ...change, within: false }]));
  else if (kind === 'put') holder[name] = value;
  else if (kind === 'remove') delete holder[name];
  // Also where there is one already: then it is there twice.
  else if (kind === 'add') (isHolder(old) ? old : holder)[raw(key)] = value;
  else if (kind === 'rename') {
    delete holder[name];
    holder[Array.isArray(holder) ? holder.length : raw(key)] = old;
  } else if (Array.isArray(old)) old.push(...copies(old, kind).flat());
  else holder[name] = copies(old, kind);
}

/** Each its own, since each may be changed. */
function copies<T>(old: T, kind: 'double' | 'flood'): T[] {
  const most = Math.min(FLOOD.copies, Math.ceil(FLOOD.bytes / (toJson(old).length + 1)));
  return Array.from({ length: kind === 'flood' ? most : 2 }, () => structuredClone(old));
}

function placesIn(root: Holder): { readonly holder: Holder; readonly name: string }[] {
  return Object.keys(root).flatMap((name) => {
    const value = root[name];
    return [{ holder: root, name }, ...(isHolder(value) ? placesIn(value) : [])];
  });
}

function isHolder(value: unknown): value is Holder {
  return typeof value === 'object' && value !== null;
}

function isWrapping(value: unknown): value is string {
  return typeof value === 'string' && parsed(value) !== undefined;
}

/** Our own towers of lists are for the bridge to climb. */
const TOO_DEEP = /(\[|\{"a":){100}/;

export function parsed(text: string): unknown {
  try {
    return /^\s*[[{]/.test(text) && !TOO_DEEP.test(text) ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}

const RAW_VALUE = new RegExp(`"${RAW}((?:[^"\\\\]|\\\\.)*)"(\\s*:)?`, 'gu');

export function toJson(data: unknown): string {
  const text = JSON.stringify(data) ?? '';
  return text.replace(RAW_VALUE, (_, inside: string, colon?: string) =>
    colon === undefined ? inside.replaceAll('\\"', '"') : `"${inside}"${colon}`,
  );
}

type Pairs = readonly (readonly [string, string])[];

export function changedPairs(pairs: Pairs, all: readonly Change[]): Pairs {
  return atMostOneFlood(all).reduce<Pairs>((before, { kind, at, key, value, within }) => {
    const wrapping = within ? [...before.keys()].filter((place) => isWrapping(before[place]?.[1])) : [];
    const chosen = wrapping.length > 0 ? wrapping : [...before.keys()];
    const index = chosen[at % chosen.length] ?? 0;
    const [name, old] = before[index] ?? ['', ''];
    const text = typeof value === 'string' ? value : toJson(value);
    const becomes: Pairs =
      within && isWrapping(old)
        ? [[name, toJson(changed(parsed(old), [{ kind, at, key, value, within: false }]))]]
        : {
            put: [[name, text] as const],
            remove: [],
            add: [[name, old] as const, [key, text] as const],
            rename: [[key, old] as const],
            double: [[name, old] as const, [name, text] as const],
            flood: Array.from({ length: 4 }, () => copies([name, old] as const, 'flood')).flat(),
          }[kind];
    return [...before.slice(0, index), ...becomes, ...before.slice(index + 1)];
  }, pairs);
}

/** A half of a surrogate pair as it would be in UTF-8, if there were such a thing. */
const encode = (text: string) =>
  text.startsWith(RAW)
    ? text.slice(RAW.length)
    : encodeURIComponent(text.toWellFormed()).replaceAll('%EF%BF%BD', '%ED%A0%80');

export function toForm(pairs: Pairs): string {
  return pairs.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&');
}
