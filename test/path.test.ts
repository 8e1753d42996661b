import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Json } from '../src/message.ts';
import { parsePath } from '../src/path.ts';

const read = (path: string, payload: Json) => parsePath(path).read(payload);

test.each<[path: string, payload: Json, value: Json | undefined]>([
  ['text', { text: 'Hello' }, 'Hello'],
  ['from.phone', { from: { phone: '1' } }, '1'],
  ['a.b.c', { a: { b: { c: null } } }, null],
  ['items[0].text', { items: [{ text: 'a' }] }, 'a'],
  ['items[1][0]', { items: [0, ['a']] }, 'a'],
  ['[0]', ['a'], 'a'],
  ['items.0', { items: ['a'] }, 'a'],
  ['["1.3"]', { '1.3': 'Asha' }, 'Asha'],
  ['entry["1.3"].value', { entry: { '1.3': { value: 'Asha' } } }, 'Asha'],
  ['entry[0]', { entry: { 0: 'a' } }, 'a'],
  ['your name', { 'your name': 'Asha' }, 'Asha'],
  ['naïve-näme', { 'naïve-näme': 1 }, 1],
  ['a', { a: false }, false],
  ['a', { a: [] }, []],
])('the path %s reads %j', (path, payload, value) => {
  expect(read(path, payload)).toEqual(value);
});

test.each<[path: string, payload: Json]>([
  ['a', {}],
  ['a.b', { a: null }],
  ['a.b', { a: 'text' }],
  ['a[0]', { a: 'text' }],
  ['a[1]', { a: [1] }],
  ['a.-1', { a: [1] }],
  ['a.1e0', { a: [1, 2] }],
  ['a', null],
  ['a', 'text'],
  ['a', 5],
])('the path %s finds nothing in %j', (path, payload) => {
  expect(read(path, payload)).toBeUndefined();
});

test('a key that equals the whole path wins over the steps', () => {
  expect(read('your.name', { 'your.name': 'whole', your: { name: 'steps' } })).toBe('whole');
  expect(read('a[0]', { 'a[0]': 'whole', a: ['steps'] })).toBe('whole');
  expect(read('your.name', { your: { name: 'steps' } })).toBe('steps');
});

test.each(['__proto__', 'constructor', 'prototype', 'length', 'toString', 'hasOwnProperty', 'size'])(
  'the key %s that nobody sent gives nothing',
  (key) => {
    const payloads: Json[] = [{}, [], ['a'], 'text', 5, true, { a: {} }];
    const paths = [key, `a.${key}`, `["${key}"]`, `${key}.${key}`, `${key}[0]`, `[0].${key}`];
    expect(payloads.flatMap((payload) => paths.map((path) => read(path, payload)))).toEqual(
      payloads.flatMap(() => paths.map(() => undefined)),
    );
  },
);

test.each([
  '',
  '.',
  'a.',
  '.a',
  'a..b',
  '[',
  'a[',
  'a[]',
  'a[0',
  'a[x]',
  'a[-1]',
  'a[1234567]',
  'a]',
  '[0]a',
  '["a',
  '[""]',
  "['a']",
  '"a"',
])('the text "%s" is not a path', (text) => {
  expect(() => parsePath(text)).toThrow(
    `"${text}" is not a path; write names joined by ".", [0] for an index, ["a.b"] for a name`,
  );
});

/** A payload, and the way to each of its values. */
const name = fc.string({ minLength: 1 }).filter((text) => !text.includes('"'));
const payload = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.string(),
    fc.integer(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(name, tie('value'), { maxKeys: 3 }),
  ),
})).value;

function* placesOf(value: Json, path = ''): Generator<readonly [path: string, value: Json]> {
  if (path !== '') yield [path, value];
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    yield* placesOf(inner, Array.isArray(value) ? `${path}[${key}]` : `${path}["${key}"]`);
  }
}

test('each value of a payload is read by the way that leads to it', () => {
  fc.assert(
    fc.property(payload, (given) => {
      const places = [...placesOf(given)].filter(([path]) => !isKeyOf(given, path));
      expect(places.map(([path]) => read(path, given))).toEqual(places.map(([, value]) => value));
    }),
  );
});

function isKeyOf(given: Json, path: string): boolean {
  return typeof given === 'object' && given !== null && Object.hasOwn(given, path);
}

test('any text is a path or is refused as one, and reading never throws', () => {
  const readable = fc.tuple(
    fc.string(),
    fc.jsonValue().map((value): Json => JSON.parse(JSON.stringify(value))),
  );
  fc.assert(
    fc.property(readable, ([text, given]) => {
      const attempt = () => parsePath(text).read(given);
      expect([undefined, 'SyntaxError']).toContain(faultOf(attempt));
    }),
  );
});

function faultOf(attempt: () => unknown): string | undefined {
  try {
    attempt();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.name : String(error);
  }
}
