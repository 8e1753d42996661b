import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { type LoggedMessage, Simulator } from '../../src/haptik/simulator.ts';
import type { Call } from './checker.ts';
import type { Random } from './random.ts';
import type { Weather } from './schedule.ts';

/** One account's Haptik. It lives in this process, and so survives whatever happens to the bridge. */
export interface FarEnd {
  readonly url: string;
  readonly calls: readonly Call[];
  readonly messages: readonly LoggedMessage[];
  setWeather(weather: Weather): void;
  close(): Promise<void>;
}

const CREDENTIALS = { clientId: 'chaos', token: 'chaos-token' };
const CALLS = 'http.server.request.start';
const body = z.object({ message_body: z.string() });
const CLEAR: Weather = { name: 'clear', faults: [] };

export async function openFarEnd(random: Random): Promise<FarEnd> {
  const simulator = new Simulator({ ...CREDENTIALS, now: Date.now, random });
  const url = await simulator.listen();
  const port = Number(new URL(url).port);
  const calls: Call[] = [];
  let weather = CLEAR;

  // The simulator keeps what it logged; how each call ended is only seen on the wire, where node:http tells of it.
  const onCall = (event: unknown) => {
    const { request, response } = event as { readonly request: Received; readonly response: ServerResponse };
    if (request.socket.localPort !== port || !request.url?.includes('log_message')) return;
    const from = Date.now();
    const weatherThen = weather;
    response.once('close', () => {
      const message = body.safeParse(parsed(request.body));
      // Cut off before it was here: it can not have been logged.
      if (!message.success) return;
      const isCutting = cuts(weatherThen) || cuts(weather);
      calls.push({ id: message.data.message_body, from, to: Date.now(), end: endOf(response, isCutting) });
    });
  };
  subscribe(CALLS, onCall);

  return {
    url,
    calls,
    get messages() {
      return simulator.messages;
    },
    setWeather(next) {
      weather = next;
      simulator.clearFaults();
      for (const fault of next.faults) simulator.addFault(fault);
    },
    async close() {
      unsubscribe(CALLS, onCall);
      await simulator.close();
    },
  };
}

/** The account as the routing file has it. */
export const accountYaml = (name: string, url: string) =>
  `  ${name}: { base_url: ${url}, client_id: ${CREDENTIALS.clientId}, token: ${CREDENTIALS.token} }\n`;

type Received = IncomingMessage & { readonly body?: unknown };

function cuts({ faults }: Weather): boolean {
  return faults.some(({ action }) => action === 'drop' || action === 'accept_then_drop');
}

function endOf(response: ServerResponse, isCutting: boolean): Call['end'] {
  if (!response.writableFinished) return isCutting ? 'cut' : 'given up';
  const isJson = String(response.getHeader('content-type')).startsWith('application/json');
  return response.statusCode === 200 && isJson ? 'delivered' : 'other answer';
}

function parsed(text: unknown): unknown {
  try {
    return JSON.parse(String(text));
  } catch {
    return undefined;
  }
}
