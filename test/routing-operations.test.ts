import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ACCOUNTS, startSimulator, startTestBridge } from './support/bridge.ts';
import { onTestEnd, temporaryFolder, until } from './support/fixtures.ts';
import { startProxy } from './support/network.ts';
import { testDatabase } from './support/postgres.ts';

const routing = (channel: string, route = 'business_id: 1, auth_id: "u{{ sender }}"') => `
channels: { chat: { verify: none }, ${channel}: { verify: none } }
routes:
  - { channel: chat, ${route} }
  - { channel: ${channel}, business_id: 2, auth_id: "{{ sender }}" }
`;

interface Options {
  readonly env?: Readonly<Record<string, string>>;
  readonly first?: string;
  readonly folder?: string;
}

async function start({ env = {}, first = routing('one'), folder }: Options = {}) {
  const place = folder ?? (await temporaryFolder());
  const running = await startTestBridge({ routing: first, folder: place, env });
  const path = join(place, 'routing.yaml');
  const state = async () => (await running.admin.get('/api/routing')).body;
  const reload = async (source: string) => {
    await writeFile(path, ACCOUNTS + source);
    await running.admin.post('/api/routing/reload').send({}).expect(200);
    return (await state()).version as string;
  };
  const post = async (sender: string, text: string, channel = 'chat') =>
    (await running.request.post(`/webhooks/${channel}`).send({ sender, text })).body.id as string;
  const dryRun = async (body: object = {}) => running.admin.post('/api/routing/dry-run').send(body);
  return { ...running, folder: place, path, state, reload, post, dryRun };
}

describe('a rollback', () => {
  test('puts a version back; the file, the API and what comes then say so', async () => {
    const { admin, path, state, reload, post, simulator } = await start();
    const { version: one } = await state();
    const two = await reload(routing('two', 'business_id: 9, auth_id: "u{{ sender }}"'));
    const { body: versions } = await admin.get('/api/routing/versions');
    expect(versions).toEqual({
      items: [two, one].map((version) => ({
        version,
        at: expect.stringMatching(/^2.*Z$/),
        in_force: version === two,
        file: expect.stringContaining(version),
      })),
      next: null,
    });
    const { status, body } = await admin.post('/api/routing/rollback').send({ version: one });
    expect([status, body]).toEqual([200, await state()]);
    expect(body).toMatchObject({ version: one, rolled_back_at: expect.stringMatching(/^2.*Z$/), refused: null });
    expect(await readFile(path, 'utf8')).toMatch(
      new RegExp(`^# haptik-bridge: rolled back at ${body.rolled_back_at} to version ${one}\n`),
    );
    const id = await post('7', 'hello');
    expect((await admin.get(`/api/messages/${id}`)).body).toMatchObject({ table_version: one, route: 'routes[0]' });
    await until('it is delivered', () => simulator.messages.length === 1);
    expect(simulator.messages[0]).toMatchObject({ business_id: 1 });
  });

  test('of a file that is refused brings the last good one back', async () => {
    const { admin, path, state } = await start();
    const { version } = await state();
    await writeFile(path, 'accounts: [');
    await admin.post('/api/routing/reload').send({}).expect(422);
    expect((await state()).refused).not.toBeNull();
    await admin.post('/api/routing/rollback').send({ version }).expect(200);
    expect(await state()).toMatchObject({ version, refused: null });
  });

  test.each([
    ['to what is not kept', { version: 'abc' }, 409, /^there is no one version "abc"; kept are [0-9a-f]{12}/],
    ['to nothing', {}, 422, /version/],
  ])('%s is refused', async (_what, body, expected, detail) => {
    const { admin, path } = await start();
    const before = await readFile(path, 'utf8');
    const answer = await admin.post('/api/routing/rollback').send(body);
    expect([answer.status, answer.body.detail]).toEqual([expected, expect.stringMatching(detail)]);
    expect(await readFile(path, 'utf8')).toBe(before);
  });

  test('to what cannot be loaded any more is refused, and says why', async () => {
    const folder = await temporaryFolder();
    const secret = join(folder, 'secret');
    await writeFile(secret, 's3cret');
    const withSecret = routing('one').replace(
      'chat: { verify: none }',
      `chat: { verify: { github: { secret: "\${file:${secret}}" } } }`,
    );
    const { admin, state, reload } = await start({ first: withSecret, folder });
    const { version: one } = await state();
    const two = await reload(routing('two'));
    await rm(secret);
    const { status, body } = await admin.post('/api/routing/rollback').send({ version: one });
    expect([status, body.errors]).toEqual([
      422,
      [
        {
          path: expect.stringMatching(/:\d+:\d+:$/),
          message: expect.stringMatching(/cannot be read: there is no such file \(ENOENT\)$/),
        },
      ],
    ]);
    expect((await state()).version).toBe(two);
  });

  test('is not possible where versions cannot be kept, which is told', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'versions'), 'in the way');
    const { admin, lines } = await start({ folder });
    expect(lines).toContainEqual(
      expect.objectContaining({ level: 'warn', message: 'the version in force is not kept: no rollback to it' }),
    );
    expect((await admin.get('/api/routing/versions')).status).toBe(503);
  });
});

