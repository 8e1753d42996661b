import fc from 'fast-check';

/** Any routing file, and any webhooks to its channels: what is written here is YAML, as an operator would write it. */
export interface Given {
  readonly routing: string;
  readonly senders: string;
  readonly webhooks: readonly Webhook[];
}

export interface Webhook {
  readonly channel: string;
  readonly type: string;
  /** Each FRESH in it is to become a number of its own: what comes twice is a repeat. */
  readonly body: string;
}

export const FRESH = '471100';

const SENDERS = [
  'u1',
  'u2',
  '+919820012345',
  '919820012345',
  '098200 12345',
  'a.b@x.example',
  'known@x.example',
  'Ü 1',
];
const LISTED = ['u1: CUST1', '"+919820012345": CUST2', '"a.b@x.example": CUST3'];
const IN_FILE = ['known@x.example,CUST4', '+14155550100,CUST5', '777000,CUST6', 'Uline1,CUST7'];
const WORDS = ['a', 'ab', 'abc', 'Billing', 'b a', 'é👍', '', '%00%41', "it's", 'YWJj', '12', '<b>&amp;', 'a\nb'];

const word = fc.constantFrom(...WORDS);
const some = <T>(...values: readonly T[]) => fc.constantFrom(...values);
const joined = (parts: fc.Arbitrary<string>, max: number) =>
  fc.array(parts, { minLength: 1, maxLength: max }).map((all) => all.join(''));

const value = some(
  ...['sender', 'recipient', 'text', 'id', 'sent_at', 'name', 'email', 'phone', 'channel', '"a b"'],
  ...['fields.a', 'fields.list', 'fields.list[1]', 'fields["b c"]', 'fields.none', 'fields.none.none', 'fields.map.x'],
  ...['fields.map', 'fields.n', 'fields.yes', 'attachments', 'attachments[0].url', 'attachments[0].name'],
);
const filter = some(
  ...['digits', 'alnum', 'sha256', 'sha256 | slice: 0, 12', 'e164', 'e164: "IN"', 'downcase', 'upcase', 'capitalize'],
  ...[
    'strip',
    'truncate: 4',
    'truncatewords: 1',
    'split: ""',
    'split: " " | last',
    'split: "" | last',
    'first',
    'last',
    'size',
    'json',
  ],
  ...['join: ","', 'default: "none"', 'replace: "a", "bb"', 'remove: "a"', 'append: text', 'prepend: "<"', 'escape'],
  ...['url_decode', 'url_encode', 'base64_decode', 'base64_encode', 'strip_html', 'slugify', 'times: 2', 'plus: 1'],
  ...[
    'date: "%Y-%m-%d"',
    'sort',
    'uniq',
    'reverse',
    'compact',
    'map: "x"',
    'where: "x", 1',
    'slice: 1, 3',
    'concat: fields.list',
  ],
);
const output = fc
  .tuple(value, fc.array(filter, { maxLength: 3 }))
  .map(([name, filters]) => `{{ ${[name, ...filters].join(' | ')} }}`);
const test = fc.oneof(
  fc
    .tuple(value, some('==', '!=', 'contains', '>'), some('"a"', '12', 'blank', 'nil', 'text'))
    .map((all) => all.join(' ')),
  value,
);

/** `plain` is what may stand outside of tags. */
function template(plain: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const { all } = fc.letrec<{ readonly all: string; readonly part: string }>((tie) => ({
    all: joined(tie('part'), 3),
    part: fc.oneof(
      { depthSize: 'small', maxDepth: 2 },
      output,
      plain,
      fc.tuple(test, tie('all'), tie('all')).map(([is, one, two]) => `{% if ${is} %}${one}{% else %}${two}{% endif %}`),
      fc.tuple(value, tie('all')).map(([of, body]) => `{% for x in ${of} limit: 3 %}{{ x }}${body}{% endfor %}`),
      fc.tuple(value, tie('all')).map(([of, body]) => `{% case ${of} %}{% when "a", 12 %}${body}{% endcase %}`),
      fc.tuple(tie('all')).map(([body]) => `{% capture c %}${body}{% endcapture %}{{ c | upcase }}`),
      fc.tuple(value, filter).map(([of, by]) => `{% assign v = ${of} | ${by} %}{{ v }}`),
      some(
        '{% increment n %}',
        '{% cycle "1", "2" %}',
        '{% unless text %}1{% endunless %}',
        '{%- comment -%}x{% endcomment %}',
      ),
    ),
  }));
  return all;
}

