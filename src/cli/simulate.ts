import { Simulator } from '../haptik/simulator.ts';

interface Options {
  readonly port: number;
  readonly host: string;
  readonly clientId: string;
  readonly token: string;
}

/** Runs the simulator alone until `stopped`. */
export async function simulate({ port, host, clientId, token }: Options, stopped: Promise<void>): Promise<void> {
  const simulator = new Simulator({ clientId, token, now: Date.now, random: Math.random });
  const url = await simulator.listen(port, host);
  console.log(`Simulated Haptik on ${url}

  base_url: ${url}
  client_id: ${clientId}
  token: ${token}

  what arrived     curl ${url}/_simulator/messages
  start over       curl -X DELETE ${url}/_simulator
  misbehave        curl -H 'content-type: application/json' -d '{"count": 3, "status": 500}' ${url}/_simulator/faults`);
  await stopped;
  await simulator.close();
}
