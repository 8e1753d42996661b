import { describe, expect, test } from '@jest/globals';
import type { Json, Message } from '../../src/message.ts';
import { createTemplates } from '../../src/routing/templates.ts';

const LONG = 262_144;
const ITEMS = 10_000;
/** Some ten times what any of them takes: a bound that does not hold is missed by far. */
const MUCH_MS = 1_000;

const list = Array.from({ length: ITEMS }, (_, index) => ({ a: index, b: `item ${index}` }));
const strangers: Json = {
  list,
  words: list.map(({ b }) => b),
  map: Object.fromEntries(list.map(({ a, b }) => [b, a])),
  deep: JSON.parse('['.repeat(1_000) + ']'.repeat(1_000)),
  // The worst that can be looked for in a text of nothing but a's.
  needle: `b${'a'.repeat(LONG / 2)}`,
  dots: 'a.'.repeat(LONG / 2),
  million: '1000000000',
  toString: 'not a function',
};
const compile = createTemplates();

function render(template: string, given: Partial<Message> = {}): string {
  const message = { sender: 's', recipient: 'r', text: 'a'.repeat(LONG), fields: strangers, attachments: [] };
  return compile(template).render({ ...message, ...given }, 'chat');
}

/** How long it takes, whether it gives something or gives up. */
function msOf(work: () => unknown): number {
  const started = performance.now();
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
  }
  return performance.now() - started;
}

const LIMIT = /^(memory alloc limit exceeded|it renders longer than 50 ms|it gives more than 4000000 characters)/;

test.each([
  // Loops
  '{% for i in (1..100000000) %}{% endfor %}',
  '{% for i in (1..fields.million) %}{% endfor %}',
  '{% for i in (1..3999999) %}{% endfor %}',
  '{% for a in fields.list %}{% for b in fields.list %}{{ b.a }}{% endfor %}{% endfor %}',
  '{% for a in fields.map %}{% for b in fields.map %}{% break %}{% endfor %}{% endfor %}',
  '{% for a in fields.list %}{% if fields.words contains "none" %}{% endif %}{% endfor %}',
  '{% for a in fields.list %}{{ fields.list | map: "a" | sum }}{% endfor %}',
  '{% for a in fields.list %}{{ text | slugify: "latin" | size }}{% endfor %}',
  '{% tablerow a in fields.list %}{% tablerow b in fields.list %}{{ b.a }}{% endtablerow %}{% endtablerow %}',
  // Growth
  '{% for a in fields.list %}{{ text }}{% endfor %}',
  '{% assign t = "a" %}{% for i in (1..60) %}{% assign t = t | append: t %}{% endfor %}{{ t }}',
  '{% for i in (1..40) %}{% capture t %}{{ t }}{{ t }}a{% endcapture %}{% endfor %}{{ t | digits }}',
  '{% assign l = fields.words %}{% for i in (1..40) %}{% assign l = l | concat: l %}{% endfor %}{{ l }}',
  '{% assign l = text | split: "," %}{% for i in (1..8) %}{% assign l = l | concat: l %}{% endfor %}{{ l }}',
  '{{ text | replace: "", text }}',
  '{{ text | replace: "a", fields.needle }}',
  '{{ fields.words | join: text }}',
  '{{ fields.list | json: 10 | append: text | replace: "a", "aaaaaaaaaaaaaaaa" }}',
  '{{ "now" | date: "%99999999s" }}',
  '{{ "now" | date: "%99999999N" }}',
  // One call, of which Liquid sees neither beginning nor end
  '{{ text | remove: fields.needle }}',
  '{{ text | remove_first: fields.needle }}',
  '{{ text | remove_last: fields.needle }}',
  '{{ text | replace: fields.needle, "" }}',
  '{{ text | replace_first: fields.needle, "" }}',
  '{{ text | replace_last: fields.needle, "" }}',
  '{{ text | split: fields.needle }}',
  '{% if text contains fields.needle %}{% endif %}',
  '{{ text | split: "" | where: "x" }}',
  '{{ text | split: "" | sort_natural }}',
  '{{ fields.list | map: fields.dots }}',
  '{{ fields.list | where: fields.dots }}',
  '{{ fields.list | sum: fields.dots }}',
  '{{ fields.list | find: fields.dots }}',
  '{{ fields.list | sort: fields.dots }}',
  '{{ fields.list | group_by: fields.dots }}',
  '{{ "now" | date: text }}',
])('%s is given up', (template) => {
  const took = msOf(() => expect(() => render(template)).toThrow(LIMIT));
  expect(took).toBeLessThan(MUCH_MS);
});