describe('a dry run', () => {
  test('says what would become of the last messages, and does nothing', async () => {
    const { admin, post, dryRun, state, simulator } = await start();
    const elsewhere = await post('1', 'to sales');
    const stays = await post('2', 'hello');
    const lost = await post('3', 'spam');
    const renamed = await post('4', 'hello', 'one');
    await until('all are delivered', () => simulator.messages.length === 4);
    const before = await state();
    const source = `${ACCOUNTS}
channels: { chat: { verify: none }, one: { verify: none } }
routes:
  - { channel: chat, when: { text: { prefix: to } }, business_id: 5, auth_id: "u{{ sender }}" }
  - { channel: chat, when: { text: hello }, business_id: 1, auth_id: "u{{ sender }}" }
  - { channel: one, business_id: 2, auth_id: "x{{ sender }}", message_body: "{{ text }}!" }
`;
    const { status, body } = await dryRun({ source });
    expect(status).toBe(200);
    const { examples, ...counts } = body;
    expect(counts).toEqual({
      version: expect.stringMatching(/^[0-9a-f]{12}$/),
      against: before.version,
      count: 4,
      erased: 0,
      unchanged: 1,
      renamed: 1,
      gone: 0,
      unroutable: 1,
      routable: 0,
      elsewhere: 1,
      auth_id: 1,
      text: 1,
      read_otherwise: [],
    });
    expect(examples.map(({ id }: { readonly id: string }) => id)).toEqual([renamed, lost, elsewhere]);
    expect(examples).not.toContainEqual(expect.objectContaining({ id: stays }));
    expect(examples[0]).toEqual({
      id: renamed,
      channel: 'one',
      sender: '4',
      differences: ['auth_id', 'text'],
      before: { route: 'routes[1]', account: 'main', business_id: 2, auth_id: '4', text: 'hello', reason: null },
      after: { route: 'routes[2]', account: 'main', business_id: 2, auth_id: 'x4', text: 'hello!', reason: null },
    });
    expect(examples[1].after).toEqual({
      route: null,
      account: null,
      business_id: null,
      auth_id: null,
      text: null,
      reason: 'unroutable',
    });
    expect([await state(), simulator.messages.length]).toEqual([before, 4]);
    expect((await admin.get('/api/messages')).body.items).toHaveLength(4);
  });

  test('finds what could be delivered again, and takes the file that is there where none is given', async () => {
    const picky = routing('one', 'when: { text: hello }, business_id: 1, auth_id: "u{{ sender }}"');
    const { post, dryRun, path, folder } = await start({ first: picky });
    await post('1', 'anything');
    await post('2', 'hello');
    expect((await dryRun()).body).toMatchObject({ count: 2, unchanged: 2, routable: 0 });
    await writeFile(join(folder, 'next.yaml'), ACCOUNTS + routing('one'));
    const { body } = await dryRun({ source: await readFile(join(folder, 'next.yaml'), 'utf8') });
    expect(body).toMatchObject({ count: 2, unchanged: 1, routable: 1 });
    expect(await readFile(path, 'utf8')).toBe(ACCOUNTS + picky);
  });

  test('tells messages that would not even be stored', async () => {
    const { post, dryRun } = await start();
    await post('1', 'hello', 'one');
    await post('2', 'hello');
    const { body } = await dryRun({ source: ACCOUNTS + routing('two') });
    expect(body).toMatchObject({ count: 2, unchanged: 1, gone: 1, unroutable: 0 });
    expect(body.examples).toMatchObject([{ channel: 'one', differences: ['gone'], after: { reason: 'gone' } }]);
  });

  test('looks at as many as it is asked for, over pages', async () => {
    const { post, dryRun } = await start();
    for (let count = 0; count < 45; count += 1) await post(String(count), 'hello');
    for (const last of [1, 20, 21, 45]) expect((await dryRun({ last })).body.count).toBe(last);
    expect((await dryRun({ last: 10_000 })).body).toMatchObject({ count: 45, unchanged: 45 });
    expect((await dryRun({ last: 0 })).status).toBe(422);
    expect((await dryRun({ last: 10_001 })).status).toBe(422);
  });

  test('does not guess at what is erased', async () => {
    const { post, dryRun, simulator } = await start({ env: { RETAIN_CONTENT_HOURS: '0' } });
    await post('1', 'hello');
    await until('it is delivered', () => simulator.messages.length === 1);
    await until('it is erased', async () => (await dryRun()).body.erased === 1);
    const source = ACCOUNTS + routing('one', 'business_id: 9, auth_id: x');
    expect((await dryRun({ source })).body).toMatchObject({
      count: 1,
      erased: 1,
      unchanged: 0,
      elsewhere: 0,
      examples: [],
    });
  });

  test('says of which channels it takes messages as they were read before', async () => {
    const { post, dryRun } = await start();
    await post('1', 'hello');
    const source = (ACCOUNTS + routing('one')).replace(
      'one: { verify: none }',
      'one: { verify: none, default_country: IN }',
    );
    expect((await dryRun({ source })).body).toMatchObject({ unchanged: 1, read_otherwise: ['one'] });
  });

  test('tells every problem of a file that is refused, under the name that it is given', async () => {
    const { dryRun } = await start();
    const source = `${ACCOUNTS}channels: { chat: {} }\nroutes: [{ channel: none }]\n`;
    const { status, body } = await dryRun({ source, name: 'next.yaml' });
    expect(status).toBe(422);
    expect(body.errors.map(({ path }: { readonly path: string }) => path)).toEqual([
      expect.stringMatching(/^next\.yaml:\d+:\d+:$/),
      expect.stringMatching(/^next\.yaml:\d+:\d+:$/),
    ]);
  });

  test('reads in a draft no reference whose value could show, and those of the table in force', async () => {
    const SHOWN = routing('one', `business_id: 1, auth_id: "\${PREFIX}{{ sender }}"`);
    const { post, dryRun } = await start({
      first: SHOWN,
      env: { SECRET: 'hunter2hunter2', PREFIX: 'u', PIN: '123456' },
    });
    await post('1', 'hello');
    for (const route of [
      `business_id: 1, auth_id: a, message_body: '{{ "\${SECRET}" | upcase }}'`,
      `business_id: 1, auth_id: '{% if "\${SECRET}" contains "h" %}x{% endif %}'`,
      `business_id: 1, auth_id: a, when: { text: { matches: "[\${SECRET}]" } }`,
      `business_id: \${PIN}, auth_id: a`,
    ]) {
      const { status, body } = await dryRun({ source: ACCOUNTS + routing('one', route) });
      expect([status, body.errors]).toEqual([
        422,
        [
          expect.objectContaining({
            message: expect.stringMatching(/^\$\{(SECRET|PIN)\} is not read here by a dry run, .*without a file\)$/),
          }),
        ],
      ]);
      expect(JSON.stringify(body)).not.toMatch(/hunt|123456/i);
    }
    const { body } = await dryRun({
      source: ACCOUNTS + routing('one', `business_id: 1, auth_id: "\${PREFIX}2{{ sender }}"`),
    });
    expect(body.examples).toMatchObject([{ after: { auth_id: 'u21' } }]);
  });

  test('of the routing file itself reads all references', async () => {
    const { post, dryRun, path } = await start({ env: { SUFFIX: 'x' } });
    await post('1', 'hello');
    await writeFile(path, ACCOUNTS + routing('one', `business_id: 1, auth_id: "u{{ sender }}\${SUFFIX}"`));
    expect((await dryRun()).body).toMatchObject({ count: 1 });
  });
});