const anyText = fc.oneof(
  {
    arbitrary: some(
      '{{ name }}: {{ text }}{% for file in attachments %} {{ file.url }}{% endfor %}',
      '{{ fields.a }}, {{ phone | default: email }} to {{ recipient }}, {{ sent_at }}: {{ text }}',
    ),
    weight: 1,
  },
  { arbitrary: template(some('Hi ', ': ', ' — ', '\n', '👍', '$ ', '"', '#')), weight: 2 },
);
/** Others than letters and digits outside of tags would have the file refused. */
const anyId = fc.oneof(
  {
    arbitrary: some('{{ sender | alnum }}', 'x{{ sender | sha256 | slice: 0, 20 }}', '{{ sender }}', '{{ fields.a }}'),
    weight: 3,
  },
  template(some('x', 'U1')),
);

const scalar = word.map((text) => JSON.stringify(text));
const condition = fc.oneof(
  scalar,
  fc.uniqueArray(scalar, { minLength: 1, maxLength: 3 }).map((all) => `[${all}]`),
  some('a', 'Bill', '+91', '1').map((text) => `{ prefix: "${text}" }`),
  some('(?i)^bill', 'b$', '[0-9]+', '.', 'a.*b').map((pattern) => `{ matches: "${pattern}" }`),
);
const ofSender = fc.oneof(
  condition,
  some(...SENDERS).map((sender) => JSON.stringify(sender)),
);
const when = fc
  .record(
    { text: condition, sender: ofSender, recipient: condition, 'fields.a': condition, 'fields.list': condition },
    { requiredKeys: [] },
  )
  .map((record) => `{ ${Object.entries(record).map(([key, one]) => `${key}: ${one}`)} }`);

const CHANNELS = ['chat', 'india', 'mapped', 'web', 'sms', 'bot', 'line'] as const;
const route = fc
  .record(
    {
      channel: some(...CHANNELS),
      account: some('main', 'other', 'short'),
      when,
      business_id: fc.integer({ min: 0, max: 99 }).map(String),
      auth_id: anyId.map((text) => JSON.stringify(text)),
      message_body: anyText.map((text) => JSON.stringify(text)),
      user: anyText.map((text) => `{ name: ${JSON.stringify(text)}, custom_data: { a: ${JSON.stringify(text)} } }`),
    },
    { requiredKeys: ['channel', 'account', 'business_id'] },
  )
  .map((record) => `  - { ${Object.entries(record).map(([key, one]) => `${key}: ${one}`)} }`);

const routing = fc
  .record({
    country: some('', ', default_country: IN', ', default_country: US'),
    routes: fc.array(route, { minLength: 6, maxLength: 20 }),
    // Some channels always have one that fits whatever comes.
    last: fc.subarray([...CHANNELS], { minLength: 2 }),
    listed: fc.subarray(LISTED),
    pattern: some('[A-Za-z0-9]+', '[A-Za-z0-9]{1,20}', '(?i)[a-z0-9_-]+'),
    maxLength: some<number>(1, 5, 20),
  })
  .map(({ country, routes, last, listed, pattern, maxLength }) =>
    [
      'accounts:',
      `  main: { base_url: "\${HAPTIK_BASE_URL}", client_id: test-client, token: test-token }`,
      `  short: { base_url: "\${HAPTIK_BASE_URL}", client_id: test-client, token: test-token, auth_id_pattern: "${pattern}", max_length: ${maxLength} }`,
      `  other: { message_url: "\${OTHER}/v1.0/log_message_from_user/", user_url: "\${OTHER}/v1.0/user/", client_id: other-client, token: other-token }`,
      'channels:',
      '  chat: { verify: none }',
      `  india: { verify: none${country} }`,
      '  mapped: { verify: none, fields: { sender: from.id, text: body.text, id: ev, sent_at: at, fields: data } }',
      '  web: { provider: form, verify: none, rate_limit: 1000000 }',
      '  sms: { provider: twilio, verify: none }',
      '  bot: { provider: telegram, verify: none }',
      '  line: { provider: line, verify: none }',
      'routes:',
      ...routes,
      ...last.map(
        (channel) => `  - { channel: ${channel}, account: main, business_id: 7, auth_id: "y{{ sender | alnum }}" }`,
      ),
      `senders: { ${listed.join(', ')} }`,
      'senders_file: senders.csv',
      '',
    ].join('\n'),
  );

