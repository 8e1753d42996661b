import { createHmac } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bridge, startBridge } from '../bridge.ts';
import { Simulator } from '../haptik/simulator.ts';
import { readSettings } from '../settings.ts';

interface Options {
  readonly port: number;
  readonly simulatorPort: number;
  readonly adminPort: number;
}

const EXAMPLE = join(import.meta.dirname, '../../routing.example.yaml');
const CREDENTIALS = { clientId: 'demo-client', token: 'demo-token' };
const SECRETS = { APP_KEY: 'demo-key', CRM_SECRET: 'demo-secret', TWILIO_AUTH_TOKEN: 'demo-auth-token' };

/** Bridge and simulator together, with the example routing file and a database that is gone afterwards. */
export async function demo({ port, simulatorPort, adminPort }: Options, stopped: Promise<void>): Promise<void> {
  const simulator = new Simulator({ ...CREDENTIALS, now: Date.now, random: Math.random });
  const simulatorUrl = await simulator.listen(simulatorPort);
  const folder = await mkdtemp(join(tmpdir(), 'haptik-bridge-demo-'));
  try {
    const settings = readSettings({
      HOST: '127.0.0.1',
      PORT: String(port),
      ADMIN_PORT: String(adminPort),
      DATABASE_URL: `sqlite:${join(folder, 'bridge.db')}`,
      ROUTING_FILE: EXAMPLE,
      HAPTIK_BASE_URL: simulatorUrl,
      HAPTIK_CLIENT_ID: CREDENTIALS.clientId,
      HAPTIK_TOKEN: CREDENTIALS.token,
      LOG_FORMAT: 'pretty',
      ...SECRETS,
    });
    const bridge = await startBridge(settings);
    console.log(instructions(bridge, simulatorUrl));
    await stopped;
    await bridge.stop();
  } finally {
    await simulator.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function instructions({ url: bridge, adminUrl }: Bridge, simulator: string): string {
  const signed = JSON.stringify({ event_id: 'e1', from: { phone: '98200 12345' }, body: { text: 'Billing question' } });
  const signature = createHmac('sha256', SECRETS.CRM_SECRET).update(signed).digest('hex');
  const sms = { Body: 'Hello', From: '+919820012345', MessageSid: 'SM1', To: '+18005550100' };
  const twilio = createHmac('sha1', SECRETS.TWILIO_AUTH_TOKEN)
    .update(`${bridge}/webhooks/support-sms${Object.entries(sms).flat().join('')}`)
    .digest('base64');
  return `
Bridge on ${bridge}, simulated Haptik on ${simulator}. Try, in another terminal:

  # a website form (303: on to the page that the channel names)
  curl -i ${bridge}/webhooks/contact-form -d name=Asha -d email=asha@example.com --data-urlencode 'message=Hello there'

  # JSON, with a secret header; the second time it is a duplicate
  curl -i ${bridge}/webhooks/app -H 'x-api-key: ${SECRETS.APP_KEY}' -H 'content-type: application/json' -d '{"sender":"user-7","text":"Where is my order?","id":"m-1"}'

  # JSON, signed
  curl -i ${bridge}/webhooks/crm -H 'x-signature: ${signature}' -H 'content-type: application/json' -d '${signed}'

  # an SMS as Twilio sends and signs it, from a sender whom the routing file lists
  curl -i ${bridge}/webhooks/support-sms -H 'x-twilio-signature: ${twilio}' -d '${new URLSearchParams(sms)}'

  # a message that Haptik refuses: a dead letter, listed, and sent again
  curl -H 'content-type: application/json' -d '{"count": 1, "status": 400}' ${simulator}/_simulator/faults
  curl ${bridge}/webhooks/app -H 'x-api-key: ${SECRETS.APP_KEY}' -H 'content-type: application/json' -d '{"sender":"user-7","text":"Hello?"}'
  ADMIN_PORT=${new URL(adminUrl).port} npx haptik-bridge messages list --state dead
  ADMIN_PORT=${new URL(adminUrl).port} npx haptik-bridge redrive --state dead

  # what Haptik has now; and an outage of three calls
  curl ${simulator}/_simulator/messages
  curl -H 'content-type: application/json' -d '{"count": 3, "status": 500}' ${simulator}/_simulator/faults

Each message's way shows below. Ctrl-C stops.
`;
}
