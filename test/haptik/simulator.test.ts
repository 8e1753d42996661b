import { describe, expect, test } from '@jest/globals';
import supertest from 'supertest';
import { CREDENTIALS, startSimulator } from '../support/bridge.ts';

const AUTHORISED = { Authorization: `Bearer ${CREDENTIALS.token}`, 'client-id': CREDENTIALS.clientId };
const MESSAGE = { user: { auth_id: 'u1' }, message_body: 'Hi', message_type: 0, business_id: 343 };
const LOG = '/v1.0/log_message_from_user/';

async function start() {
  const { simulator, url } = await startSimulator();
  const request = supertest(url);
  const log = (body: object = MESSAGE) => request.post(LOG).set(AUTHORISED).send(body);
  return { simulator, request, log };
}

describe('the simulator answers as Haptik does:', () => {
  test('a message of an unknown user is 403, and 200 once the user is registered', async () => {
    const { request, log } = await start();
    const refused = await log();
    expect([refused.status, refused.body]).toEqual([403, { error_message: 'user is not registered' }]);
    const profile = {
      auth_id: 'u1',
      name: 'Asha',
      email: 'a@example.in',
      mobile_no: '98',
      custom_data: { city: 'Mumbai' },
    };
    const registered = await request.post('/v1.0/user/').set(AUTHORISED).send(profile);
    expect([registered.status, registered.body]).toEqual([
      200,
      { auth_id: 'u1', name: 'Asha', email: 'a@example.in', mobile_no: '98' },
    ]);
    const logged = await log();
    expect([logged.status, logged.body]).toEqual([
      200,
      {
        message_id: expect.any(Number),
        message_body: 'Hi',
        message_type: 0,
        created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      },
    ]);
  });

  test('PUT updates what POST has registered', async () => {
    const { request, simulator } = await start();
    await request.post('/v1.0/user/').set(AUTHORISED).send({ auth_id: 'u1', name: 'Asha' });
    await request.put('/v1.0/user/').set(AUTHORISED).send({ auth_id: 'u1', email: 'a@example.in' });
    expect(simulator.users.get('u1')).toEqual({ auth_id: 'u1', name: 'Asha', email: 'a@example.in' });
  });

  test.each<Record<string, string>>([
    {},
    { ...AUTHORISED, Authorization: 'Bearer wrong' },
    { ...AUTHORISED, Authorization: CREDENTIALS.token },
    { ...AUTHORISED, 'client-id': 'wrong' },
    { Authorization: AUTHORISED.Authorization },
  ])('wrong or missing credentials are 401 (%j)', async (headers) => {
    const { request } = await start();
    for (const path of [LOG, '/v1.0/user/']) {
      const answer = await request.post(path).set(headers).send(MESSAGE);
      expect([answer.status, answer.body]).toEqual([401, { error_message: 'invalid authorization details' }]);
    }
  });

  test('a malformed body is 400', async () => {
    const { request, log } = await start();
    for (const body of [
      {},
      { ...MESSAGE, business_id: '343' },
      { ...MESSAGE, user: { auth_id: 'a-b' } },
      { ...MESSAGE, message_body: 1 },
    ]) {
      expect((await log(body)).status).toBe(400);
    }
    const nested = { auth_id: 'u1', custom_data: { a: { b: 1 } } };
    expect((await request.post('/v1.0/user/').set(AUTHORISED).send(nested)).status).toBe(400);
  });

  test('a path without its slash is 404', async () => {
    const { request } = await start();
    expect((await request.post('/v1.0/log_message_from_user').set(AUTHORISED).send(MESSAGE)).status).toBe(404);
  });
});

describe('the control surface', () => {
  test('shows what arrived, and starts over', async () => {
    const { request, log } = await start();
    await request.post('/v1.0/user/').set(AUTHORISED).send({ auth_id: 'u1' });
    await log();
    const { body } = await request.get('/_simulator/messages');
    expect(body.items).toMatchObject([{ auth_id: 'u1', business_id: 343, message_body: 'Hi', message_type: 0 }]);
    expect((await request.get('/_simulator/users')).body.items).toEqual([{ auth_id: 'u1' }]);
    expect((await request.get('/_simulator/requests')).body.items).toMatchObject([{ status: 200 }, { status: 200 }]);
    expect((await request.delete('/_simulator')).status).toBe(204);
    for (const list of ['messages', 'users', 'requests'])
      expect((await request.get(`/_simulator/${list}`)).body.items).toEqual([]);
  });

  test('makes the next calls fail, and only those', async () => {
    const { request, log } = await start();
    await request.post('/v1.0/user/').set(AUTHORISED).send({ auth_id: 'u1' });
    await request
      .post('/_simulator/faults')
      .send({ count: 2, status: 503, headers: { 'Retry-After': '3' }, path: 'message' });
    const answers = [await log(), await log(), await log()];
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 200]);
    expect(answers[0]?.headers['retry-after']).toBe('3');
  });

  test('can accept and cut the connection, cut it at once, answer garbage, delay, or hang', async () => {
    const { simulator, request, log } = await start();
    await request.post('/v1.0/user/').set(AUTHORISED).send({ auth_id: 'u1' });
    simulator.addFault({ count: 1, action: 'accept_then_drop' });
    await expect(log()).rejects.toThrow(/hang up|ECONNRESET/);
    expect(simulator.messages).toHaveLength(1);
    simulator.addFault({ count: 1, action: 'drop' });
    await expect(log()).rejects.toThrow(/hang up|ECONNRESET/);
    expect(simulator.messages).toHaveLength(1);
    simulator.addFault({ count: 1, action: 'garbage' });
    expect((await log()).text).toContain('<html>');
    simulator.addFault({ count: 1, delay_ms: 30 });
    expect((await log()).status).toBe(200);
    simulator.addFault({ count: 1, action: 'hang' });
    await expect(log().timeout(100)).rejects.toThrow(/[Tt]imeout/);
    expect(simulator.messages).toHaveLength(2);
  });

  test('can fail a share of all calls until it is told to stop', async () => {
    const { simulator, log } = await start();
    simulator.addFault({ rate: 1, status: 500 });
    expect((await log()).status).toBe(500);
    simulator.clearFaults();
    expect((await log()).status).toBe(403);
  });

  test('refuses a fault that it does not understand', async () => {
    const { request } = await start();
    for (const fault of [
      {},
      { count: 1, rate: 1 },
      { count: 0 },
      { count: 1, action: 'explode' },
      { count: 1, stauts: 500 },
    ]) {
      const answer = await request.post('/_simulator/faults').send(fault);
      expect([answer.status, typeof answer.body.error_message]).toEqual([400, 'string']);
    }
  });
});
