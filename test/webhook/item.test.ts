import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Json } from '../../src/message.ts';
import { Item } from '../../src/webhook/item.ts';

describe('an item', () => {
  const item = new Item({
    a: { b: [{ c: 1 }, 'x', { c: '' }] },
    empty: '',
    none: null,
    zero: 0,
    list: ['one', 2],
    mixed: ['one', {}],
    wrapped: '{"a":1}',
    twice: '"{\\"a\\":1}"',
    broken: '{"a":',
    number: '7',
  });

  test.each<[paths: string[], text: string | undefined]>([
    [['a.b[0].c'], '1'],
    [['empty', 'none', 'zero'], '0'],
    [['no.such', 'a.b[1]'], 'x'],
    [['list'], 'one, 2'],
    [['mixed'], undefined],
    [['a'], undefined],
    [['empty'], undefined],
  ])('says at the first of %j where there is something: %s', (paths, text) => {
    expect(item.text(...paths)).toBe(text);
  });

  test('gives what is within as items, and of a list the objects', () => {
    expect(
      item
        .item('a')
        .items('b')
        .map(({ data }) => data),
    ).toEqual([{ c: 1 }, { c: '' }]);
    expect([item.item('zero').data, item.items('a')]).toEqual([{}, []]);
  });

  test.each<[path: string, inner: Json | undefined]>([
    ['wrapped', { a: 1 }],
    ['twice', { a: 1 }],
    ['a', { b: [{ c: 1 }, 'x', { c: '' }] }],
    ['broken', undefined],
    ['number', undefined],
    ['empty', undefined],
  ])('unwraps the JSON within %s', (path, inner) => {
    expect(item.unwrapped(path)).toEqual(inner);
  });

  test('has a file where there is a link or an id', () => {
    const file = new Item({ link: 'https://a.example/1', id: 7, kind: 'image/png', bytes: '12' });
    expect(file.attachment({ url: 'link', id: 'id', content_type: 'kind', size: 'bytes' })).toEqual([
      { url: 'https://a.example/1', id: '7', content_type: 'image/png', size: 12 },
    ]);
    expect(file.attachment({ url: 'no', content_type: 'kind' })).toEqual([]);
  });

  test('never fails to be read, whatever it is', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom('a', 'a.b', 'a[0].b', '["x.y"]', '__proto__.x'), (value, path) => {
        const any = new Item(value as Json);
        for (const read of [any.at(path), any.text(path), any.items(path), any.item(path), any.unwrapped(path)]) {
          expect(() => JSON.stringify(read)).not.toThrow();
        }
      }),
    );
  });
});
