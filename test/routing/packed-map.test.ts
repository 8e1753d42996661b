import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { PackedMap, PackedMapBuilder } from '../../src/routing/senders/packed-map.ts';

const text = fc.oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.constantFrom('', 'a', '+91', '\uFEFFa', '\0'));

test('it is a map: what was added first stays, and comes back in order', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(text, text)), fc.option(fc.nat(500), { nil: undefined }), (entries, room) => {
      const builder = new PackedMapBuilder(room);
      const plain = new Map<string, string>();
      for (const [key, value] of entries) {
        expect(builder.add(key, value)).toBe(plain.get(key));
        if (!plain.has(key)) plain.set(key, value);
      }
      const packed = new PackedMap(builder.build());
      expect([...packed.entries()]).toEqual([...plain]);
      expect(packed.size).toBe(plain.size);
      for (const [key] of entries) {
        expect(packed.get(key)).toBe(plain.get(key));
        expect(packed.get(`${key}0`)).toBe(plain.get(`${key}0`));
      }
    }),
    { numRuns: 500 },
  );
});

test('it grows', () => {
  const builder = new PackedMapBuilder();
  for (let n = 0; n < 20_000; n += 1) builder.add(`+9198200${n}`, `CUST${n}`);
  const packed = new PackedMap(builder.build());
  expect(packed.size).toBe(20_000);
  for (let n = 0; n < 20_000; n += 1) expect(packed.get(`+9198200${n}`)).toBe(`CUST${n}`);
  expect(packed.get('+919820020000')).toBeUndefined();
});

test('the room that it is given is that of its buffer, and none is taken for nothing', () => {
  const builder = new PackedMapBuilder(100_000);
  expect(builder.build().bytes.buffer.byteLength).toBe(0);
  for (let n = 0; n < 1_000; n += 1) builder.add(`+9198200${n}`, `CUST${n}`);
  const { bytes } = builder.build();
  expect(bytes.buffer.byteLength).toBe(100_000);
  expect(bytes.length).toBeLessThan(25_000);
});

test('an empty one has nothing', () => {
  const packed = new PackedMap(new PackedMapBuilder().build());
  expect([packed.size, packed.get(''), packed.get('a'), ...packed.entries()]).toEqual([0, undefined, undefined]);
});

test('what is too long is refused, and leaves what is there as it is', () => {
  const builder = new PackedMapBuilder();
  builder.add('a', '1');
  expect(() => builder.add('b', 'x'.repeat(65_536))).toThrow(RangeError);
  expect(() => builder.add('é'.repeat(32_768), '2')).toThrow(RangeError);
  builder.add('c', 'x'.repeat(65_535));
  const packed = new PackedMap(builder.build());
  expect([...packed.entries()].map(([key]) => key)).toEqual(['a', 'c']);
  expect(packed.get('c')).toHaveLength(65_535);
});

test('what there is no place for is refused: nobody could tell where it begins', () => {
  const builder = new PackedMapBuilder(100, 16);
  builder.add('a', '1');
  builder.add('b', '23');
  expect(() => builder.add('c', '')).toThrow(RangeError);
  expect(builder.add('a', '4')).toBe('1');
  const packed = new PackedMap(builder.build());
  expect([...packed.entries()]).toEqual([
    ['a', '1'],
    ['b', '23'],
  ]);
});