describe('a channel that is not in the table', () => {
  test('but was one before stays 503 after a restart; what never was one is 404', async () => {
    const folder = await temporaryFolder();
    const before = await start({ folder });
    await before.reload(routing('two'));
    await before.bridge.stop();
    const { request } = await start({ folder, first: routing('two') });
    const gone = await request.post('/webhooks/one').send({ sender: 'u', text: 't' });
    expect([gone.status, gone.headers['retry-after']]).toEqual([503, '5']);
    expect((await request.post('/webhooks/other').send({ sender: 'u', text: 't' })).status).toBe(404);
  });

  test('may be one at another replica: who is behind says so, and 503 until it has caught up', async () => {
    const database = await testDatabase();
    const haptik = await startSimulator();
    const replica = async (routed: string) => {
      const way = await startProxy(Number(new URL(database.url).port));
      onTestEnd(() => way.close());
      const folder = await temporaryFolder();
      const running = await startTestBridge({
        routing: routed,
        haptik,
        folder,
        env: { DATABASE_URL: way.via(database.url) },
      });
      const state = async () => (await running.admin.get('/api/routing')).body;
      const post = async (channel: string) =>
        (await running.request.post(`/webhooks/${channel}`).send({ sender: 'u', text: 't' })).status;
      const write = async (source: string) => {
        await writeFile(join(folder, 'routing.yaml'), ACCOUNTS + source);
        await running.admin.post('/api/routing/reload').send({}).expect(200);
      };
      const behind = async () =>
        /^haptik_bridge_routing_behind (\d)$/m.exec((await running.admin.get('/metrics')).text)?.[1];
      return { ...running, way, state, post, write, behind };
    };
    const [first, second] = [await replica(routing('one')), await replica(routing('one'))];
    expect(await Promise.all([first.state(), second.state()])).toMatchObject([{ behind: null }, { behind: null }]);
    expect(await second.post('new')).toBe(404);

    await first.write(routing('new'));
    const { version } = await first.state();
    expect(await second.state()).toMatchObject({ behind: { version, since: expect.any(String) } });
    expect([await first.behind(), await second.behind()]).toEqual(['0', '1']);
    expect([await second.post('new'), await second.post('whatever'), await first.post('new')]).toEqual([503, 503, 202]);

    await second.write(routing('new'));
    expect(await second.state()).toMatchObject({ version, behind: null });
    expect([await second.post('new'), await second.post('one'), await second.post('whatever')]).toEqual([
      202, 503, 404,
    ]);

    // Who cannot know does not say 404, and operators see what there is all the same.
    second.way.cut();
    expect(await second.post('whatever')).toBe(503);
    expect(await second.state()).toMatchObject({ version, behind: null });
  });
});
