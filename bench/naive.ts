/**
 * The yardstick: a bridge as it is written in an afternoon. It stores nothing, verifies nothing, keeps no order and gives
 * up at the first failure. Frozen: a change here would change the meaning of every figure measured against it.
 */
import express from 'express';
import fetch from 'node-fetch';

const { HOST = '127.0.0.1', PORT, HAPTIK_BASE_URL } = process.env;
const businessIds: Readonly<Record<string, number>> = { chat: 343 };

const app = express();
app.use(express.json());

app.post('/webhooks/:channel', async (request, response) => {
  const businessId = businessIds[request.params.channel];
  if (businessId === undefined) return response.status(404).json({ error: 'no such channel' });
  const { sender, text }: { sender?: string; text?: string } = request.body;
  if (!sender || !text) return response.status(422).json({ error: 'sender and text are needed' });

  const answer = await fetch(`${HAPTIK_BASE_URL}/v1.0/log_message_from_user/`, {
    method: 'POST',
    headers: { Authorization: 'Bearer bench-token', 'client-id': 'bench', 'Content-Type': 'application/json' },
    body: JSON.stringify({
      user: { auth_id: `sms${sender.replace(/\D/g, '')}` },
      message_body: text,
      message_type: 0,
      business_id: businessId,
    }),
  });
  if (!answer.ok) return response.status(502).json({ error: `Haptik said ${answer.status}` });
  const { message_id } = (await answer.json()) as { message_id: number };
  return response.status(200).json({ message_id });
});

app.listen(Number(PORT), HOST);
