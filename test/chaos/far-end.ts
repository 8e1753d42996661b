import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { type LoggedMessage, Simulator } from '../../src/haptik/simulator.ts';
import type { Call } from './checker.ts';
import { NAME_HEADER } from './name.ts';
import type { Random } from './random.ts';
import { CLEAR, type Weather } from './weather.ts';

/** One account's Haptik. It lives in this process, and so survives whatever happens to the bridge. */
export interface FarEnd {
  readonly url: string;
  readonly calls: readonly Call[];
  readonly messages: readonly LoggedMessage[];
  /** Whether a call that has come in may still log the message: then nobody can say yet that it did not arrive. */
  mayStillLog(id: string): boolean;
  setWeather(weather: Weather): void;
  close(): Promise<void>;
}

const CREDENTIALS = { clientId: 'chaos', token: 'chaos-token' };
const CALLS = 'http.server.request.start';
const body = z.object({ message_body: z.string() });
/** Longer than an answer that is due waits for its turn in this process. */
const SLACK_MS = 300;

export async function openFarEnd(random: Random): Promise<FarEnd> {
  const simulator = new Simulator({ ...CREDENTIALS, now: Date.now, random });
  const url = await simulator.listen();
  const port = Number(new URL(url).port);
  const calls: Call[] = [];
  const open = new Set<Received>();
  // Who calls may be gone, and the delayed answer, with what it logs, still to come.
  const logsUntil = new Map<string, number>();
  let weather = CLEAR;

  // The simulator keeps what it logged; how each call ended is only seen on the wire, where node:http tells of it.
  const onCall = (event: unknown) => {
    const { request, response } = event as { readonly request: Received; readonly response: ServerResponse };
    if (request.socket.localPort !== port || !request.url?.includes('log_message')) return;
    const from = Date.now();
    const weatherThen = weather;
    open.add(request);
    response.once('close', () => {
      open.delete(request);
      const id = messageOf(request);
      // Cut off before it was here: it can not have been logged.
      if (id === undefined) return;
      const delayMs = Math.max(longestDelay(weatherThen), longestDelay(weather));
      logsUntil.set(id, Math.max(logsUntil.get(id) ?? 0, from + delayMs + SLACK_MS));
      const isCutting = cuts(weatherThen) || cuts(weather);
      const by = String(request.headers[NAME_HEADER]);
      calls.push({ id, by, from, to: Date.now(), end: endOf(response, isCutting) });
    });
  };
  subscribe(CALLS, onCall);

  return {
    url,
    calls,
    get messages() {
      return simulator.messages;
    },
    mayStillLog(id) {
      const isOpen = [...open].some((request) => [id, undefined].includes(messageOf(request)));
      return isOpen || Date.now() < (logsUntil.get(id) ?? 0);
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

function longestDelay({ faults }: Weather): number {
  return Math.max(0, ...faults.map(({ delay_ms = 0 }) => delay_ms));
}

/** Undefined while its body is not here. */
function messageOf({ body: text }: Received): string | undefined {
  return body.safeParse(parsed(text)).data?.message_body;
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