/** What hangs those who write such things with a regular expression that turns back. */
const TEXTS: readonly string[] = [
  'a',
  ' ',
  '<',
  '<!--',
  '<script',
  '&',
  '=',
  '%',
  '%c',
  '%0',
  '%-_0^#:',
  '\r',
  '\n\r',
  ',',
  '-',
  '+1 ',
  '(',
  '1',
  '漢',
  '👍',
  'ß',
  'İ',
  '\ud800',
  'ab ',
].map((part) => part.repeat(LONG / part.length));

const FILTERS = [
  ...['escape', 'xml_escape', 'escape_once', 'newline_to_br', 'strip_html', 'strip_newlines', 'squish', 'strip'],
  ...['lstrip', 'rstrip', 'strip: " a"', 'normalize_whitespace', 'capitalize', 'downcase', 'upcase'],
  ...['truncate: 100000', 'truncatewords: 100000', 'slice: -100000, 100000', 'slice: 0, 100000'],
  ...['number_of_words', 'number_of_words: "cjk"', 'number_of_words: "auto"', 'array_to_sentence_string'],
  ...['url_decode', 'url_encode', 'cgi_escape', 'uri_escape', 'base64_encode', 'base64_decode', 'hmac_sha256: "x"'],
  ...['slugify', 'slugify: "latin"', 'slugify: "pretty"', 'slugify: "raw"', 'slugify: "ascii"'],
  ...['date: "%Y"', 'date: "%c"', 'date_to_xmlschema', 'date_to_rfc822', 'date_to_string', 'date_to_long_string'],
  ...['digits', 'alnum', 'sha256', 'e164', 'e164: "IN"', 'json', 'inspect', 'to_integer', 'round', 'times: 3', 'abs'],
  ...['split: ","', 'split: "" | join: ","', 'split: "," | uniq', 'split: "," | sort', 'split: "," | reverse'],
  ...['replace: "a", ""', 'remove: "aa"', 'default: "x"', 'size', 'first', 'last', 'compact', 'append: text'],
];

test.each(FILTERS)('the filter %s takes no time that a stranger chooses', (filter) => {
  const template = `{{ text | ${filter} }}`;
  for (const text of TEXTS) expect(msOf(() => render(template, { text }))).toBeLessThan(MUCH_MS);
  for (const name of ['list', 'words', 'map', 'deep', 'toString']) {
    expect(msOf(() => render(`{{ fields.${name} | ${filter} }}`))).toBeLessThan(MUCH_MS);
  }
});

test('what is within the limits is not given up', () => {
  const text = 'Hello, world. '.repeat(LONG / 14);
  const steps = '| strip | replace: "world", "all" | remove: fields.name | downcase | truncate: 1000 | size';
  expect(render(`{{ text ${steps} }}`, { text, fields: { name: 'Asha'.repeat(20) } })).toBe('1000');
  expect(render('{{ fields.list | where: "a", 7 | map: "b" | join: ", " }}')).toBe('item 7');
  expect(render('{{ fields.list | sort: "b" | map: "a" | first }}')).toBe('0');
  expect(render('{{ text }}')).toHaveLength(LONG);
  expect(render('{% if fields.words contains "item 9999" and text contains "aa" %}yes{% endif %}')).toBe('yes');
});

test.each([
  ['{{ "a%00b" | url_decode }}', 'ab'],
  ['{{ "YQBi" | base64_decode }}', 'ab'],
  ['{{ "👍👍" | split: "" | first }}', '\ufffd'],
])('what %s gives is text to all who get it', (template, given) => {
  expect(render(template)).toBe(given);
});

test.each([
  ['{% if text contains fields.none %}yes{% else %}no{% endif %}', 'no'],
  ['{% if fields.none contains "a" %}yes{% else %}no{% endif %}', 'no'],
  ['{% if fields.word contains 12 %}yes{% else %}no{% endif %}', 'yes'],
  ['{% if fields.list contains "b" %}yes{% else %}no{% endif %}', 'yes'],
  ['{% if fields.list contains "bc" %}yes{% else %}no{% endif %}', 'no'],
])('%s gives %s', (template, given) => {
  expect(render(template, { text: 'undefined', fields: { word: 'a12', list: ['a', 'b'] } })).toBe(given);
});

test('time in which the machine stands still is not taken from a template', () => {
  const { now } = performance;
  let passed = 0;
  performance.now = () => {
    passed += 60_000;
    return passed;
  };
  try {
    expect(render('{% for a in fields.words limit: 20 %}{{ forloop.index }} {% endfor %}')).toMatch(/^1 2 .* 20 $/);
  } finally {
    performance.now = now;
  }
});

