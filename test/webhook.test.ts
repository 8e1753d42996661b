import { expect, test } from '@jest/globals';
import { CHAT, startTestBridge } from './support/bridge.ts';
import { until } from './support/fixtures.ts';

test('a webhook becomes exactly the request that Haptik documents', async () => {
  const { request, simulator } = await startTestBridge({ routing: CHAT });
  const answer = await request.post('/webhooks/chat').send({ sender: 'user7', text: 'Hello' });
  expect(answer.status).toBe(202);
  expect(answer.body).toEqual({ id: expect.any(String), status: 'accepted' });
  await until('it is delivered', () => simulator.messages.length === 1);
  expect(simulator.messages).toMatchObject([
    { auth_id: 'user7', business_id: 343, message_body: 'Hello', message_type: 0 },
  ]);
});
