import type { Call, Evidence } from './checker.ts';

export const TIMEOUT_MS = 700;
export const arrival = (id: string, account = 'north') => ({ account, conversation: 'north0x0', id });
export const acknowledged = (id: string) => ({ id, bridgeId: `bridge's ${id}`, hasId: true, tries: 1 });
export const call = (id: string, from: number, end: Call['end'] = 'delivered', took = 5): Call => ({
  id,
  by: 'one',
  from,
  to: from + took,
  end,
});

export const [FIRST, SECOND, THIRD] = ['north0x0-0', 'north0x0-1', 'north0x0-2'] as const;

/** Three messages, each delivered once and in order; but for what a test says. */
export function evidence(but: Partial<Evidence> = {}): Evidence {
  return {
    acknowledged: [FIRST, SECOND, THIRD].map(acknowledged),
    arrivals: [FIRST, SECOND, THIRD].map((id) => arrival(id)),
    calls: [call(FIRST, 1_000), call(SECOND, 1_010), call(THIRD, 1_020)],
    disturbances: [],
    births: [],
    told: new Set(),
    decisions: [],
    holds: [],
    deaf: [],
    noticeMs: 0,
    once: [],
    waiting: [],
    unknown: [],
    dead: new Map(),
    discarded: new Map(),
    copies: new Map(),
    timeoutMs: TIMEOUT_MS,
    ...but,
  };
}
