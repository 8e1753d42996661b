import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { getCountries, getCountryCallingCode } from 'libphonenumber-js/min';
import { type CountryCode, isCountry, normaliseSender, phoneNumber, type SenderKind } from '../src/sender.ts';

// Frozen: ids of live users are made from these forms. A row may be added; one that has to be changed splits a user in two.
test.each<[raw: string, country: CountryCode | undefined, sender: string]>([
  // A leading + makes it a phone number, however it is written.
  ['+919820012345', undefined, '+919820012345'],
  ['+91 98200 12345', undefined, '+919820012345'],
  ['+91-98200-12345', undefined, '+919820012345'],
  ['+91 (98200) 12345', undefined, '+919820012345'],
  ['+91.98200.12345', undefined, '+919820012345'],
  ['  +919820012345\n', undefined, '+919820012345'],
  ['\u00a0+919820012345\u200a', undefined, '+919820012345'],
  ['+1 (800) 555-0100', undefined, '+18005550100'],
  ['+ 91 98200 12345-', undefined, '+919820012345'],
  ['+1 800 555 01000', undefined, '+1 800 555 01000'],
  ['+290 8015 4', undefined, '+290 8015 4'],
  [`+91${' '.repeat(260)}9820012345`, undefined, `+91${' '.repeat(260)}9820012345`],
  ['(+91) 9820012345', undefined, '(+91) 9820012345'],
  ['+44 (0)20 7946 0958', undefined, '+442079460958'],
  ['+٩١٩٨٢٠٠١٢٣٤٥', undefined, '+919820012345'],
  ['+919820012345', 'US', '+919820012345'],
  // A country makes national numbers international.
  ['09820012345', 'IN', '+919820012345'],
  ['9820012345', 'IN', '+919820012345'],
  ['98200 12345', 'IN', '+919820012345'],
  ['919820012345', 'IN', '+919820012345'],
  ['0091 98200 12345', 'IN', '+919820012345'],
  ['(800) 555-0100', 'US', '+18005550100'],
  ['020 7946 0958', 'GB', '+442079460958'],
  // What is no phone number stays as it is.
  ['09820012345', undefined, '09820012345'],
  ['919820012345', undefined, '919820012345'],
  ['00919820012345', undefined, '00919820012345'],
  ['+', undefined, '+'],
  ['+1', undefined, '+1'],
  ['+12', 'IN', '+12'],
  ['+999123456789', undefined, '+999123456789'],
  ['+919820012345678901', undefined, '+919820012345678901'],
  ['+plus', undefined, '+plus'],
  ['Asha@Example.com', undefined, 'Asha@Example.com'],
  [' asha@example.com ', 'IN', 'asha@example.com'],
  ['user7', undefined, 'user7'],
  ['user7', 'IN', 'user7'],
  ['user 9820012345', 'IN', 'user 9820012345'],
  ['112', 'IN', '112'],
  // Several people.
  ['(022) 26512345 x22', 'IN', '(022) 26512345 x22'],
  ['+18005550100 ext. 5', undefined, '+18005550100 ext. 5'],
  ['tel:+919820012345', undefined, 'tel:+919820012345'],
  ['a  b', undefined, 'a  b'],
  ['', undefined, ''],
  ['   ', 'IN', ''],
])('the sender "%s" of default_country %s is "%s"', (raw, country, sender) => {
  expect(normaliseSender(raw, country)).toBe(sender);
});