const fields = fc.record(
  {
    a: fc.oneof<fc.Arbitrary<string | number>[]>(word, fc.integer({ min: 0, max: 12 })),
    list: fc.array(fc.oneof<fc.Arbitrary<string | number>[]>(word, fc.integer({ min: 0, max: 12 })), { maxLength: 4 }),
    'b c': word,
    map: fc.record({ x: word }),
    n: fc.double({ noNaN: true, noDefaultInfinity: true }),
    yes: fc.boolean(),
  },
  { requiredKeys: [] },
);
const text = fc.oneof(
  word,
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  word.map((one) => `Billing ${one}`),
);
const person = { sender: some(...SENDERS), text };
const sentAt = some<string | number>('2026-11-22T12:30:00Z', 1_795_350_600, '2026-11-22T18:00:00+05:30');

const fresh = (prefix: string) => fc.constant(prefix + FRESH);
const asJson = (channel: string, payload: fc.Arbitrary<unknown>) =>
  payload.map((data): Webhook => ({ channel, type: 'application/json', body: JSON.stringify(data) }));
const asForm = (channel: string, payload: fc.Arbitrary<Readonly<Record<string, string>>>) =>
  payload.map(
    (data): Webhook => ({
      ...{ channel, type: 'application/x-www-form-urlencoded', body: new URLSearchParams(data).toString() },
    }),
  );

const plain = fc.record(
  { ...person, id: fresh('m'), sent_at: sentAt, recipient: word, name: word, email: word, phone: word, fields },
  { requiredKeys: ['sender', 'text', 'id'] },
);
const webhook: fc.Arbitrary<Webhook> = fc.oneof(
  asJson('chat', plain),
  asJson('india', plain),
  asJson('chat', fc.record({ messages: fc.array(plain, { minLength: 1, maxLength: 3 }) })),
  asJson('chat', fc.record({ sender: some<string | number | null>('u1', 5, '', null), id: fresh('m') })),
  asJson(
    'mapped',
    fc
      .record({ ...person, ev: fresh('e'), at: sentAt, data: fields })
      .map(({ sender, text: written, ...rest }) => ({ from: { id: sender }, body: { text: written }, ...rest })),
  ),
  asForm('web', fc.record({ email: person.sender, message: text, name: word, a: word, token: fresh('t') })),
  asForm(
    'sms',
    fc.record({
      MessageSid: fresh('SM'),
      From: some('+919820012345', '+14155550100', '777000', 'HAPTIK'),
      To: some('+18005550100', '777'),
      Body: text,
      NumMedia: some('0', '1'),
      MediaUrl0: fc.constant('https://api.twilio.example/Media/ME1'),
      MediaContentType0: fc.constant('image/png'),
    }),
  ),
  asForm('sms', fc.record({ MessageSid: fresh('SM'), MessageStatus: fc.constant('sent') })),
  asJson(
    'bot',
    fc.tuple(fresh(''), some<number>(777000, 42), text, fc.boolean()).map(([id, from, written, hasFile]) => ({
      update_id: Number(id),
      message: {
        ...{ message_id: Number(id), date: 1_795_350_600, chat: { id: from }, from: { id: from, first_name: 'Asha' } },
        ...(hasFile ? { caption: written, document: { file_id: 'F1', file_name: 'a.pdf' } } : { text: written }),
      },
    })),
  ),
  asJson(
    'line',
    fc.tuple(fresh('L'), some('Uline1', 'Uline2'), text).map(([id, userId, written]) => ({
      destination: 'Udest',
      events: [
        { type: 'follow', webhookEventId: `${id}f`, timestamp: 1_795_350_600_000, source: { userId } },
        {
          ...{ type: 'message', webhookEventId: `${id}m`, timestamp: 1_795_350_600_000, source: { userId } },
          message: { type: 'text', id, text: written },
        },
      ],
    })),
  ),
);

export const anyTable: fc.Arbitrary<Given> = fc.record({
  routing,
  senders: fc.subarray(IN_FILE, { minLength: 1 }).map((rows) => rows.join('\n')),
  webhooks: fc.array(webhook, { minLength: 8, maxLength: 16 }),
});
