import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { RoutingRefused } from '../../src/routing/problem.ts';
import { ROOT } from '../support/process.ts';
import { parseRouting } from '../support/routing.ts';

const ENV = {
  HAPTIK_BASE_URL: 'https://h.example',
  HAPTIK_CLIENT_ID: 'client-Qz1zQ',
  HAPTIK_TOKEN: 'token-Qz2zQ: {#"',
  APP_KEY: 'key-Qz3zQ',
  CRM_SECRET: 'crm-Qz4zQ',
  TWILIO_AUTH_TOKEN: 'twilio-Qz5zQ',
};

/** The example, without its comments. */
const LINES = readFileSync(join(ROOT, 'routing.example.yaml'), 'utf8')
  .split('\n')
  .map((line) => line.replace(/(^|\s+)#.*$/, ''))
  .filter((line) => line !== '');

function problemsOf(lines: readonly string[]): RoutingRefused['problems'] {
  try {
    parseRouting(lines.join('\n'), 'routing.yaml', ENV);
  } catch (error) {
    if (error instanceof RoutingRefused) return error.problems;
    throw error;
  }
  return [];
}

/** The example with another line in the place of one. */
function withLine(index: number, line: string): readonly string[] {
  return LINES.with(index, line);
}

/** Names of the operator's own, and of a filter. */
const NAMES = ['main', 'app', 'crm', 'slice'];
/** Each key that the schema names, at its place. */
const KEYS = LINES.flatMap((line, index) =>
  [...line.matchAll(/(?<=^|[\s{])([a-z_]{2,}):(?=\s|$)/g)]
    .map(({ 1: key = '', index: at }) => ({ key, index, at }))
    .filter(({ key }) => !NAMES.includes(key)),
);

test('the example is fine as it stands', () => {
  expect(problemsOf(LINES)).toEqual([]);
  expect(KEYS.length).toBeGreaterThan(50);
});

describe('one fault is told once, at its place:', () => {
  test.each(KEYS)('$key in line $index, with a letter too few or too many', ({ key, index, at }) => {
    const line = LINES[index] ?? '';
    for (const misspelt of [key.slice(0, -1), `${key}x`, key.replace(/^(.)(.)/, '$2$1'), `${key}\u200b`]) {
      const problems = problemsOf(withLine(index, line.slice(0, at) + misspelt + line.slice(at + key.length)));
      expect(problems).toMatchObject([{ code: 'unknown_key', line: index + 1, column: at + 1 }]);
    }
  });

  test.each(KEYS)('$key in line $index, twice', ({ key, index, at }) => {
    const line = LINES[index] ?? '';
    const isInBraces = line.slice(0, at).includes('{');
    const twice = isInBraces ? `${line.slice(0, at)}${key}: x, ${line.slice(at)}` : `${key}: x\n${' '.repeat(at)}`;
    const lines = withLine(index, isInBraces ? twice : line.slice(0, at) + twice + line.slice(at));
    expect(problemsOf(lines)).toMatchObject([{ code: 'duplicate', line: isInBraces ? index + 1 : index + 2 }]);
  });

  const references = LINES.flatMap((line, index) =>
    [...line.matchAll(/\$\{\w+\}/g)].map(([name]) => ({ name, index })),
  );
  test.each(references)('$name in line $index, unset, no name, and not closed', ({ name, index }) => {
    const line = LINES[index] ?? '';
    for (const [other, code] of [
      [`\${NOPE}`, 'unset_variable'],
      [`\${}`, 'bad_reference'],
      [`\${MY TOKEN}`, 'bad_reference'],
      [name.slice(0, -1), 'bad_reference'],
      [`\${file:/no/such}`, 'unreadable_file'],
    ] as const) {
      expect(
        problemsOf(
          withLine(
            index,
            line.replace(name, () => other),
          ),
        ),
      ).toMatchObject([{ code, line: index + 1 }]);
    }
  });
});

/** Any character, at any place, put in or taken out. */
const slip = fc.record({
  index: fc.nat(LINES.length - 1),
  at: fc.nat(60),
  removed: fc.nat(3),
  added: fc.constantFrom(
    '',
    ' ',
    '\t',
    '\n',
    '"',
    "'",
    '{',
    '}',
    '[',
    ':',
    '- ',
    '#',
    '&a ',
    '*a ',
    '!x ',
    '|',
    '%',
    '${',
    '\u200b',
    '\ue000',
    '<<: ',
  ),
});

test('whatever slips, what is told has a place in the file, is told once, and holds no secret', () => {
  fc.assert(
    fc.property(slip, ({ index, at, removed, added }) => {
      const line = LINES[index] ?? '';
      const problems = problemsOf(withLine(index, line.slice(0, at) + added + line.slice(at + removed)));
      for (const { line: told, column, message } of problems) {
        expect(told).toBeLessThanOrEqual(LINES.length + 1);
        expect(column).toBeGreaterThan(0);
        expect(message).not.toMatch(/Qz\dzQ/);
      }
      expect(new Set(problems.map(({ line: told, column, message }) => `${told}:${column} ${message}`)).size).toBe(
        problems.length,
      );
    }),
    { numRuns: 400 },
  );
});