test.each<[kind: SenderKind, raw: string, country: CountryCode | undefined, sender: string]>([
  // Digits that begin with the country's code.
  ['international', '919820012345', undefined, '+919820012345'],
  ['international', ' 447700900001 ', undefined, '+447700900001'],
  ['international', '+919820012345', undefined, '+919820012345'],
  ['international', '14135550112', 'IN', '+14135550112'],
  // What is no number with a country's code.
  ['international', '09820012345', undefined, '09820012345'],
  ['international', '09820012345', 'IN', '+919820012345'],
  ['international', '56161', undefined, '56161'],
  ['international', 'IN.1502576394655843', undefined, 'IN.1502576394655843'],
  ['international', 'IN.1502576394655843', 'IN', 'IN.1502576394655843'],
  ['international', 'HAPTIK', undefined, 'HAPTIK'],
  ['international', '7032876543210987', undefined, '7032876543210987'],
  ['phone', '919820012345', undefined, '919820012345'],
  ['phone', '09820012345', 'IN', '+919820012345'],
  // Ids that look like anything.
  ['id', '987654321', 'IN', '987654321'],
  ['id', '+919820012345', 'IN', '+919820012345'],
  ['id', ' a ', undefined, ' a '],
  ['email', ' asha@example.in ', 'IN', 'asha@example.in'],
  ['email', 'Asha@Example.in', undefined, 'Asha@Example.in'],
  // A form that was filled in with a number instead.
  ['email', '+91 98200 12345', undefined, '+919820012345'],
  ['email', '98200 12345', 'IN', '+919820012345'],
])('where senders are %s, "%s" of default_country %s is "%s"', (kind, raw, country, sender) => {
  expect(normaliseSender(raw, country, kind)).toBe(sender);
});

const anyKind = fc.constantFrom<SenderKind[]>('phone', 'international', 'id', 'email');

const anyCountry = fc.constantFrom<(CountryCode | undefined)[]>(undefined, 'IN', 'US', 'GB', 'IT', 'BR');
const digits = fc.string({ unit: fc.constantFrom(...'0123456789 -()'), maxLength: 18 });
const anySender = fc.oneof(
  fc.string(),
  digits,
  digits.map((text) => `+${text}`),
  fc.emailAddress(),
);

test('a sender that is normalised again stays as it is', () => {
  fc.assert(
    fc.property(anySender, anyCountry, anyKind, (raw, country, kind) => {
      const sender = normaliseSender(raw, country, kind);
      expect(normaliseSender(sender, country, kind)).toBe(sender);
      if (kind !== 'id') expect(normaliseSender(sender)).toBe(sender);
    }),
    { numRuns: 2_000 },
  );
});

test('blanks around a sender never make another one of it', () => {
  fc.assert(
    fc.property(anySender, anyCountry, (raw, country) => {
      expect(normaliseSender(` \t${raw}\n`, country)).toBe(normaliseSender(raw, country));
    }),
  );
});

test('without a + and a country nothing but the blanks around it is changed', () => {
  const other = anySender.filter((raw) => !raw.trim().startsWith('+'));
  fc.assert(fc.property(other, (raw) => expect(normaliseSender(raw)).toBe(raw.trim())));
});

test('a phone number is E.164, or there is none', () => {
  fc.assert(
    fc.property(anySender, anyCountry, (raw, country) => {
      expect(phoneNumber(raw, country) ?? '+1').toMatch(/^\+[1-9][0-9]{0,16}$/);
    }),
    { numRuns: 2_000 },
  );
});

/** Where a prefix of the country's own may be taken for the beginning of the number. */
const written = fc
  .tuple(
    fc.constantFrom(...getCountries().map((country) => getCountryCallingCode(country)), '800', '881', '999'),
    fc.constantFrom('', '0', '00', '1', '8', '9', '15', '044'),
    fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: 3, maxLength: 11 }),
  )
  .map((parts) => `+${parts.join('')}`);

/** The same, with what people put between digits. */
const parted = fc
  .tuple(written, fc.array(fc.constantFrom('', '', '', ' ', '-', '(', ')', '.', '  ', ' (', ') '), { maxLength: 20 }))
  .map(([number, parts]) => [...number].map((digit, index) => digit + (parts[index] ?? '')).join(''));

test('what is known without reading a number is what reading it gives, whoever reads it', () => {
  fc.assert(
    fc.property(fc.oneof(written, parted), anyCountry, anyKind, (raw, country, kind) => {
      const text = raw.trim();
      const read = kind === 'id' ? raw : (phoneNumber(text) ?? text);
      expect(normaliseSender(raw, country, kind)).toBe(read);
    }),
    { numRuns: 20_000 },
  );
});

test.each([
  ['IN', true],
  ['US', true],
  ['in', false],
  ['IND', false],
  ['India', false],
  ['ZZ', false],
  ['', false],
  ['__proto__', false],
  ['constructor', false],
  ['toString', false],
])('"%s" is a country: %s', (code, expected) => {
  expect(isCountry(code)).toBe(expected);
});
