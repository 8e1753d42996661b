import fc from 'fast-check';

/** What trips up code that takes requests apart and puts them together again. */
const PIECES = [
  'नमस्ते',
  '🙏🏽',
  '👩‍👩‍👧',
  'é',
  'x',
  '"',
  "'",
  '&',
  '=',
  '+',
  '%',
  '%41',
  ' ',
  '\n',
  '\r\n',
  '\\',
  '/',
  '{{',
  '\0',
  '<b>',
];

export const anyText = fc.oneof(
  fc.array(fc.constantFrom(...PIECES), { maxLength: 12 }).map((pieces) => pieces.join('')),
  fc.string({ unit: 'grapheme', maxLength: 30 }),
);

/** As it is to reach Haptik: NUL is removed from what presets bring. */
export const withoutNul = (text: string) => text.replaceAll('\0', '');

/** Says something. */
export const messageText = anyText.filter((text) => withoutNul(text).trim() !== '');

export type Pairs = readonly (readonly [name: string, value: string])[];

/** Parameters that mean nothing to us: nothing of any provider's begins like that. Empty ones, and names that come twice. */
export const extras: fc.Arbitrary<Pairs> = fc.array(
  fc.tuple(
    fc.oneof(
      fc.constantFrom('Zcity', 'Zcity[]', 'Zx-y'),
      anyText.map((text) => `Z${text}`),
    ),
    fc.oneof(fc.constant(''), anyText),
  ),
  { maxLength: 5 },
);

const writers: readonly ((text: string) => string)[] = [
  encodeURIComponent,
  // As forms are: a blank is a plus.
  (text) => encodeURIComponent(text).replaceAll('%20', '+'),
  // With small digits, and everything encoded that may be.
  (text) => Array.from(Buffer.from(text), (byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''),
  // With signs as they are that some encode and others do not.
  (text) => encodeURIComponent(text).replace(/%(2F|3A|40|2C|3B|7C|7B|7D)/g, decodeURIComponent),
];

/** Ways to write parameters. All mean the same, and no two have the same bytes. */
export const writePairs: fc.Arbitrary<(pairs: Pairs) => string> = fc
  .constantFrom(...writers)
  .map((write) => (pairs) => pairs.map(([name, value]) => `${write(name)}=${write(value)}`).join('&'));

/** Ways to write JSON, of which each language's own library has one. */
export const writeJson: fc.Arbitrary<(data: unknown) => Buffer> = fc
  .record({
    indent: fc.constantFrom(0, 2),
    isAscii: fc.boolean(),
    escapesSlash: fc.boolean(),
    end: fc.constantFrom('', '\n'),
  })
  .map(({ indent, isAscii, escapesSlash, end }) => (data) => {
    let text = JSON.stringify(data, null, indent);
    if (isAscii)
      text = text.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
    if (escapesSlash) text = text.replaceAll('/', '\\/');
    return Buffer.from(text + end);
  });
