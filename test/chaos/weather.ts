import type { Fault } from '../../src/haptik/simulator.ts';

/** How a Haptik behaves for a while. */
export interface Weather {
  readonly name: string;
  readonly faults: readonly Fault[];
}

export const CLEAR: Weather = { name: 'clear', faults: [] };
const often = (name: string, fault: Omit<Fault, 'rate'>): Weather => ({ name, faults: [{ rate: 0.3, ...fault }] });

/** They refuse messages for good, and users. */
export const REFUSALS = [often('400', { status: 400 }), often('400 to messages', { status: 400, path: 'message' })];

/** They refuse the account's credentials, or look as if they did: it is on hold for up to half a minute each time. */
export const HOLDS = [
  often('401 now and then', { status: 401 }),
  { name: '401', faults: [{ rate: 1, status: 401 }] },
  often('403 to registrations', { status: 403, path: 'user' }),
];

/** No fault here refuses a message for good, so that none may end as a dead letter. */
export function weathersOf(timeoutMs: number): Weather[] {
  return [
    CLEAR,
    CLEAR,
    often('500', { status: 500 }),
    often('503', { status: 503 }),
    often('429', { status: 429 }),
    often('429 retry-after 1', { status: 429, headers: { 'retry-after': '1' } }),
    often('502', { status: 502 }),
    often('504', { status: 504 }),
    often('drop', { action: 'drop' }),
    { name: 'down', faults: [{ rate: 1, action: 'drop' }] },
    often('accept, then drop', { action: 'accept_then_drop' }),
    often('garbage', { action: 'garbage' }),
    { name: 'hang', faults: [{ rate: 0.1, action: 'hang' }] },
    often('slow', { delay_ms: Math.round(timeoutMs / 4) }),
    { name: 'too late', faults: [{ rate: 0.1, delay_ms: timeoutMs + 300 }] },
    {
      name: 'storm',
      faults: [
        { rate: 0.1, status: 500 },
        { rate: 0.1, action: 'accept_then_drop' },
        { rate: 0.1, status: 504 },
        { rate: 0.1, action: 'drop' },
        { rate: 0.02, action: 'hang' },
      ],
    },
  ];
}