describe('nothing of a template reaches', () => {
  test.each(['include', 'render', 'layout', 'block', 'require', 'import'])('a file: there is no tag %s', (tag) => {
    expect(() => compile(`{% ${tag} '/etc/passwd' %}`)).toThrow(`tag "${tag}" not found`);
    expect(() => compile(`{% liquid ${tag} '/etc/passwd' %}`)).toThrow(`tag "${tag}" not found`);
  });

  test.each(['env.PATH', 'process.env.PATH', 'globalThis', 'constructor', '__proto__', 'this', 'global', 'self.text'])(
    'the program: there is no name %s',
    (name) => {
      const root = name.replace(/\..*/, '');
      for (const template of [
        `{{ ${name} }}`,
        `{% assign x = ${name} %}`,
        `{% if ${name} %}{% endif %}`,
        `{% for x in ${name} %}{% endfor %}`,
        `{{ fields[${name}] }}`,
        `{{ text | append: ${name} }}`,
        `{% case text %}{% when ${name} %}{% endcase %}`,
        `{% capture x %}{{ ${name} }}{% endcapture %}`,
        `{% cycle ${name}, 'b' %}`,
        `{% liquid echo ${name} %}`,
      ]) {
        expect(() => compile(template)).toThrow(`unknown name ${root}`);
      }
    },
  );

  test.each(['find_exp', 'find_index_exp', 'group_by_exp', 'has_exp', 'reject_exp', 'where_exp'])(
    'an expression that a stranger wrote: there is no filter %s',
    (filter) => {
      expect(() => compile(`{{ fields.list | ${filter}: "x", text }}`)).toThrow(`undefined filter: ${filter}`);
    },
  );

  test.each(['constructor', '__proto__', 'toString', 'valueOf', 'hasOwnProperty', 'prototype', 'toLiquid'])(
    'a prototype, by %s',
    (key) => {
      const given = { text: 'a', fields: { list: [{ a: 1 }], map: {}, key }, attachments: [{ id: 'a' }] };
      for (const template of [
        `{{ fields.${key} }}{{ fields["${key}"] }}{{ fields[fields.key] }}{{ fields.map[fields.key].constructor }}`,
        `{{ text.${key} }}{{ text[fields.key] }}{{ fields.list.${key} }}{{ attachments[0].${key} }}`,
        `{{ fields.list | map: "${key}" }}{{ fields.list | map: fields.key }}{{ fields.list | where: fields.key }}`,
        `{{ fields.list | find: fields.key }}{{ fields.list | reject: "a", 1 | map: "${key}.constructor" }}`,
        `{% for pair in fields.map %}{{ pair[0] }}{% endfor %}`,
      ]) {
        expect(render(template, given)).toBe('');
      }
    },
  );

  test('the next message', () => {
    const template = compile(
      [
        '{% increment text %}{% increment n %}{% decrement m %}{% cycle "a", "b" %}{% cycle "g": "c", "d" %}',
        '{% assign sender = text %}{% capture recipient %}{{ text }}{% endcapture %}{% assign fields = text %}',
        '{% for x in attachments %}{{ x.id }}{% endfor %}',
        '{{ text | number_of_words: "auto" }}',
      ].join(''),
    );
    const other = compile('{{ sender }} {{ recipient }}');
    const message = (text: string): Message => ({
      ...{ sender: 's', recipient: 'r', text, fields: { a: 1 }, attachments: [{ id: 'f1' }, { id: 'f2' }] },
    });
    const first = template.render(message('漢 one'), 'chat');
    const second = template.render(message('two'), 'chat');
    expect(template.render(message('漢 one'), 'chat')).toBe(first);
    expect(template.render(message('two'), 'chat')).toBe(second);
    expect(second).not.toContain('漢');
    expect(other.render(message('x'), 'chat')).toBe('s r');
  });
});

test('filters give the same for the same message, all but that which asks for the time', () => {
  expect(() => compile('{{ fields.list | sample }}')).toThrow('undefined filter: sample');
  const fixed = '{{ sent_at | date: "%Y-%m-%d %H:%M" }} {{ fields.list | sort: "a" | map: "b" | join }}';
  const given = {
    sentAt: '2026-11-22T12:30:00Z',
    fields: {
      list: [
        { a: 1, b: 'x' },
        { a: 1, b: 'y' },
      ],
    },
  };
  expect(render(fixed, given)).toBe(render(fixed, given));
});
